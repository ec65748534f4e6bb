"""`--save` and `postproc apply`: the same result, block by block, and refusals before any work."""

import errno
import json
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import postproc.jobs.write
from ensemble import load_model, save_model
from postproc import TemperatureScaling, load_predictions, save_predictions, softmax
from postproc.calibration.affine import identity_map
from postproc.scores.blocks import Sizes

FIT = ("--fit", "a.val.npy", "--fit-labels", "labels.val.npy")
COMMANDS = {
    **{f"calibrate {m}": ("calibrate", "--method", m) for m in ("temperature", "bcts", "matrix")},
    **{f"adapt {m}": ("adapt", "--method", m) for m in ("em", "map", "bbse", "sinkhorn", "can")},
    "adapt hard": ("adapt", "--method", "bbse", "--hard", "--calibration", "bcts"),
    "adapt plain": ("adapt", "--calibration", "none"),
    "auto": ("auto",),
    "weights": ("ensemble", "weights"),
}


def command(name, *files):
    """The words of a command on one file, fitted to that of `val`."""
    head = 2 if COMMANDS[name][0] == "ensemble" else 1
    return (*COMMANDS[name][:head], *files, *FIT, *COMMANDS[name][head:])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """One model's predictions: of labelled rows, of a shifted target, and of a newer one."""
    monkeypatch.chdir(tmp_path)
    splits = {"val": [1 / 3] * 3, "test": [0.7, 0.2, 0.1], "new": [0.2, 0.1, 0.7]}
    for seed, (split, prior) in enumerate(splits.items()):
        rng = np.random.default_rng(seed)
        y = rng.choice(3, 300, p=prior)
        scores = 2.0 * (rng.normal(size=(300, 3)) + 1.3 * np.eye(3)[y])
        np.save(f"labels.{split}.npy", y)
        np.save(f"a.{split}.npy", scores.astype(np.float32))
    return tmp_path


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", COMMANDS)
def test_applied_is_what_the_command_makes_of_a_new_file(here, run_cli, name):
    run_cli(*command(name, "a.test.npy"), "-o", "old.npy", "--save", "model.json")
    run_cli(*command(name, "a.new.npy"), "-o", "whole.npy")
    run_cli("apply", "model.json", "a.new.npy", "-o", "applied.npy")
    np.testing.assert_array_equal(np.load("applied.npy"), np.load("whole.npy"))
    run_cli("apply", "model.json", "a.new.npy", "-o", "blocks.npy", obj=Sizes(block=24 * 40))
    np.testing.assert_allclose(np.load("blocks.npy"), np.load("whole.npy"), atol=1e-6)
    assert not list(here.glob(".*"))


@pytest.mark.parametrize("name", ["calibrate bcts", "adapt map", "auto", "weights"])
def test_the_one_file_of_a_model_may_have_any_name(here, run_cli, name):
    run_cli(*command(name, "a.test.npy"), "-o", "old.npy", "--save", "model.json")
    Path("a.test.npy").rename("scores of today.npy")
    run_cli("apply", "model.json", "scores of today", "-o", "new.npy")
    np.testing.assert_array_equal(np.load("new.npy"), np.load("old.npy"))


@pytest.mark.parametrize("name", ["calibrate matrix", "adapt bbse", "adapt can"])
def test_in_python_a_saved_model_takes_arrays(here, run_cli, name):
    run_cli(*command(name, "a.test.npy"), "-o", "old.npy", "--save", "model.json")
    fitted, scores = load_model("model.json"), np.load("a.test.npy")
    assert fitted.classes_.tolist() == [*range(scores.shape[1])]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* lies far from the prior")  # what CAN says of it
        found = fitted.predict_proba(scores)
    np.testing.assert_allclose(found, np.load("old.npy"), atol=1e-6)
    assert not hasattr(fitted, "out_of_fold_")  # applying takes the map alone


def test_an_adapter_estimates_the_prior_of_every_target_anew(here, run_cli):
    words = command("adapt map", "a.test.npy")
    old = json.loads(run_cli(*words, "--save", "m.json", "--json").stdout)
    new = json.loads(run_cli("apply", "m.json", "a.new.npy", "--json").stdout)
    assert old["saved"] == "m.json"
    assert np.argmax(old["prior"]) == 0
    assert np.argmax(new["prior"]) == 2
    assert new["source_prior"] == old["source_prior"]
    assert new["saved"] is None
    shown = run_cli("apply", "m.json", "a.new.npy", "-o", "again.npy").stdout
    assert shown.startswith("300 rows x 3 classes, logits; map after calibration by matrix on 300")


