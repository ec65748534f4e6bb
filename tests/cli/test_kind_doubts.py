"""What commands say of logits that look like probabilities."""

import json

import numpy as np
import pytest

CELL = (
    "a.npy is read as logits since -1e-07 lies outside [0, 1], but its rows sum to 1: "
    "declare --probs (after clipping) or --logits"
)
DECLARED = (
    "preds.npy: declared logits, but every row sampled is a probability vector; "
    "declare --probs if they are"
)
PRIOR = ("--prior", "1,1,1,1")


@pytest.fixture
def here(tmp_path, monkeypatch, probs):
    monkeypatch.chdir(tmp_path)
    np.save("preds.npy", probs)
    np.save("logits.npy", np.log(probs + 1e-6))
    np.savez("keyed.npz", logits=probs)
    cell = probs.copy()
    cell[7] = [0, 1, 0, -1e-7]
    np.save("a.npy", cell)
    np.save("y.npy", probs.argmax(axis=1))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("can", "a", *PRIOR, "-o", "out.npy"),
        ("ensemble", "soft", "a", "logits", "-o", "out.npy"),
        ("report", "logits", "a", "--labels", "y"),
        ("calibrate", "logits", "--fit", "a", "--fit-labels", "y", "-o", "out.npy"),
        ("tune", "can", "a", "--labels", "y", "--grid", "default", *PRIOR, "-o", "out.json"),
    ],
)
def test_commands_warn_once_and_not_if_quiet(here, run_cli, words):
    assert run_cli(*words).stderr.count(f"Warning: {CELL}\n") == 1
    for made in here.glob("out.*"):
        made.unlink()
    assert "is read as logits" not in run_cli(*words, "--quiet").stderr


@pytest.mark.parametrize("words", [("preds", "--logits"), ("keyed.npz",)])
def test_declared_logits_that_are_probabilities(here, run_cli, words):
    said = run_cli("can", *words, *PRIOR, "-o", "out.npy").stderr
    name = "keyed.npz" if words == ("keyed.npz",) else "preds.npy"
    assert f"Warning: {DECLARED.replace('preds.npy', name)}\n" in said


@pytest.mark.parametrize(
    "words",
    [("preds",), ("preds", "--probs"), ("logits",), ("logits", "--logits"), ("a", "--logits")],
)
def test_nothing_is_said_without_a_doubt(here, run_cli, words):
    assert run_cli("ensemble", "soft", *words, "-o", "out.npy").stderr == ""
    found = json.loads(run_cli("inspect", *words, "--json").stdout)["predictions"]
    assert not [each for each in found[0]["suspicions"] if "logits" in each]


def test_inspect_lists_it_as_suspicious(here, run_cli):
    shown = run_cli("inspect", "a")
    assert f"Suspicious: {CELL}" in shown.stdout.splitlines()
    assert shown.stderr == ""
    found = json.loads(run_cli("inspect", "preds", "--logits", "--json").stdout)["predictions"]
    assert DECLARED in found[0]["suspicions"]


def test_multilabel_rows_need_no_sum(here, run_cli):
    said = run_cli("can", "a", "--multilabel", "--prior", "1,1", "-o", "out.npy").stderr
    assert "is read as logits" not in said
