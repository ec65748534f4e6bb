"""Outputs lie apart from what a command reads, however that is named."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from cli.main import COMMANDS, main
from cli.task.output import FILES

FIT = ("--fit", "val.npy", "--fit-labels", "y.npy")
UNIFORM = ("--prior", "uniform")
SHARD = "shards/part-00000.npy"

#: A command, its output, and what it was given to.
HIT = {
    "fit": (("calibrate", "p.npy", *FIT), "val.npy", "--fit"),
    "labels to fit": (("calibrate", "p.npy", *FIT), "y.npy", "--fit-labels"),
    "another path": (("calibrate", "p.npy", *FIT), "run/../y.npy", "--fit-labels"),
    "no suffix": (("calibrate", "p", "--fit", "val", "--fit-labels", "y"), "y.npy", "--fit-labels"),
    "a link": (("calibrate", "p", "--fit", "val", "--fit-labels", "link"), "y.npy", "--fit-labels"),
    "labels": (("can", "p.npy", *UNIFORM, "--labels", "y"), "y.npy", "--labels"),
    "reference": (("can", "p.npy", *UNIFORM, "--reference", "val.npy"), "val.npy", "--reference"),
    "prior": (("can", "p.npy", "--prior", "y.npy"), "y.npy", "--prior"),
    "a shard": (("can", "shards", *UNIFORM), SHARD, "PREDS"),
    "shards by name": (("can", "shards/part", *UNIFORM), SHARD, "PREDS"),
    "shards to refer to": (("can", "p", *UNIFORM, "--reference", "shards"), SHARD, "--reference"),
    "a member": (("ensemble", "soft", "p.npy", "val.npy"), "val.npy", "PREDS"),
    "a member to fit": (("ensemble", "weights", "p.npy", *FIT), "val.npy", "--fit"),
    "run directory": (("ensemble", "soft", "run"), "run/b.val.npy", "PREDS"),
    "labels of a run": (("auto", "run"), "run/labels.test.npy", "PREDS"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 30)
    np.save("p.npy", p)
    np.save("val.npy", rng.dirichlet(np.ones(3), 30))
    np.save("y.npy", p.argmax(axis=1))
    (tmp_path / "link.npy").symlink_to("y.npy")
    for folder in ("shards", "run"):
        (tmp_path / folder).mkdir()
    np.save(SHARD, p[:20])
    np.save("shards/part-00001.npy", p[20:])
    for split in ("val", "test"):
        for model in "ab":
            np.save(f"run/{model}.{split}.npy", p)
        np.save(f"run/labels.{split}.npy", p.argmax(axis=1))
    return tmp_path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", HIT)
def test_no_output_is_another_input(here, run_cli, name):
    words, output, given_to = HIT[name]
    before = content(here)
    told = run_cli(*words, "-o", output, "--overwrite", code=2).stderr
    said = f"must not be an input, got {output} (given to {given_to})\n"
    assert told.endswith(f"--output: {said}")
    assert content(here) == before


@pytest.mark.parametrize(
    ("words", "option", "target"),
    [
        (("report", "p", "--labels", "y", "--classes", "names.html"), "--html", "names.html"),
        (("bench", "run"), "--csv", "run/b.val.csv"),
    ],
)
def test_no_other_file_that_is_written_is_an_input(here, run_cli, words, option, target):
    (here / "names.html").write_text("a\nb\nc\n")
    (here / "run/b.val.csv").write_text("mine")
    before = content(here)
    told = run_cli(*words, option, target, "--overwrite", code=2).stderr
    assert f"Invalid value for {option}: must not be an input" in told
    assert content(here) == before


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (("can", "p.npy", *UNIFORM), "p.npy"),  # what is made of one file may take its place
        (("can", SHARD, *UNIFORM), SHARD),
        (("can", "p.npy", *UNIFORM), "uniform.npy"),  # a word, and no file
        (("can", "shards", *UNIFORM), "shards/other.npy"),
        (("ensemble", "soft", "run"), "run/soft.npy"),
    ],
)
def test_what_is_not_read_is_replaced_on_request(here, run_cli, words, output):
    if not (here / output).exists():
        (here / output).write_text("old")
    before = content(here)
    run_cli(*words, "-o", output, code=1)
    run_cli(*words, "-o", output, "--overwrite")
    after = content(here)
    assert {path for path in before if before[path] != after[path]} == {here / output}


def test_all_parameters_that_may_name_files_are_known():
    words = {
        "columns",
        "id_column",
        "text_column",
        "label_column",
        "positive",
        "key",
        "title",
        "baseline",
        "scheduler",
        "weights",
        "methods",
        "models",
        "shifts",
    }
    written = {"output", "html", "csv", "markdown", "folder"}
    found = {
        param.name
        for name in COMMANDS
        for param in main.get_command(None, name).params
        if param.type.name in ("text", "path", "file")
    }
    assert found - words - written == set(FILES)


ROWS = [("7", 0.2, 0.8), ("9", 0.6, 0.4)]


def write_rows(path, heading):
    lines = [f"{heading},cat,dog", *(f"{name},{a},{b}" for name, a, b in ROWS)]
    Path(path).write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("heading", ["PassengerId", "row"])
def test_the_heading_of_ids_stays_as_it_came(suffix, heading, tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    write_rows("a.csv", heading)
    Path("y.csv").write_text("id,label\n9,cat\n7,dog\n")
    words = ["can", "a.csv", "--id-column", heading, "--prior", "uniform", "--labels", "y.csv"]
    run_cli(*words, "-o", f"out{suffix}", "--labels-out", "labels.csv")
    if suffix == ".parquet":
        names = pyarrow.parquet.read_schema("out.parquet").names
    else:
        first = Path(f"out{suffix}").read_text().partition("\n")[0]
        names = [*json.loads(first)] if suffix == ".jsonl" else re.split("[,\t]", first)
    assert names == [heading, "cat", "dog"]
    assert Path("labels.csv").read_text().startswith(f"{heading},label\n7,dog\n")
    run_cli(*words, "-o", "x.npy", "--labels-out", "own.csv", "--columns-as", "id:mine")
    assert Path("own.csv").read_text().startswith("mine,label\n")
