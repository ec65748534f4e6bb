"""Random command lines: valid ones write probabilities, the same twice; others change nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import postproc
from cli.main import main

N, C = 30, 3
FIT = ["--fit-labels", "y.npy"]


def write_inputs() -> None:
    """Predictions of two models in several formats, with labels and options."""
    rng = np.random.default_rng(0)
    y = np.arange(N) % C
    for name in "ab":
        logits = 2 * np.eye(C)[y] + rng.normal(size=(N, C))
        probs = postproc.softmax(logits)
        np.save(f"{name}.npy", logits)
        postproc.save_predictions(f"{name}.npz", probs, overwrite=True)
        np.save(f"{name}32.npy", probs.astype(np.float32))
        postproc.save_predictions(
            f"{name}.csv", probs, classes=list("uvw"), ids=range(N), overwrite=True
        )
    np.save("y.npy", y)
    np.save("bad.npy", np.full((N, C), np.nan))
    Path("costs.csv").write_text("u,v,w\n0,1,2\n1,0,1\n2,1,0\n")
    Path("empty.csv").write_text("")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The current folder, with inputs."""
    before, place = Path.cwd(), tmp_path_factory.mktemp("lines")
    os.chdir(place)
    write_inputs()
    yield place
    os.chdir(before)


def some(draw, *options):
    """Any of the options, each a list of words, in any number."""
    return [word for words in options if draw(st.booleans()) for word in words]


def one(draw, *choices):
    return draw(st.sampled_from(choices))


@st.composite
def valid(draw):
    """Words of a command that is to succeed, and its output."""
    kind = one(draw, ".npy", ".npz", "32.npy", ".csv")
    a, b = f"a{kind}", f"b{kind}"
    output = one(draw, "o.npy", "o.npz", "o.csv", "o.tsv", "o.csv.gz", "o.jsonl", "o.parquet")
    common = some(draw, ["--quiet"], ["--json"], ["--seed", "3"], ["--labels", "y.npy"])
    command = one(draw, "can", "ensemble", "calibrate", "decide")
    if command == "can":
        words = [a, "--prior", one(draw, "uniform", "1,2,3", "1e-12,1,1", "y.npy")]
        words += some(
            draw,
            ["--all-rows"],
            ["--preset", one(draw, "blog", "paper-code")],
            ["--alpha", one(draw, "0.01", "1", "50")],
            ["--iterations", one(draw, "1", "3", "100")],
            ["--top-k", one(draw, "2", "3", "max")],
            ["--threshold", one(draw, "0", "0.5", "1")],
            ["--smoothing", one(draw, "0", "0.5", "2")],
            ["--reference", b],
            ["--reference-size", "20"],
            ["--labels-out", "l.csv"],
        )
    elif command == "ensemble":
        method = one(draw, "soft", "log", "hard", "median", "rank", "weights", "greedy")
        words = [method, a, b]
        if method in ("weights", "greedy"):
            words += ["--fit", a, "--fit", b, *FIT]
            words += some(draw, ["--save", "m.json"])
        elif method not in ("median",):
            words += some(draw, ["--weights", one(draw, "1,2", "0,1", "0.5,0.5")])
        if method in ("hard", "rank"):
            words += some(draw, ["--tie", one(draw, "support", "lowest", "random")])
        words += some(draw, ["--labels-out", "l.csv"])
    elif command == "calibrate":
        words = [a, "--fit", b, *FIT]
        words += some(
            draw,
            ["--method", one(draw, "temperature", "bcts", "matrix", "structured", "pooled")],
            ["--save", "m.json"],
        )
    else:
        words, output = [a], one(draw, "o.csv", "o.tsv")
        rule = one(draw, [], ["--cost", "costs.csv"], ["--coverage", "0.5"],
                   ["--metric", "macro_f1"], ["--sets", "0.8"], ["--max-error", "0.4"])  # fmt: skip
        if rule and rule[0] == "--cost" and kind != ".csv":
            rule = []
        words += rule
        words += (
            ["--fit", b, *FIT] if rule and rule[0] in ("--metric", "--sets", "--max-error") else []
        )
        if rule[:1] == ["--sets"]:
            words += some(draw, ["--score", one(draw, "lac", "aps")])
        words += some(draw, ["--integers"])
    return [command, *words, *common, "-o", output, "--overwrite"], output


#: Words in the place of others.
WRONG = ["nan", "inf", "-1", "0", "1e999", "1.5", "x", "bad.npy", "missing.npy", "empty.csv", "."]
WRONG += ["1,2,3,4", "y.npy", "o.pkl", "nowhere/o.npy", "a.npy", "uniform", "é", "-o"]


@st.composite
def spoiled(draw):
    """A valid command with words replaced, removed or doubled."""
    words, _ = draw(valid())
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(1, len(words) - 1))
        what = one(draw, "replace", "replace", "remove", "double")
        if what == "replace":
            words[at] = one(draw, *WRONG)
        elif what == "remove" and len(words) > 2:
            del words[at]
        else:
            words.insert(at, words[at])
    return words


def contents():
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(Path().rglob("*"))
        if path.is_file()
    }


def run(words):
    found = CliRunner().invoke(main, words, prog_name="postproc")
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def check_output(command, output):
    """Rows of probabilities must sum to one; decisions are a table."""
    if command == "decide":
        assert len(Path(output).read_text().splitlines()) == N + 1
        return
    loaded = postproc.load_predictions(output)
    assert loaded.kind == "probs"
    assert loaded.n_rows == N
    np.testing.assert_allclose(np.asarray(loaded.scores).sum(axis=1), 1.0, atol=1e-6)


def is_the_same_twice(words, output):
    found = run(words)
    assert found.exit_code == 0, (words, found.output)
    check_output(words[0], output)
    before = {name: data for name, (data, _) in contents().items()}
    assert run(words).exit_code == 0
    assert {name: data for name, (data, _) in contents().items()} == before, words


def is_done_or_refused(words):
    before = contents()
    found = run(words)
    if found.exit_code == 0:
        shutil.rmtree("out", ignore_errors=True)
        for name in contents().keys() - before.keys():
            Path(name).unlink()
        write_inputs()  # an output may have been one of them
        return
    assert found.exit_code in (1, 2), (words, found.output)
    errors = [line for line in found.stderr.splitlines() if line.startswith("Error: ")]
    others = ("Warning: ", "Usage: ", "Try ", "Error: ")
    assert len(errors) == 1, (words, found.stderr)
    assert all(line.startswith(others) or not line for line in found.stderr.splitlines()), words
    assert contents() == before, words


@settings(max_examples=25)
@given(valid())
def test_valid_commands_write_the_same_probabilities_twice(folder, command):
    is_the_same_twice(*command)


@settings(max_examples=40)
@given(spoiled())
def test_other_commands_are_done_or_change_nothing(folder, words):
    is_done_or_refused(words)


@pytest.mark.slow
@settings(max_examples=1000)
@given(valid())
def test_many_valid_commands(folder, command):
    is_the_same_twice(*command)


@pytest.mark.slow
@settings(max_examples=3000)
@given(spoiled())
def test_many_other_commands(folder, words):
    is_done_or_refused(words)
