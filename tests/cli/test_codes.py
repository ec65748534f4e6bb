"""Codes on the command line: every error ends with one, and warnings are hidden by theirs."""

import json
from functools import partial

import numpy as np
import pytest

PROBS = np.random.default_rng(0).dirichlet([0.5] * 3, 40)


@pytest.fixture
def run(run_cli):
    """Run a command; messages keep their codes."""
    return partial(run_cli, coded=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files that are refused, each for one reason."""
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", PROBS)
    np.save("four.npy", np.eye(4)[[0, 1, 2, 3] * 10])
    np.save("holes.npy", np.where(np.arange(40)[:, None] == 3, np.nan, PROBS))
    np.save("y.npy", np.arange(40) % 3)
    np.save("odd.npy", np.full(40, 7))
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "truth.csv").write_text("truth,a,b\n0,0.5,0.5\n1,0.2,0.8\n")
    (tmp_path / "classes.csv").write_text("cat,dog,owl\n" + "0.2,0.3,0.5\n" * 40)
    (tmp_path / "others.csv").write_text("cat,dog,fox\n" + "0.2,0.3,0.5\n" * 40)
    (tmp_path / "run").mkdir()
    np.save("run/a.val.npy", PROBS)
    return tmp_path


ERRORS = {
    "PP101": "inspect none.npy",
    "PP102": "can a.npy --prior uniform -o y.npy",
    "PP104": "inspect damaged.npy",
    "PP106": "apply model.json a.npy",
    "PP110": "auto run",
    "PP401": "report a.npy --labels y.npy --groups odd.npy",
    "PP402": "can a.npy",
    "PP403": "inspect truth.csv",
    "PP404": "inspect holes.npy",
    "PP405": "ensemble soft classes.csv others.csv -o out.npy",
    "PP406": "report a.npy --labels odd.npy",
    "PP407": "can a.npy --prior 1,2 -o out.npy",
}


@pytest.mark.parametrize("number", ERRORS)
def test_errors_end_with_the_code_of_their_kind(number, folder, run):
    said = run(*ERRORS[number].split(), code=2 if number == "PP402" else 1).stderr
    assert said.endswith(f" [{number}]\n"), said
    assert said.count("[PP") == 1


#: CAN with a wrong prior, and a report on labels in another order: two warnings in two ways.
WRONG = "can four.npy --prior 97,1,1,1 --overwrite -o out.npy"


def numbers(messages):
    return [message[-6:-1] for message in messages]


def test_warnings_are_hidden_by_their_codes(folder, run):
    everything = json.loads(run(*WRONG.split(), "--json").stdout)["warnings"]
    assert "PP204" in numbers(everything)
    result = run(*WRONG.split(), "--json", "--silence", "PP204")
    left = [message for message in everything if not message.endswith("[PP204]")]
    assert json.loads(result.stdout)["warnings"] == left
    assert [line.removeprefix("Warning: ") for line in result.stderr.splitlines()] == left


@pytest.mark.parametrize("words", ["PP201,pp205", "PP201 --silence PP205"])
def test_codes_may_be_listed_or_repeated(words, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", PROBS)
    rows = "".join(f"{a},{b},{c}\n" for a, b, c in PROBS.tolist())
    (tmp_path / "b.csv").write_text(f"prob_cat,prob_dog,prob_owl\n{rows}")
    soft = ["ensemble", "soft", "a.npy", "b.csv", "-o", "out.npy", "--overwrite"]
    said = run(*soft).stderr.splitlines()
    assert numbers(said) == ["PP201", "PP205"]
    assert run(*soft, "--silence", *words.split()).stderr == ""


def test_suspicions_of_an_inspection_have_codes(folder, run):
    shown = run("inspect", "four.npy", "--json").stdout
    (found,) = json.loads(shown)["predictions"]
    assert set(numbers(found["suspicions"])) == {"PP214"}
    assert "Suspicious" not in run("inspect", "four.npy", "--silence", "PP214").stdout


@pytest.mark.parametrize("word", ["PP999", "PP101", "204", ""])
def test_codes_that_are_none_of_a_warning_are_refused(word, folder, run):
    said = run("can", "a.npy", "--prior", "uniform", f"--silence={word}", code=2).stderr
    assert "must be codes of warnings" in said or "must not be empty" in said
