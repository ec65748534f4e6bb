"""What commands say of labels and members that do not belong together."""

import json

import numpy as np
import pytest

from postproc.evaluation.agreement import LEAST_ROWS, is_chance
from postproc.evaluation.changes import Confusions

N, C = 300, 6
BY_CHANCE = "no better than with labels in random order"
FIT = ("--fit", "a.val.npy", "--fit-labels", "labels.val.npy")
FIT_BOTH = ("--fit", "a.val.npy", "--fit", "b.val.npy", "--fit-labels", "labels.val.npy")
LEARN = {
    "calibrate": ("calibrate", "a.test.npy", *FIT),
    "adapt": ("adapt", "a.test.npy", *FIT),
    "weights": ("ensemble", "weights", "a.test.npy", "b.test.npy", *FIT_BOTH),
    "auto": ("auto", "a.test.npy", "b.test.npy", *FIT_BOTH),
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    for split in ("val", "test"):
        labels = rng.integers(0, C, N)
        np.save(f"labels.{split}.npy", labels)
        for name in "ab":
            logits = 3 * np.eye(C)[labels] + rng.normal(size=(N, C))
            np.save(f"{name}.{split}.npy", logits)


def reverse(path, axis=0):
    np.save(path, np.flip(np.load(path), axis))


@pytest.mark.parametrize("name", LEARN)
def test_labels_in_another_order_are_doubted(run_cli, name):
    words = (*LEARN[name], "-o", "out.npy", "--overwrite")
    assert BY_CHANCE not in run_cli(*words).stderr
    np.save("labels.val.npy", C - 1 - np.load("labels.val.npy"))
    told = run_cli(*words, "--json")
    assert f"with the labels of the rows fitted to {BY_CHANCE}" in told.stderr
    assert any(BY_CHANCE in warning for warning in json.loads(told.stdout)["warnings"])


def test_a_report_doubts_labels_too(run_cli):
    words = ("report", "a.test.npy", "b.test.npy", "--labels", "labels.test.npy", "--json")
    told = run_cli(*words)
    assert (told.stderr, json.loads(told.stdout)["warnings"]) == ("", [])
    reverse("b.test.npy", axis=1)
    told = run_cli(*words)
    (warning,) = json.loads(told.stdout)["warnings"]
    assert warning.startswith("b (")
    assert warning.endswith(f"with the labels {BY_CHANCE}; do both files have their rows and "
                            "classes in the same order?")  # fmt: skip
    assert told.stderr == f"Warning: {warning}\n"
    assert run_cli(*words[:-1], "--quiet").stderr == ""


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["weights", "auto"])
def test_a_member_in_another_order_on_the_target_is_named(run_cli, name, axis):
    words = (*LEARN[name], "-o", "out.npy", "--overwrite")
    assert "closest" not in run_cli(*words).stderr
    reverse("b.test.npy", axis)
    assert "b agrees with the member closest to it on" in run_cli(*words).stderr


@pytest.mark.parametrize("name", LEARN)
def test_rows_that_are_fitted_to_and_judged_are_told(run_cli, name):
    words = [word.replace("test", "val") for word in LEARN[name]]
    words[words.index("--fit") + 1] = "a.val"  # a suffix left out
    said = "PREDS are also fitted to: a gain on them does not carry over to other rows"
    assert said in run_cli(*words, "-o", "out.npy").stderr
    assert said not in run_cli(*LEARN[name], "-o", "out.npy", "--overwrite").stderr


def test_a_target_that_few_rows_speak_for_is_doubted(run_cli):
    rng = np.random.default_rng(0)
    np.save("a.test.npy", 2 * np.eye(C)[np.zeros(N, int)] + rng.normal(size=(N, C)))
    labels = np.r_[np.zeros(4, int), rng.integers(1, C, N - 4)]
    np.save("labels.val.npy", labels)
    np.save("a.val.npy", 2 * np.eye(C)[labels] + rng.normal(size=(N, C)))
    told = run_cli("auto", "a.test.npy", *FIT, "-o", "out.npy", "--json")
    decision = json.loads(told.stdout)["decision"]
    assert decision["action"] == "adapt"
    assert decision["effective_rows"] < 20
    assert "is so unlike the fit rows that only" in told.stderr


def test_z_of_confusions_is_that_of_all_orders():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 3, (2, 40))
    predicted[:15] = labels[:15]
    right = [np.sum(rng.permutation(labels) == predicted) for _ in range(20_000)]
    found = Confusions(labels, predicted, 3).z_of_order()
    wanted = (np.sum(labels == predicted) - np.mean(right)) / np.std(right)
    assert found == pytest.approx(wanted, rel=0.03)
    assert np.isnan(Confusions(labels, np.ones(40, int), 3).z_of_order())


def test_few_rows_tell_nothing():
    assert is_chance(0.0, LEAST_ROWS)
    assert not is_chance(0.0, LEAST_ROWS - 1)
    assert not is_chance(np.nan, 1000)
    assert not is_chance(2.0, 1000)


@pytest.mark.parametrize("name", LEARN)
def test_a_saved_model_knows_the_rows_that_it_was_fitted_to(run_cli, name):
    words = LEARN[name]
    members = words[words.index("--fit") + 1 : words.index("--fit-labels")]
    members = [word for word in members if word != "--fit"]
    run_cli(*words, "-o", "out.npy", "--save", "model.json", "--overwrite")
    said = "PREDS are also fitted to"
    again = run_cli("apply", "model.json", *members, "-o", "again.npy", "--overwrite", "--by-order")
    assert said in again.stderr
    targets = [member.replace("val", "test") for member in members]
    other = run_cli("apply", "model.json", *targets, "-o", "again.npy", "--overwrite", "--by-order")
    assert said not in other.stderr


def test_rows_fitted_to_among_others_are_counted(run_cli):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(C), N)
    ids = np.array([f"r{row}" for row in range(N)])
    np.savez("all.npz", probs=probs, ids=ids)
    np.savez("part.npz", probs=probs[5:45], ids=ids[5:45])
    np.save("y.npy", rng.integers(0, C, 40))
    words = ("--fit", "part.npz", "--fit-labels", "y.npy", "-o", "out.npz", "--overwrite")
    assert (
        f"40 of the {N} rows of PREDS are also fitted to"
        in run_cli("calibrate", "all.npz", *words).stderr
    )
    np.savez("part.npz", probs=probs[-40:], ids=ids[5:45])  # the names of other rows
    assert "also fitted to" not in run_cli("calibrate", "all.npz", *words).stderr
