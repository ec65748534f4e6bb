"""`postproc inspect`: what is shown, what is suspected."""

import json

import numpy as np
import pytest

from postproc import softmax


@pytest.fixture
def here(tmp_path, monkeypatch, probs):
    monkeypatch.chdir(tmp_path)
    np.save("preds.npy", probs.astype(np.float32))
    return tmp_path


def test_shape_kind_and_histograms(here, run_cli):
    lines = run_cli("inspect", "preds").output.splitlines()
    assert lines[:2] == ["preds.npy", "20 rows x 4 classes, probs, float32"]
    assert sum("█" in line or "▏" in line for line in lines) >= 4
    assert any(line.startswith("top-3 entropy (mean 0.") for line in lines)
    assert any(line.startswith("confidence (mean 0.") for line in lines)
    assert any("mean prediction, %" in line for line in lines)


def test_histograms_count_every_row(here, run_cli):
    output = run_cli("inspect", "preds").output
    counts = [int(line.split()[-1]) for line in output.splitlines() if line[:5].strip()[:2] == "0."]
    assert len(counts) == 20
    assert sum(counts) == 2 * 20


def test_json_of_several_files(here, run_cli, probs):
    np.savez("b.npz", logits=probs[:5] * 9, classes=list("wxyz"))
    result = run_cli("inspect", "preds.npy", "b", "--json", "--prior", "1,1,1,1")
    first, second = json.loads(result.stdout)["predictions"]
    assert (first["name"], first["rows"], first["kind"]) == ("preds.npy", 20, "probs")
    assert (second["name"], second["rows"], second["kind"]) == ("b.npz", 5, "logits")
    assert second["class_names"] == list("wxyz")
    assert first["prior"] == [0.25] * 4
    assert first["mean_prediction"] == pytest.approx(probs.mean(0).tolist(), rel=1e-5)
    expected = abs(probs.mean(0) - 0.25).sum() / 2
    assert first["prior_distance"] == pytest.approx(expected, rel=1e-5)
    assert result.stderr == ""


def test_prior_is_held_against_the_mean_prediction(here, run_cli):
    np.save("train.npy", [0, 0, 1, 1, 2, 2, 3, 3])
    output = run_cli("inspect", "preds", "--prior", "train").output
    assert "furthest from the prior" in output
    assert "25.00" in output
    assert "total variation distance from the prior: 0." in output


def test_prior_that_could_be_two_things_can_be_declared(here, run_cli):
    np.save("q.npy", [0, 1, 2, 2])
    assert "--prior-kind" in run_cli("inspect", "preds", "--prior", "q", code=1).stderr
    result = run_cli("inspect", "preds", "--prior", "q", "--prior-kind", "counts", "--json")
    assert json.loads(result.stdout)["predictions"][0]["prior"] == [0, 0.2, 0.4, 0.4]


def test_softmax_of_softmax_is_suspected(here, run_cli, probs):
    np.save("twice.npy", softmax(probs))
    assert "Suspicious: softmaxed twice?" in run_cli("inspect", "twice").output
    assert "softmaxed twice" not in run_cli("inspect", "preds").output


def test_entropy_is_named_after_the_classes_there_are(here, run_cli):
    np.save("two.npy", [[0.9, 0.1], [0.2, 0.8]])
    assert "top-2 entropy" in run_cli("inspect", "two").output


def test_many_classes_are_cut_and_json_has_all(here, run_cli):
    np.save("wide.npy", np.random.default_rng(0).normal(size=(5, 30)))
    assert "and 20 more classes (--json shows all)" in run_cli("inspect", "wide").output
    result = run_cli("inspect", "wide", "--json")
    assert len(json.loads(result.stdout)["predictions"][0]["mean_prediction"]) == 30


def test_names_are_shown_as_they_are(here, run_cli):
    (here / "classes.txt").write_text("[red]x[/red]\n[/]\n:smile:\nünï\n", encoding="utf-8")
    output = run_cli("inspect", "preds").output
    for name in ("[red]x[/red]", "[/]", ":smile:", "ünï"):
        assert name in output


def test_one_bad_file_stops_all(here, run_cli):
    result = run_cli("inspect", "preds", "missing.npy", code=1)
    assert (result.stdout, result.stderr) == ("", "Error: missing.npy: no such file\n")


