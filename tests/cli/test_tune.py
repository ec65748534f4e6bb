"""`postproc tune`: what it writes is read by `can` and `apply`, and every way to get it wrong."""

import json
import re

import numpy as np
import pytest

from cli.progress import Pace
from ensemble import load_model
from postproc import softmax
from postproc.can.options import CANOptions, load_can_options, save_can_options
from postproc.can.tuning import tune_can

KEYS = ["method", "options", "reason", "task", "rows", "classes", "accuracy", "metric"]
KEYS += [
    "nested_gain",
    "nested_gain_ci",
    "nested_fixed",
    "nested_broken",
    "candidate",
    "fold_candidates",
]
KEYS += ["n_folds", "n_repeats", "seed", "settings", "kind", "output", "warnings"]
QUICK = ("--alpha", "1,2", "--iterations", "1,2", "--threshold", "0.5", "--folds", "3")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Predictions that CAN improves (helped), and some that it does not (plain)."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    labels = rng.choice(3, 300, p=[0.1, 0.45, 0.45])
    probs = np.full((300, 3), 0.02)
    probs[np.arange(300), labels] = 0.96
    doubtful = np.flatnonzero((rng.random(300) < 0.4) & (labels != 0))
    probs[doubtful] = 0.02
    probs[doubtful, 0] = 0.5
    probs[doubtful, labels[doubtful]] = 0.48
    np.save("helped.val.npy", probs)
    np.save("labels.npy", labels)
    scores = rng.normal(size=(300, 3))
    scores[np.arange(300), labels] += 9
    np.save("plain.val.npy", scores)
    return tmp_path


def test_can_reads_what_tune_writes(here, run_cli):
    words = ("helped.val.npy", "--labels", "labels", *QUICK)
    result = run_cli("tune", "can", *words, "-o", "can.json")
    assert result.stdout.startswith("300 rows x 3 classes, probs: 32 settings, 3 folds, 1 repeat;")
    assert result.stdout.endswith("written: can.json\n")
    options = load_can_options("can.json")
    grid = {"alpha": [1, 2], "iterations": [1, 2], "threshold": [0.5]}
    tuned = tune_can(np.load("helped.val.npy"), np.load("labels.npy"), grid=grid, n_folds=3)
    assert options == tuned.options
    run_cli("can", "helped.val.npy", "--prior", "labels", "--config", "can.json", "-o", "a.npy")
    after = np.load("a.npy").argmax(1) == np.load("labels.npy")
    assert after.mean() > (np.load("helped.val.npy").argmax(1) == np.load("labels.npy")).mean()
    evidence = json.loads((here / "can.json").read_text())["evidence"]
    assert evidence["nested_gain"] == tuned.nested_gain > 0
    assert "settings" not in evidence


def test_can_is_judged_by_another_metric(here, run_cli):
    words = ("helped.val.npy", "--labels", "labels", *QUICK, "--metric", "macro_f1", "--json")
    found = json.loads(run_cli("tune", "can", *words, "-o", "can.json").stdout)
    grid = {"alpha": [1, 2], "iterations": [1, 2], "threshold": [0.5]}
    arrays = np.load("helped.val.npy"), np.load("labels.npy")
    tuned = tune_can(*arrays, grid=grid, n_folds=3, metric="macro_f1")
    assert found["metric"] == "macro_f1"
    assert found["nested_gain"] == tuned.nested_gain > 0


def test_can_is_judged_by_one_metric_of_classes(here, run_cli):
    words = ("tune", "can", "helped.val.npy", "--labels", "labels", "--metric")
    assert "must be one metric for can" in run_cli(*words, "mcc,kappa", code=2).stderr
    assert "one of predicted classes" in run_cli(*words, "auc", code=1).stderr


def test_nothing_to_gain_is_written_as_such_and_can_leaves_all_rows(here, run_cli):
    result = run_cli("tune", "can", "plain.val.npy", "--labels", "labels", *QUICK)
    assert "chosen: unchanged predictions; " in result.stdout
    path = here / "plain.val.can.json"
    assert json.loads(path.read_text())["parameters"] == {"threshold": None}
    result = run_cli(
        "can", "plain.val.npy", "--prior", "1,1,98", "--config", path, "-o", "a.npy", "--json"
    )
    found = json.loads(result.stdout)
    assert (found["ambiguous"], found["changed"]) == (0, 0)
    assert found["warnings"] == ["the configuration leaves every row unchanged"]
    np.testing.assert_allclose(np.load("a.npy"), softmax(np.load("plain.val.npy")))


def test_json_is_one_object_and_nothing_else(here, run_cli):
    result = run_cli("tune", "can", "helped.val", "--labels", "labels", *QUICK, "--json")
    found = json.loads(result.stdout)
    assert sorted(found) == sorted(KEYS)
    assert found["output"].endswith("helped.val.can.json")
    assert found["nested_gain_ci"][0] > 0
    assert len(found["settings"]) == 32
    assert result.stderr == ""


def test_quiet_says_nothing_and_progress_goes_to_stderr(here, run_cli):
    words = ("tune", "can", "helped.val.npy", "--labels", "labels", *QUICK, "--overwrite")
    result = run_cli(*words, "--quiet")
    assert result.stdout == result.stderr == ""
    result = run_cli(*words, obj=Pace(line_every=-1.0))
    assert re.search(r"^tuning: \d+ %, \d+ s left$", result.stderr, re.MULTILINE)
    assert "tuning" not in result.stdout


