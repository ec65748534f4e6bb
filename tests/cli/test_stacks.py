"""(m, n, C) arrays on the command line: m members."""

import json

import numpy as np
import pytest

from ensemble import soft_vote
from postproc import softmax


@pytest.fixture
def stacks(tmp_path, monkeypatch):
    """Probabilities of three models for rows to fit to and for others, and labels of both."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    made = {}
    for split in ("val", "test"):
        y = rng.integers(0, 3, 80)
        made[split] = softmax(2 * np.eye(3)[y] + rng.normal(size=(3, 80, 3))), y
        np.save(f"{split}.npy", made[split][0])
        np.save(f"{split}_y.npy", y)
        for m in range(3):
            np.save(f"m{m}.{split}.npy", made[split][0][m])
    return made


def test_a_stack_is_as_many_members(stacks, run_cli):
    done = json.loads(run_cli("ensemble", "soft", "test.npy", "-o", "soft.npy", "--json").stdout)
    assert [member["name"] for member in done["members"]] == ["test[0]", "test[1]", "test[2]"]
    np.testing.assert_array_equal(np.load("soft.npy"), soft_vote(list(stacks["test"][0])))
    words = ["report", "test.npy", "m0.val.npy", "--labels", "test_y.npy", "--json"]
    models = json.loads(run_cli(*words, "--baseline", "test[1]").stdout)["models"]
    assert [model["name"] for model in models] == ["test[1]", "test[0]", "test[2]", "m0"]
    run_cli("report", "test.npy", "--labels", "test_y.npy", "--diversity")
    found = json.loads(run_cli("inspect", "test.npy", "--json").stdout)["predictions"]
    assert [each["name"] for each in found] == ["test.npy[0]", "test.npy[1]", "test.npy[2]"]


@pytest.mark.parametrize("words", [["ensemble", "weights"], ["auto"]])
def test_stacks_are_fitted_saved_and_applied_like_files(stacks, run_cli, words):
    fit = ["--fit", "val.npy", "--fit-labels", "val_y.npy", "--save", "m.json"]
    run_cli(*words, "test.npy", *fit, "-o", "stack.npy")
    run_cli("apply", "m.json", "test.npy", "-o", "again.npy")
    files = [word for m in range(3) for word in ("--fit", f"m{m}.val.npy")]
    names = [f"m{m}.test.npy" for m in range(3)]
    run_cli(*words, *names, *files, "--fit-labels", "val_y.npy", "-o", "files.npy")
    np.testing.assert_allclose(np.load("stack.npy"), np.load("files.npy"), atol=1e-12)
    np.testing.assert_array_equal(np.load("again.npy"), np.load("stack.npy"))
    run_cli("apply", "m.json", *names, "--by-order", "-o", "ordered.npy")
    np.testing.assert_array_equal(np.load("ordered.npy"), np.load("stack.npy"))
    assert "the 3 seen in fit" in run_cli("apply", "m.json", "m0.test.npy", code=1).stderr


def test_commands_of_one_model_say_what_a_stack_is(stacks, run_cli):
    said = run_cli("can", "test.npy", "--prior", "uniform", code=1).stderr
    assert "(m, n, C) stack holds m members" in said


def test_inspect_says_what_was_done_to_a_file(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("prob_cat,prob_dog\n0.2,0.8\n0.9,0.1\n")
    assert "note: the prefix 'prob_'" in run_cli("inspect", "a.csv").stdout
    found = json.loads(run_cli("inspect", "a.csv", "--json").stdout)["predictions"][0]
    assert "prefix 'prob_'" in found["notes"][0]
