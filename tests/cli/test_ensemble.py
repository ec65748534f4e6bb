"""`postproc ensemble` and `postproc apply`: usage, alignment, files written, saved models."""

import json

import numpy as np
import pytest

from ensemble import rank_vote
from postproc import load_predictions, save_predictions, softmax

N_CLASSES = 3


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Three members of a task, as a run directory that is the working folder."""
    rng = np.random.default_rng(0)
    for split, n in (("val", 120), ("test", 90)):
        labels = rng.integers(0, N_CLASSES, n)
        np.save(tmp_path / f"labels.{split}.npy", labels)
        for name, signal in (("good", 2.0), ("fair", 1.0), ("poor", 0.3)):
            logits = signal * np.eye(N_CLASSES)[labels] + rng.normal(size=(n, N_CLASSES))
            scores = softmax(logits) if name == "fair" else logits
            np.save(tmp_path / f"{name}.{split}.npy", scores.astype(np.float32))
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


TEST = ("fair.test.npy", "good.test.npy", "poor.test.npy")
FIT = ("--fit", "fair.val.npy", "--fit", "good.val.npy", "--fit", "poor.val.npy")
LABELS = ("--fit-labels", "labels.val.npy")


def probabilities(path):
    loaded = load_predictions(path)
    assert loaded.kind == "probs"
    return loaded.probabilities()


def test_soft_vote_is_the_mean_of_probabilities(run, run_cli):
    run_cli("ensemble", "soft", *TEST, "-o", "soft.npy", "--weights", "2,1,1")
    members = [load_predictions(path).probabilities() for path in TEST]
    expected = (2 * members[0] + members[1] + members[2]) / 4
    np.testing.assert_allclose(probabilities("soft.npy"), expected, atol=1e-6)
    assert np.load("soft.npy").dtype == np.float32


def test_default_output_lies_beside_the_first_file(run, run_cli):
    run_cli("ensemble", "log", *TEST)
    assert (run / "fair.test.ensemble.npy").is_file()


@pytest.mark.parametrize("method", ["soft", "hard", "log", "median", "rank"])
def test_votes_write_probabilities_and_report(run, run_cli, method):
    result = run_cli(
        "ensemble", method, *TEST, "-o", "out.npz", "--labels", "labels.test", "--json"
    )
    summary = json.loads(result.stdout)
    assert set(summary) == {
        "method",
        "task",
        "rows",
        "classes",
        "members",
        "judged_on",
        "parts",
        "stacker_weight",
        "output",
        "saved",
        "missing_classes",
        "warnings",
        "report",
    }
    assert [member["name"] for member in summary["members"]] == ["fair", "good", "poor"]
    assert [member["kind"] for member in summary["members"]] == ["probs", "logits", "logits"]
    assert summary["judged_on"] == "target"
    assert summary["report"]["baseline"] == "good"
    probs = probabilities("out.npz")
    labels = np.load("labels.test.npy")
    reported = {model["name"]: model["accuracy"] for model in summary["report"]["models"]}
    assert reported[method] == pytest.approx((probs.argmax(axis=1) == labels).mean())
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "method", ["weights", "blend", "calibrated", "greedy", "gumbel", "stack", "bagging", "ytuning"]
)
def test_fitted_methods_are_saved_and_applied(run, run_cli, method):
    args = ["ensemble", method, *TEST, *FIT, *LABELS, "-o", "out.npy", "--save", "model.json"]
    summary = json.loads(run_cli(*args, "--json").stdout)
    assert summary["judged_on"] == "fit"
    assert summary["saved"] == "model.json"
    accuracy = {member["name"]: member["accuracy"] for member in summary["members"]}
    assert accuracy["good"] > accuracy["fair"] > accuracy["poor"]
    # The members of a saved model are known by name, in whatever order they come.
    run_cli("apply", "model.json", *reversed(TEST), "-o", "again.npy")
    np.testing.assert_array_equal(np.load("again.npy"), np.load("out.npy"))


def test_a_run_directory_is_fitted_on_val_and_written_for_test(run, run_cli):
    summary = json.loads(run_cli("ensemble", "weights", ".", "-o", "w.npy", "--json").stdout)
    run_cli("ensemble", "weights", *TEST, *FIT, *LABELS, "-o", "again.npy")
    np.testing.assert_array_equal(np.load("w.npy"), np.load("again.npy"))
    assert summary["report"]["baseline"] == "good"


def test_a_run_directory_can_be_applied_to(run, run_cli):
    run_cli("ensemble", "weights", ".", "-o", "w.npy", "--save", "w.json")
    run_cli("apply", "w.json", ".", "-o", "again.npy")
    np.testing.assert_array_equal(np.load("w.npy"), np.load("again.npy"))


def test_text_shows_weights_solo_accuracy_and_verdict(run, run_cli):
    text = run_cli("ensemble", "weights", ".", "-o", "w.npy").stdout
    assert "weights of 3 members: 90 rows x 3 classes" in text
    assert "accuracy on the fit split, %" in text
    assert "Against good" in text
    assert text.endswith("written: w.npy\n")


def test_quiet_says_nothing(run, run_cli):
    assert run_cli("ensemble", "soft", *TEST, "-o", "out.npy", "--quiet").output == ""


def test_columns_and_rows_follow_their_names(run, run_cli):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 5).astype(np.float32)
    ids = np.array(list("vwxyz"))
    rows, columns = rng.permutation(5), [2, 0, 1]
    (run / "classes.txt").unlink()
    names = np.array(["a", "b", "c"])
    save_predictions("one.csv", probs, classes=names, ids=ids)
    save_predictions("two.npz", probs[rows][:, columns], classes=names[columns], ids=ids[rows])
    run_cli("ensemble", "soft", "one.csv", "two.npz", "-o", "out.csv")
    got = load_predictions("out.csv")
    np.testing.assert_allclose(got.probabilities(), probs, atol=1e-6)
    assert got.classes == ("a", "b", "c")
    assert got.ids.tolist() == ids.tolist()


def test_ids_that_an_npy_cannot_keep_are_warned_of(run, run_cli):
    probs = np.full((2, 3), 1 / 3, np.float32)
    for name in ("one", "two"):
        save_predictions(f"{name}.npz", probs, classes=["a", "b", "c"], ids=["u", "v"])
    result = run_cli("ensemble", "soft", "one.npz", "two.npz", "-o", "out.npy")
    assert "out.npy does not keep row ids" in result.stderr


def test_a_member_that_lacks_a_class_needs_a_word(run, run_cli):
    (run / "classes.txt").unlink()
    save_predictions("one.npz", np.array([[0.2, 0.3, 0.5]]), classes=["a", "b", "c"])
    save_predictions("two.npz", np.array([[0.6, 0.4]]), classes=["a", "b"])
    result = run_cli("ensemble", "soft", "one.npz", "two.npz", "-o", "out.npz", code=1)
    assert "--missing-class zero" in result.stderr
    assert not (run / "out.npz").exists()
    result = run_cli(
        "ensemble", "soft", "one.npz", "two.npz", "-o", "out.npz", "--missing-class", "zero"
    )
    np.testing.assert_allclose(probabilities("out.npz"), [[0.4, 0.35, 0.25]])
    assert "two lacks c; classes that it lacks get probability zero" in result.stderr


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["soft", "nope.npy"], 1, "Error: nope.npy: no such file"),
        (["soft", *TEST, "--weights", "1,2"], 1, "`weights` must be one number per member"),
        (["soft", *TEST, "--weights", "1,2,x"], 2, "'x' is not a valid number"),
        (["soft", *TEST, "--weights", "1,2,-1"], 1, "`weights[2]` must be a finite number >= 0"),
        (["soft", *TEST, *FIT], 2, "soft is not fitted; omit --fit"),
        (["weights", *TEST, "--weights", "1,1,1"], 2, "weights learns its weights"),
        (["soft", *TEST, "--tie", "lowest"], 2, "--tie is for hard and rank, not for soft"),
        (["soft", *TEST, "--metric", "mcc"], 2, "--metric is for greedy, not for soft"),
        (["stack", *TEST, "--size", "2"], 2, "--size is for gumbel, not for stack"),
        (["weights", *TEST], 2, "--fit must be given once for each of the 3 files, got 0"),
        (["weights", *TEST, *FIT], 2, "Missing option '--fit-labels'"),
        (["weights", ".", *FIT], 2, "a run directory has its own; omit --fit"),
        (["weights", ".", "good.test.npy"], 2, "must be files, or a single run directory"),
        (["weights", *TEST, *FIT[2:], *FIT[:2], *LABELS], 2, "must be in the order of PREDS"),
        (["soft", TEST[0], TEST[0]], 2, "must be different files, got fair.test.npy twice"),
        (["soft", *TEST, "good.val.npy"], 1, "rows"),
        (["soft", *TEST, "--labels", "labels.val"], 1, "must be as long as the predictions"),
        (["weights", *TEST, *FIT, "--fit-labels", "labels.test"], 1, "as long as the predictions"),
        (["soft", *TEST, "-o", "good.val.npy"], 1, "exists already"),
        (["soft", *TEST, "--save", "model.pkl"], 1, "must be one of .json"),
        (["best", *TEST], 2, "'best' is not one of"),
    ],
)
def test_faults_write_nothing(run, run_cli, args, code, message):
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    result = run_cli("ensemble", *args, code=code)
    assert message in result.stderr
    assert {path.name: path.stat().st_mtime_ns for path in run.iterdir()} == before


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["model.json", *TEST[:2]], 1, "`members` must be the 3 seen in fit, got 2"),
        (["model.json", "fair.test.npy", "good.test.npy", "other.npy"], 1, "use --by-order"),
        (["model.json", *TEST[:2], "--by-order"], 2, "must be the 3 members of model.json, got 2"),
        (["nope.json", *TEST], 1, "nope.json"),
        (["classes.txt", *TEST], 1, "cannot be read as JSON"),
        (["model.json", "nope.npy"], 1, "nope.npy: no such file"),
    ],
)
def test_apply_refuses_another_set(run, run_cli, args, code, message):
    np.save("other.npy", np.load("poor.test.npy"))
    run_cli("ensemble", "weights", *TEST, *FIT, *LABELS, "-o", "out.npy", "--save", "model.json")
    before = sorted(path.name for path in run.iterdir())
    assert message in run_cli("apply", *args, code=code).stderr
    assert sorted(path.name for path in run.iterdir()) == before


def test_apply_takes_other_names_by_order(run, run_cli):
    run_cli("ensemble", "weights", *TEST, *FIT, *LABELS, "-o", "out.npy", "--save", "model.json")
    for number, name in enumerate(TEST):
        np.save(f"{number}.npy", np.load(name))
    run_cli("apply", "model.json", "0.npy", "1.npy", "2.npy", "--by-order", "-o", "again.npy")
    np.testing.assert_array_equal(np.load("again.npy"), np.load("out.npy"))


def test_apply_refuses_other_kinds(run, run_cli):
    run_cli("ensemble", "weights", *TEST, *FIT, *LABELS, "-o", "out.npy", "--save", "model.json")
    np.save("good.test.npy", softmax(np.load("good.test.npy")))
    result = run_cli("apply", "model.json", *TEST, "-o", "again.npy", code=1)
    assert "`good` must be logits as in fit, got probs" in result.stderr


def test_ranks_over_rows_are_averaged_down_each_column(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        p = rng.random(50)
        np.save(f"{name}.npy", np.c_[1 - p, p])
    assert "--over rows" in run_cli("ensemble", "rank", "a.npy", "b.npy", "-o", "r.npy").stderr
    run_cli(
        "ensemble", "rank", "a.npy", "b.npy", "--over", "rows", "-o", "s.npy", "--save", "m.json"
    )
    expected = rank_vote([np.load("a.npy"), np.load("b.npy")], over="rows")
    np.testing.assert_array_equal(np.load("s.npy"), expected)
    run_cli("apply", "m.json", "a.npy", "b.npy", "-o", "t.npy")
    np.testing.assert_array_equal(np.load("t.npy"), expected)
    assert "--over rows" in run_cli("ensemble", "soft", "a.npy", "--over", "rows", code=2).stderr


def test_accuracies_are_a_column_only_where_labels_tell_them(run, run_cli):
    bare = run_cli("ensemble", "soft", *TEST, "-o", "soft.npy").stdout
    assert "accuracy" not in bare
    judged = run_cli("ensemble", "soft", *TEST, "-o", "two.npy", "--labels", "labels.test.npy")
    assert "accuracy on these rows, %" in judged.stdout


def test_label_embeddings_say_what_they_gain_or_that_they_are_left_out(run, run_cli):
    summary = json.loads(run_cli("ensemble", "ytuning", ".", "-o", "y.npy", "--json").stdout)
    said = summary["label_embeddings"]
    assert (said["weight"] > 0) == (said["gain_ci"][0] > 0)
    text = run_cli("ensemble", "ytuning", ".", "-o", "y2.npy").stdout
    used = f"weight {said['weight']:.3f}" if said["weight"] else "left out, weights alone"
    assert f"label embeddings: {used}; out of fold the log-loss falls by" in text
    assert "training" not in summary
    np.testing.assert_array_equal(np.load("y.npy"), np.load("y2.npy"))


@pytest.mark.parametrize("method", ["stack", "ytuning", "devil"])
def test_training_methods(run, run_cli, method):
    few = ("--epochs", 3, "--seeds", 1, "--head", "bias") if method == "devil" else ()
    args = ("ensemble", method, ".", *few)
    summary = json.loads(
        run_cli(*args, "--training", "fgm=0.1,child_free=.5", "-o", "a.npy", "--json").stdout
    )
    assert summary["training"] == {
        "methods": {"fgm": 0.1, "child_free": 0.5}, "gain": None, "gain_ci": None
    }  # fmt: skip
    text = run_cli(*args, "--training", "auto", "-o", "b.npy").stdout
    assert "; out of fold the log-loss falls by" in text.splitlines()[-2]
    assert text.splitlines()[-2].startswith("training: ")


@pytest.mark.parametrize(
    ("method", "training", "message"),
    [
        ("weights", "auto", "weights has no training methods; omit --training"),
        ("stack", "plain", "must be auto, or methods like fgm=0.5,flooding=0.1, got 'plain'"),
        ("stack", "fgm=1,fgm=2", "must be auto, or methods like"),
        ("stack", "fgm=much", "'fgm=much' is not a valid list of methods nor auto"),
        ("stack", "sam=1", "`training` must be of the methods flooding, fgm, child_free"),
        ("stack", "fgm=-1", "`training['fgm']` must be in (0, inf), got -1"),
    ],
)
def test_training_methods_that_are_none(run, run_cli, method, training, message):
    output = run_cli("ensemble", method, ".", "--training", training, code=2).output
    assert message in output


def test_parts_that_learn_from_all_members_have_rows_of_their_own(run, run_cli):
    args = ["ensemble", "blend", *TEST, *FIT, *LABELS, "-o", "out.npy", "--save", "model.json"]
    text = run_cli(*args).stdout
    assert "(discriminant on all)" in text or "(kernel regression on all)" in text
    found = json.loads(run_cli(*args, "--overwrite", "--json").stdout)
    parts = {part["name"]: part["weight"] for part in found["parts"]}
    assert set(parts) <= {"discriminant", "kernel regression"}
    assert all(f"({name} on all)" in text and f"{w:.3f}" in text for name, w in parts.items())
    again = json.loads(run_cli("apply", "model.json", *TEST, "-o", "x.npy", "--json").stdout)
    assert again["parts"] == found["parts"]


def copies(folder, pairs):
    """Copy files to other names."""
    for source, name in pairs.items():
        (folder / name).write_bytes((folder / source).read_bytes())


def test_members_are_known_without_words_for_splits(run, run_cli):
    copies(run, dict(zip(TEST, ("test_fair.npy", "test_good.npy", "test_poor.npy"), strict=True)))
    copies(run, {"fair.val.npy": "oof_fair.npy", "good.val.npy": "oof_good.npy"})
    copies(run, {"poor.val.npy": "poor-Valid_preds.npy"})
    test = ("test_fair.npy", "test_good.npy", "test_poor.npy")
    run_cli("ensemble", "weights", *test, *FIT, *LABELS, "-o", "w.npy", "--save", "m.json")
    own = ("oof_good.npy", "poor-Valid_preds.npy", "oof_fair.npy")
    result = run_cli("apply", "m.json", *own, "-o", "again.npy")
    said = "members are matched by their names without words for splits: oof_good is test_good"
    assert said in result.stderr
    run_cli("apply", "m.json", *FIT[1::2], "--by-order", "-o", "ordered.npy")
    np.testing.assert_array_equal(np.load("again.npy"), np.load("ordered.npy"))
    assert "without words" not in run_cli("apply", "m.json", *test, "-o", "x.npy").stderr


def test_names_that_are_no_longer_different_are_not_matched(run, run_cli):
    copies(run, {"fair.test.npy": "test_a.npy", "good.test.npy": "sub_a.npy"})
    copies(run, {"fair.val.npy": "oof_a.npy", "good.val.npy": "fit_a.npy"})
    run_cli(
        *("ensemble", "weights", "test_a.npy", "sub_a.npy", *FIT[:4], *LABELS),
        *("-o", "w.npy", "--save", "m.json"),
    )
    result = run_cli("apply", "m.json", "oof_a.npy", "fit_a.npy", "-o", "x.npy", code=1)
    assert "use --by-order" in result.stderr


def test_fit_files_in_another_order_are_refused_whatever_their_splits_are_called(run, run_cli):
    copies(run, {"fair.test.npy": "test_fair.npy", "good.test.npy": "test_good.npy"})
    copies(run, {"fair.val.npy": "oof_fair.npy", "good.val.npy": "oof_good.npy"})
    fit = ("--fit", "oof_good.npy", "--fit", "oof_fair.npy", *LABELS)
    result = run_cli("ensemble", "weights", "test_fair.npy", "test_good.npy", *fit, code=2)
    assert "must be in the order of PREDS (test_fair, test_good)" in result.stderr