def test_a_report_and_a_summary_come_with_it(here, run_cli):
    words = (*command("calibrate bcts", "a.test.npy"), "--labels", "labels.test.npy")
    first = json.loads(run_cli(*words, "--save", "m.json", "--json", "-o", "x.npy").stdout)
    words = ("apply", "m.json", "a.test.npy", "--labels", "labels.test.npy", "-o", "y.npy")
    again = json.loads(run_cli(*words, "--json").stdout)
    apart = {"output": None, "saved": None}
    assert first | apart == again | apart
    shown = run_cli(*words, "--overwrite").stdout
    assert "bcts fitted to 300 rows" in shown
    assert "Against as given" in shown


@pytest.fixture
def named(here):
    """The same task in files with class names, whose columns come in several orders."""
    for split, order in (("val", [1, 2, 0]), ("test", [0, 1, 2]), ("new", [2, 0, 1])):
        probs, y = softmax(np.load(f"a.{split}.npy")), np.load(f"labels.{split}.npy")
        names = np.array(["a", "b", "c"])
        save_predictions(f"{split}.npz", probs[:, order], classes=names[order])
        np.save(f"{split}.labels.npy", np.argsort(order)[y])  # as columns of the file
        Path(f"{split}.txt").write_text("\n".join(names[y]) + "\n")
        save_predictions(f"{split}.abc.npz", probs, classes=names)
    return here


@pytest.mark.parametrize("labels", ["val.txt", "val.labels.npy"])
@pytest.mark.parametrize("name", ["calibrate bcts", "adapt map", "auto", "weights"])
def test_labels_follow_columns_of_another_order(named, run_cli, name, labels):
    words = list(command(name, "test.npz"))
    words[words.index("a.val.npy")], words[words.index("labels.val.npy")] = "val.npz", labels
    run_cli(*words, "-o", "found.npz", "--save", "m.json")
    words[words.index("val.npz")], words[words.index(labels)] = "val.abc.npz", "labels.val.npy"
    run_cli(*words, "-o", "expected.npz")
    found, expected = load_predictions("found.npz"), load_predictions("expected.npz")
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert found.classes == expected.classes
    reports = []
    for target, true in (("new.npz", "new.labels.npy"), ("new.abc.npz", "new.txt")):
        words = ("apply", "m.json", target, "--labels", true, "--overwrite", "--json")
        applied = json.loads(run_cli(*words, "-o", "applied.npz").stdout)
        assert load_predictions("applied.npz").classes == ("a", "b", "c")
        reports.append([model["accuracy"] for model in applied["report"]["models"]])
    assert reports[0] == reports[1]
    assert min(reports[0]) > 0.6


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("name", ["calibrate", "ensemble weights"])
def test_labels_of_any_type_follow_columns_of_another_order(named, run_cli, name, dtype):
    fit = ("--fit", "val.npz", "--fit-labels", "val.txt")
    run_cli(*name.split(), "test.npz", *fit, "-o", "x.npz", "--save", "m.json")
    np.save("typed.npy", np.load("new.labels.npy").astype(dtype))
    words = ("apply", "m.json", "new.npz", "--json", "-o", "y.npz", "--overwrite", "--labels")
    got, wanted = (json.loads(run_cli(*words, f).stdout) for f in ("typed.npy", "new.txt"))
    assert got == wanted