def test_prior_seed_and_repeats_reach_the_search(here, run_cli):
    words = ("tune", "can", "helped.val.npy", "--labels", "labels", *QUICK, "--json", "--overwrite")
    found = json.loads(
        run_cli(
            *words, "--prior", "1,45,45", "--seed", 4, "--repeats", 2, "--top-k", "2,max"
        ).stdout
    )
    wanted = tune_can(
        np.load("helped.val.npy"),
        np.load("labels.npy"),
        grid={"alpha": [1, 2], "iterations": [1, 2], "threshold": [0.5], "top_k": [2, "max"]},
        prior=[1.0, 45.0, 45.0],
        seed=4,
        n_repeats=2,
        n_folds=3,
    )
    assert {key: found[key] for key in wanted.to_dict()} == json.loads(json.dumps(wanted.to_dict()))


def test_a_class_without_labels_is_warned_of(here, run_cli):
    labels = np.load("labels.npy")
    np.save("two.npy", np.where(labels == 0, 1, labels))
    result = run_cli("tune", "can", "helped.val.npy", "--labels", "two", *QUICK)
    assert "Warning: 1 of 3 classes have no label, class 0 first" in result.stderr


def test_greedy_writes_an_ensemble_that_apply_takes(here, run_cli):
    rng = np.random.default_rng(3)
    np.save("noise.val.npy", rng.dirichlet([0.1] * 3, 300))
    words = ("helped.val.npy", "noise.val.npy")
    result = run_cli("tune", "greedy", *words, "--labels", "labels", "--bags", 1, "-o", "g.json")
    assert "chosen: n_bags 1, metric accuracy" in result.stdout
    run_cli("apply", "g.json", *words, "-o", "a.npy")
    expected = load_model("g.json").predict_proba([np.load(word) for word in words])
    np.testing.assert_allclose(np.load("a.npy"), expected)
    more = ("--bags", 1, "--metric", "log_loss", "--json", "-o", "l.json")
    found = json.loads(run_cli("tune", "greedy", *words, "--labels", "labels", *more).stdout)
    assert found["metric"] == "log_loss"
    assert len(found["settings"]) == 3
    more = ("--bags", 1, "--metric", "log_loss,auc", "-o", "m.json")
    said = run_cli("tune", "greedy", *words, "--labels", "labels", *more).stdout
    assert "2 settings" in said
    assert "gain in log_loss" in said


def test_greedy_that_gains_nothing_writes_soft_voting(here, run_cli):
    words = ("plain.val.npy", "helped.val.npy")
    result = run_cli(
        "tune", "greedy", words[0], words[0], "--labels", "labels", "--bags", 1, code=2
    )
    assert "must be different files" in result.stderr
    np.save("twin.val.npy", np.load("plain.val.npy"))
    words = ("plain.val.npy", "twin.val.npy", "--labels", "labels", "--bags", 1, "-o", "g.json")
    result = run_cli("tune", "greedy", *words, "--json")
    assert json.loads(result.stdout)["options"] is None
    np.testing.assert_array_equal(load_model("g.json").member_weights_, [0.5, 0.5])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("can", "a", "b", "--labels", "y"), "Invalid value for VAL: must be one file for can"),
        (("can", "a"), "Missing option '--labels'"),
        (("can", "a", "--labels", "y", "--alpha", "1,x"), "'x' is not a valid number"),
        (("can", "a", "--labels", "y", "--alpha", "0"), "`alpha` must be in (0, 1000], got 0.0"),
        (("can", "a", "--labels", "y", "--top-k", "1"), "`top_k` must be an integer >= 2, got 1"),
        (("can", "a", "--labels", "y", "--folds", "2"), "2 is not in the range x>=3"),
        (("can", "a", "--labels", "y", "--bags", "3"), "--bags is not an option of can"),
        (("greedy", "a", "--labels", "y", "--alpha", "1"), "--alpha is not an option of greedy"),
        (
            ("greedy", "a", "--labels", "y", "--prior", "uniform"),
            "--prior is not an option of greedy",
        ),
        (("temperature", "a", "--labels", "y"), "'temperature' is not one of 'can', 'greedy'"),
    ],
)
def test_faults_of_the_command_line(here, run_cli, words, message):
    assert message in run_cli("tune", *words, code=2).stderr


def test_faults_of_the_data(here, run_cli):
    words = ("tune", "can", "helped.val.npy", "--labels", "labels", "-o")
    (here / "can.json").write_text("mine")
    assert "exists already" in run_cli(*words, "can.json", code=1).stderr
    assert (here / "can.json").read_text() == "mine"
    assert "the suffix of an output must be one of .json" in run_cli(*words, "a.npy", code=1).stderr
    np.save("short.npy", np.load("labels.npy")[:9])
    result = run_cli("tune", "can", "helped.val.npy", "--labels", "short", code=1)
    assert "300 rows" in result.stderr


def test_evidence_is_kept_and_not_read(tmp_path):
    path = tmp_path / "can.json"
    save_can_options(path, CANOptions(alpha=2.0), evidence={"nested_gain": 0.01})
    assert load_can_options(path) == CANOptions(alpha=2.0)
    assert json.loads(path.read_text())["evidence"] == {"nested_gain": 0.01}