def test_columns_in_doubt_are_shown(here, run_cli):
    rows = [f"{7 + i},{40 + i % 3},{'mf'[i % 2]},0.{i + 1}," for i in range(5)]
    (here / "t.csv").write_text("\n".join(["visit,age,sex,score,none", *rows]))
    (here / "votes.csv").write_text("cat,dog\n1,3\n2,2\n")
    result = run_cli("inspect", "t.csv", "preds", "votes.csv", code=1)
    lines = result.stdout.splitlines()
    assert lines[0] == "preds.npy"
    assert [line.split()[1:] for line in lines if "visit" in line or "sex" in line] == [
        ["whole", "numbers", "from", "7", "to", "11", "7,", "8,", "9,", "..."],
        ["text,", "2", "different", "m,", "f,", "m,", "..."],
    ]
    assert "5 rows, 5 columns" in lines
    assert any("no finite numbers" in line for line in lines)
    wanted = (
        "an array of 2 x 2, float64, whole numbers from 1 to 3; sums of rows: whole numbers from"
    )
    assert f"{wanted} 4 to 4" in lines
    first, second = result.stderr.splitlines()
    assert first.startswith("Error: t.csv: cannot be read: the column 'sex'")
    assert second.startswith("Error: `votes.csv` must be clearly logits or clearly probabilities")
    only = run_cli("inspect", "t.csv", "--json", code=1)
    assert (only.stdout, only.stderr) == ("", f"{first}\n")


def test_records_lists_and_wide_tables_are_outlined(here, run_cli):
    records = [{"truth": "a", "p": [0.5, 0.5], "q": [1, 2], "odd": [["x"]]}] * 3
    (here / "r.jsonl").write_text("\n".join(map(json.dumps, records)))
    shown = run_cli("inspect", "r.jsonl", code=1).stdout
    assert "lists of 2 numbers" in shown
    assert "neither numbers nor text" in shown
    names = [f"c{i}" for i in range(40)]
    cells = ",".join(f"0.{i + 1}" for i in range(40))
    (here / "w.csv").write_text(f"{','.join(names)},label\n{cells},a\n{cells},a\n")
    assert "  and 11 more columns" in run_cli("inspect", "w.csv", code=1).stdout
    (here / "broken.csv").write_text("a,b\n1,2\n3\n")
    assert run_cli("inspect", "broken.csv", code=1).stdout == ""


def test_declared_kind_and_classes(here, run_cli, probs):
    np.save("half.npy", probs / 2)
    message = run_cli("inspect", "half", code=1).stderr
    assert "must be clearly logits or clearly probabilities" in message
    (here / "names.txt").write_text("a\nb\nc\nd\n")
    result = run_cli("inspect", "half", "--logits", "--classes", "names", "--json")
    found = json.loads(result.stdout)["predictions"][0]
    assert (found["kind"], found["class_names"]) == ("logits", list("abcd"))


def test_labels_among_predictions_are_told(tmp_path, run_cli):
    np.save(tmp_path / "labels.test.npy", np.array([0, 2, 1]))
    said = run_cli("inspect", tmp_path / "labels.test.npy", code=1).stderr
    assert "got only whole numbers; one column of integers looks like labels" in said


def test_shards_are_counted(here, run_cli, probs):
    (here / "folder").mkdir()
    for number, part in enumerate(np.split(probs, [5, 12])):
        np.save(f"folder/part-{number:05d}.npy", part)
    told = run_cli("inspect", "folder", "preds")
    lines = told.stdout.splitlines()
    assert lines[:2] == ["folder", "20 rows x 4 classes, probs, float64, in 3 shards"]
    assert "20 rows x 4 classes, probs, float32" in lines
    assert told.stderr == ""
    found = json.loads(run_cli("inspect", "folder", "preds", "--json").stdout)["predictions"]
    assert [(each["rows"], each["shards"]) for each in found] == [(20, 3), (20, None)]


NUMBERS = "`prior` must be numbers with commas between them, or a file, got"


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (",", f"{NUMBERS} ','"),
        ("1,,2,1", f"{NUMBERS} '1,,2,1'"),
        ("1,2,1,", f"{NUMBERS} '1,2,1,'"),
        ("1,2", "`prior` must be of length 4, one number a class, got length 2"),
        ("0,0,0,0", "`prior` must be a vector with mass, got zeros only"),
        ("1,2,nan,1", "`prior[2]` must be a finite number >= 0, got nan"),
        ("folder", "folder: must be a file, got a folder"),
        ("empty.txt", "`empty.txt` must be one label or more, got none"),
        ("empty.npy", "empty.npy: cannot be read: it is empty"),
    ],
)
def test_odd_priors_are_refused_in_one_line(here, run_cli, prior, message):
    (here / "folder").mkdir()
    for name in ("empty.txt", "empty.npy"):
        (here / name).touch()
    assert run_cli("inspect", "preds", "--prior", prior, code=1).stderr == f"Error: {message}\n"
