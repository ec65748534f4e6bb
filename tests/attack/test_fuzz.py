"""Damaged files found by fuzzing: each kind is refused in one line that names the file."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ensemble
import postproc
from ensemble.bench.protocol import CellKey
from ensemble.bench.records import RecordsFile
from postproc.calibration.venn_abers import VennAbersMap
from postproc.files.costs import load_costs
from postproc.jobs.journal import Journal
from tests.attack import fuzz
from tests.ensemble.conftest import make_members


def test_some_seconds_of_fuzzing_find_nothing():
    counts, faults = fuzz.run(seconds=5, seed=0)
    assert not faults, "\n".join(faults.values())
    assert counts.total() >= 20


def test_sets_with_infinite_thresholds_are_saved(tmp_path):
    members, y = make_members(n_rows=20)
    sets = postproc.ConformalSets(per_class=True).fit(members[0], y)
    assert np.isinf(sets.thresholds_).any()
    for inline in (0, 10**6):
        ensemble.save_model(sets, tmp_path / "m.json", overwrite=True, most_inline=inline)
        again = ensemble.load_model(tmp_path / "m.json")
        np.testing.assert_array_equal(again.thresholds_, sets.thresholds_)
        np.testing.assert_array_equal(again.predict_set(members[1]), sets.predict_set(members[1]))


@pytest.mark.parametrize(
    ("key", "value"), [("kind_", "x"), ("n_features_in_", None), ("n_features_in_", 4)]
)
def test_deciders_are_tried_out(key, value, tmp_path):
    members, y = make_members()
    file = tmp_path / "m.json"
    ensemble.save_model(postproc.ClassWeights().fit(members[0], y), file)
    content = json.loads(file.read_text())
    content["model"]["state"][key] = value
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"m\.json: "):
        ensemble.load_model(file)
    del content["model"]["state"][key]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"m\.json: "):
        ensemble.load_model(file)


def test_votes_that_weigh_less_than_nothing_are_refused(tmp_path):
    members, y = make_members()
    file = tmp_path / "m.json"
    ensemble.save_model(ensemble.Voting("hard", weights=[4, 1, 1, 1]).fit(members, y), file)
    content = json.loads(file.read_text())
    content["model"]["state"]["member_weights_"]["array"] = [1.5, -0.5, 0.0, 0.0]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"m\.json: "):
        ensemble.load_model(file)


def test_weights_of_members_that_look_alike_are_checked(tmp_path):
    members, y = make_members(n_classes=3)  # the fourth is tried on the rows of the first
    file = tmp_path / "m.json"
    ensemble.save_model(ensemble.GreedySelection().fit(members, y), file)
    content = json.loads(file.read_text())
    content["model"]["state"]["member_weights_"]["array"] = [1.2, 0.0, 0.0, -0.2]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"m\.json: `weights` must be at least 0"):
        ensemble.load_model(file)


@pytest.mark.parametrize("n_rows", [2, 3])
def test_arrays_that_fit_one_number_of_rows_are_refused(n_rows, tmp_path):
    members, y = make_members(n_classes=3)
    file = tmp_path / "m.json"
    model = postproc.BiasCorrectedTemperatureScaling().fit(members[0], y)
    ensemble.save_model(model, file, most_inline=10**6)
    content = json.loads(file.read_text())
    biases = [node for node in arrays_within(content) if node["shape"] == [3]]
    for node in biases:
        node["array"], node["shape"] = node["array"] * n_rows, [n_rows, 3]
    assert biases
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"m\.json: "):
        ensemble.load_model(file)


def arrays_within(node):
    """Every array in a saved model."""
    if isinstance(node, dict) and "array" in node:
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from arrays_within(each)


def test_a_model_that_names_no_file_of_arrays_is_one_short_line(tmp_path):
    members, y = make_members()
    file = tmp_path / "m.json"
    ensemble.save_model(ensemble.LearnedLogPool().fit(members, y), file, most_inline=0)
    content = json.loads(file.read_text())
    content["arrays"]["file"] = "x" * 5000
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"m\.json.* got 5000 characters"):
        ensemble.load_model(file)


def test_bounds_that_no_labels_give_are_refused():
    half = np.full(2, 0.5)
    for lower, upper in ((np.array([0.5, 1.0]), half), (half, np.array([0.0, 1.0]))):
        with pytest.raises(ValueError, match="p_0"):
            VennAbersMap(np.zeros(1), lower, upper)


def test_a_model_whose_attributes_are_damaged_is_one_line(run_cli, tmp_path):
    members, y = make_members()
    file, scores = tmp_path / "m.json", tmp_path / "a.npy"
    np.save(scores, members[0])
    ensemble.save_model(postproc.TemperatureScaling().fit(members[0], y), file)
    content = json.loads(file.read_text())
    del content["model"]["state"]["identity_log_loss_"]
    file.write_text(json.dumps(content))
    said = run_cli("apply", file, scores, "-o", tmp_path / "o.npy", code=1).stderr
    assert f"{file}: damaged, or saved by another version of postproc: AttributeError: " in said


def test_text_that_is_no_text_is_refused_as_labels(tmp_path):
    labels = np.zeros(6, "<U2")
    labels.view(np.uint32)[:] = 0x7FFFFFFF
    for name in ("y.npy", "y.npz"):
        (np.save if name == "y.npy" else lambda p, v: np.savez(p, labels=v))(
            tmp_path / name, labels
        )
        with pytest.raises(ValueError, match=f"{name}: cannot be read: its text is damaged"):
            postproc.load_labels(tmp_path / name, n_classes=2, classes=["a", "b"])


def test_costs_that_are_no_text_name_the_file(tmp_path):
    (tmp_path / "costs.csv").write_bytes(b"a,\xff\n0,1\n1,0\n")
    with pytest.raises(ValueError, match=r"costs.csv: cannot be read: it must be UTF-8 text"):
        load_costs(tmp_path / "costs.csv", n_classes=2)


RIGHT = fuzz.CELL | fuzz.COUNTED


@pytest.mark.parametrize(
    "change",
    [
        *({"n": value} for value in ([], None, 8, [0], [8, 8], ["8"], [True], [8.0])),
        *({"right": [9]}, {"fixed": [5]}, {"broken": [-1]}, {"error": 3}, {"error": "x"}),
    ],
)
def test_results_must_be_counts_of_rows(change, tmp_path):
    key = CellKey(*(fuzz.CELL[name] for name in CellKey._fields))
    fuzz.results(tmp_path)
    with RecordsFile.open(tmp_path / "bench.jsonl", fuzz.HEADER, [key]) as file:
        assert file.results()[0].accuracy == 5 / 8
    lines = [json.dumps(fuzz.HEADER), json.dumps(RIGHT | change), ""]
    (tmp_path / "bench.jsonl").write_text("\n".join(lines))
    with (
        pytest.raises(ValueError, match=r"bench.jsonl: line 2 is not the cell"),
        RecordsFile.open(tmp_path / "bench.jsonl", fuzz.HEADER, [key]),
    ):
        pass


def test_what_a_killed_benchmark_leaves_is_removed_by_the_next_run(tmp_path):
    fuzz.results(tmp_path)
    (tmp_path / ".bench.4194999.abcdefgh.jsonl").write_text("")  # no process has this number
    key = CellKey(*(fuzz.CELL[name] for name in CellKey._fields))
    with RecordsFile.open(tmp_path / "bench.jsonl", fuzz.HEADER, [key]):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"bench.jsonl", "bench.seconds.jsonl"}


@pytest.mark.parametrize("change", [{"seconds": "x"}, {"seconds": ["x"]}, {"fit_seconds": []}])
def test_times_that_are_none_are_unknown(change, tmp_path):
    fuzz.results(tmp_path)
    times = tmp_path / "bench.seconds.jsonl"
    times.write_text(json.dumps(json.loads(times.read_text()) | change) + "\n")
    key = CellKey(*(fuzz.CELL[name] for name in CellKey._fields))
    with RecordsFile.open(tmp_path / "bench.jsonl", fuzz.HEADER, [key]) as file:
        assert file.results()[0].seconds is None


def test_every_changed_byte_of_a_journal_is_found(tmp_path):
    fuzz.journal(tmp_path)
    path = tmp_path / "journal.jsonl"
    data = path.read_bytes()
    start, stop = data.index(b"\n") + 1, data.rindex(b"\n")
    for at in range(start, stop, 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert len(Journal.open(path, {"n": 8}).finished) < 2