@pytest.mark.parametrize("method", ["auto", "ensemble weights"])
def test_labels_follow_files_that_come_in_another_order(here, run_cli, method):
    """Members of a model may come in any order, and each has columns and rows in its own."""
    rng, names = np.random.default_rng(0), np.array(["a", "b", "c"])
    y, ids = np.load("labels.test.npy"), np.array([f"r{i}" for i in range(300)])
    for member, order in (("p", [0, 1, 2]), ("q", [2, 0, 1])):
        rows = rng.permutation(300)
        for split in ("val", "test"):
            noise = rng.normal(size=(300, 3))
            probs = softmax(np.load(f"a.{split}.npy") + noise)
            taken, own = (rows, ids[rows]) if split == "test" else (slice(None), None)
            file = f"{member}.{split}.npz"
            save_predictions(file, probs[taken][:, order], classes=names[order], ids=own)
        np.save(f"{member}.labels.npy", np.argsort(order)[y[rows]])
    lines = (f"{i},{name}" for i, name in zip(ids, names[y], strict=True))
    Path("labels.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    fit = ("--fit", "p.val.npz", "--fit", "q.val.npz", "--fit-labels", "labels.val.npy")
    run_cli(*method.split(), "p.test.npz", "q.test.npz", *fit, "-o", "x.npz", "--save", "m.json")
    found = []
    for first, second in ("pq", "qp"):
        for labels in ("labels.csv", f"{first}.labels.npy"):  # the latter as the first file has it
            words = ("apply", "m.json", f"{first}.test.npz", f"{second}.test.npz", "--json")
            words = (*words, "-o", "x.npz", "--overwrite", "--labels", labels)
            found.append(json.loads(run_cli(*words).stdout))
    assert found[1:] == found[:1] * 3
    assert min(model["accuracy"] for model in found[0]["report"]["models"]) > 0.6


def test_a_target_without_names_gets_those_of_the_model(named, run_cli):
    words = ("calibrate", "test.npz", "--fit", "val.npz", "--fit-labels", "val.txt")
    run_cli(*words, "-o", "x.npz", "--save", "m.json")
    np.save("plain.npy", softmax(np.load("a.new.npy")))
    run_cli("apply", "m.json", "plain.npy", "--labels", "new.txt", "-o", "y.npz")
    assert load_predictions("y.npz").classes == ("a", "b", "c")


JOBS = {name: command(name, "a.test.npy") for name in ("auto", "adapt map", "calibrate bcts")}


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("applied", [False, True], ids=["", "apply"])
def test_a_stopped_job_is_gone_on_with(here, run_cli, monkeypatch, name, applied):
    run_cli = partial(run_cli, obj=Sizes(block=24 * 40, workers=1))
    words = (*JOBS[name], "--save", "m.json")
    whole = json.loads(run_cli(*words, "-o", "whole.npy", "--json").stdout)
    if applied:
        words = ("apply", "m.json", "a.test.npy")
        whole = json.loads(run_cli(*words, "-o", "whole.npy", "--json", "--overwrite").stdout)
    else:
        Path("m.json").unlink()
        Path("m.arrays.npz").unlink(missing_ok=True)
    plain, written = postproc.jobs.write.WritePart.__call__, []

    def call(self, rows):
        if self.target.path.parent.name == ".out.npy.partial":  # not the file aside of adapt
            if stops and len(written) == 3:
                raise KeyboardInterrupt
            written.append(rows)
        return plain(self, rows)

    monkeypatch.setattr(postproc.jobs.write.WritePart, "__call__", call)
    stops = True
    stopped = run_cli(*words, "-o", "out.npy", code=1).stderr
    assert "stopped after 3 of 8 blocks, which are kept; resume with --resume" in stopped
    assert not Path("out.npy").exists()
    assert Path("m.json").exists() == applied  # nothing stands in the way of going on
    stops = False
    other = ("apply", "m.json", "a.new.npy") if applied else (*words, "--seed", "1")
    refused = run_cli(*other, "-o", "out.npy", "--resume", code=1).stderr
    assert "out.npy: cannot be resumed: " in refused
    again = json.loads(run_cli(*words, "-o", "out.npy", "--json", "--resume").stdout)
    assert len(written) == 8
    assert again | {"output": None} == whole | {"output": None}
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()
    assert Path("m.json").exists()
    assert not list(here.glob(".*"))


REFUSED = {
    "exists": (("--save", "old.json", "-o", "x.npy"), 1, "old.json: exists already"),
    "folder": (("--save", "no/m.json", "-o", "x.npy"), 1, "the folder no does not exist"),
    "suffix": (("--save", "m.pkl", "-o", "x.npy"), 1, "must be one of .json"),
    "output": (("--save", "m.json", "-o", "m.json/"), 2, "must not be the output"),
    "same": (("--save", "m.json", "-o", "m.json"), 1, "the suffix of an output must be one of"),
}


@pytest.mark.parametrize("fault", REFUSED)
@pytest.mark.parametrize("name", ["calibrate bcts", "adapt map", "auto", "weights"])
def test_a_model_that_cannot_be_kept_is_refused_before_the_fit(
    here, run_cli, monkeypatch, name, fault
):
    Path("old.json").write_text("mine")
    before = files(here)

    def fit(*args, **options):
        pytest.fail("it was fitted")

    for home in (
        "postproc.calibration.calibrator.Calibrator",
        "postproc.shift.adapter.LabelShiftAdapter",
        "ensemble.base.Ensemble",
    ):
        monkeypatch.setattr(f"{home}.fit", fit)
    options, code, message = REFUSED[fault]
    assert message in run_cli(*command(name, "a.test.npy"), *options, code=code).stderr
    assert files(here) == before


APPLIED = {
    "kind": (
        ("probs.npy",),
        1,
        "`probs.npy` must be logits, which m.json was fitted to",
    ),
    "classes": (("four.npy",), 1, "`four.npy` must be an array of 3 classes like m.json, got 4"),
    "two files": (("a.test.npy", "a.new.npy"), 2, "must be one file for the "),
    "run": ((".",), 2, "of m.json, got a run directory"),
    "missing": (("a.new.npy", "--missing-class", "zero"), 2, "is for ensembles, and m.json is no"),
    "no rows": (("empty.npy",), 1, "`empty.npy` must be an array of one row or more"),
}


@pytest.mark.parametrize("fault", APPLIED)
@pytest.mark.parametrize("name", ["calibrate bcts", "adapt map"])
def test_what_a_model_of_one_file_is_not_applied_to(here, run_cli, name, fault):
    run_cli(*command(name, "a.test.npy"), "-o", "x.npy", "--save", "m.json")
    np.save("probs.npy", softmax(np.load("a.new.npy")))
    np.save("four.npy", np.random.default_rng(0).normal(size=(9, 4)))
    np.save("empty.npy", np.zeros((0, 3)))
    before = files(here)
    words, code, message = APPLIED[fault]
    assert message in run_cli("apply", "m.json", *words, code=code).stderr
    assert files(here) == before


def test_other_class_names_are_refused(named, run_cli):
    words = ("calibrate", "test.npz", "--fit", "val.npz", "--fit-labels", "val.txt")
    run_cli(*words, "-o", "x.npz", "--save", "m.json")
    save_predictions("other.npz", softmax(np.load("a.new.npy")), classes=["a", "b", "x"])
    other = run_cli("apply", "m.json", "other.npz", code=1).stderr
    assert "`class names of other.npz` must be those of m.json, in any order, got 'x' in" in other


def test_files_that_hold_no_model_to_apply(here, run_cli):
    def said(name):
        return run_cli("apply", name, "a.test.npy", "-o", "x.npy", code=1).stderr

    save_model(TemperatureScaling(), "unfitted.json")
    assert "unfitted.json: TemperatureScaling was saved before it was fitted" in said(
        "unfitted.json"
    )
    save_model(identity_map(3), "map.json")
    assert "`model` must be an ensemble, a calibrator, an adapter or a decider" in said("map.json")
    Path("can.json").write_text('{"format_version": 1, "method": "can", "parameters": {}}')
    assert "use --config for the output of postproc tune" in said("can.json")
    run_cli(*command("adapt bbse", "a.test.npy"), "-o", "y.npy", "--save", "m.json")
    Path("later.json").write_text(
        Path("m.json").read_text().replace('"format_version": 1', '"format_version": 2')
    )
    assert "must be 1, got 2; it was saved by a later version of postproc" in said("later.json")
    Path("cut.json").write_text(Path("m.json").read_text()[:400])
    assert "cut.json: cannot be read as JSON" in said("cut.json")
    (arrays,) = Path().glob("m.*.arrays.npz")
    arrays.rename("gone.npz")
    assert f"{arrays}: no such file, but m.json needs its arrays" in said("m.json")
    assert "a.val.npy: cannot be read as JSON" in said("a.val.npy")


@pytest.mark.parametrize("name", ["calibrate bcts", "adapt map", "auto", "weights"])
def test_a_full_disk_at_the_end_says_what_is_written(here, run_cli, monkeypatch, name):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ensemble.saved.json", SimpleNamespace(dumps=full))
    words = (*command(name, "a.test.npy"), "-o", "x.npy", "--save", "m.json")
    told = run_cli(*words, code=1).stderr.splitlines()[-1]
    assert told == "Error: m.json: No space left on device; already written: x.npy"
    assert Path("x.npy").exists()
    assert not Path("m.json").exists()
