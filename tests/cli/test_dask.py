"""Commands with --engine dask give the files, tables and errors of the local engine."""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from postproc.jobs import dask as module
from postproc.jobs.journal import Journal
from postproc.scores.blocks import Sizes

pytest.importorskip("distributed")

N, C = 600, 5


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Two workers that live in another folder than the commands."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with module.dask_engine(workers=2) as made:
            yield made


@pytest.fixture
def dask(engine):
    """Options of a command that is to run on the workers."""
    return "--engine", "dask", "--scheduler", engine.client.scheduler.address


@pytest.fixture
def run_cli(run_cli):
    """Run commands on small blocks."""
    return partial(run_cli, obj=Sizes(block=8 * C * 50))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Files of three members, labels and shards."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, C, N)
    np.save("labels.npy", labels)
    np.save("labels.val.npy", labels[:200])
    for m, name in enumerate("abc"):
        logits = rng.normal(size=(N, C)).astype(np.float32)
        logits[np.arange(N), labels] += 1 + 0.3 * m
        np.save(f"{name}.npy", logits)
        np.save(f"{name}.val.npy", logits[:200] + 0.1)
    shifted = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels)[:100]])
    np.save("shifted.npy", logits[shifted])
    Path("shards").mkdir()
    for number, part in enumerate(np.split(logits, [170, 171, 400])):
        np.save(f"shards/part-{number:05d}.npy", part)
    return tmp_path


FIT = ("--fit", "a.val.npy", "--fit-labels", "labels.val.npy")
FIT_TWO = ("--fit", "a.val.npy", "--fit", "b.val.npy", "--fit-labels", "labels.val.npy")
WRITING = {
    "can": ("can", "a.npy", "--prior", "2,1,1,1,1", "--labels", "labels.npy"),
    "can, deep": ("can", "a.npy", "--prior", "2,1,1,1,1", "--iterations", "3"),
    "can, shards": ("can", "shards", "--prior", "uniform"),
    "soft": ("ensemble", "soft", "a.npy", "b.npy", "shards", "--labels", "labels.npy"),
    "weights": ("ensemble", "weights", "a.npy", "b.npy", *FIT_TWO),
    "calibrate": ("calibrate", "a.npy", *FIT, "--labels", "labels.npy"),
    "adapt": ("adapt", "a.npy", *FIT),
    "auto": ("auto", "shifted.npy", "--fit", "c.val.npy", "--fit-labels", "labels.val.npy"),
    "apply": ("apply", "saved.json", "a.npy", "b.npy"),
}
READING = {
    "report": ("report", "a.npy", "b.npy", "shards", "--labels", "labels.npy"),
    "inspect": ("inspect", "a.npy", "shards"),
}


def summary(result):
    """What a command says, but for where it wrote."""
    found = json.loads(result.stdout)
    found.pop("output")
    return found


@pytest.mark.parametrize("name", WRITING)
def test_the_same_bytes_and_the_same_summary(here, run_cli, dask, name):
    words = WRITING[name]
    if name == "apply":
        run_cli(*WRITING["weights"], "-o", "fitted.npy", "--save", "saved.json")
    local = run_cli(*words, "-o", "local.npy", "--json")
    there = run_cli(*words, "-o", "there.npy", "--json", *dask)
    assert Path("there.npy").read_bytes() == Path("local.npy").read_bytes()
    assert summary(there) == summary(local)
    assert name != "auto" or summary(local)["decision"]["action"] == "adapt"


@pytest.mark.parametrize("name", ["can", "can, deep", "soft", "weights", "calibrate", "adapt"])
@pytest.mark.parametrize("there_first", [False, True])
def test_what_one_engine_has_begun_another_goes_on_with(
    here, run_cli, dask, monkeypatch, name, there_first
):
    first, second = ((), dask) if not there_first else (dask, ())
    words = (*WRITING[name], "-o", "out.npy")
    run_cli(*words, "-o", "whole.npy")
    noted = []

    def note(journal, number, checksum, stats):
        if len(noted) == 3:
            raise OSError(28, "No space left on device")
        noted.append(number)
        write_note(journal, number, checksum, stats)

    write_note = Journal.note
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", note)
        assert "resume with --resume" in run_cli(*words, *first, code=1).stderr
    run_cli(*words, *second, "--resume")
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()


def test_shards_in_parallel(here, run_cli, dask):
    run_cli("can", "shards", "--prior", "uniform", "-o", "local/")
    run_cli("can", "shards", "--prior", "uniform", "-o", "there/", *dask)
    files = sorted(path.name for path in Path("local").iterdir())
    assert len(files) == 4
    assert sorted(path.name for path in Path("there").iterdir()) == files
    for name in files:
        assert Path("there", name).read_bytes() == Path("local", name).read_bytes()


@pytest.mark.parametrize("name", READING)
def test_the_same_reports(here, run_cli, dask, name):
    local = run_cli(*READING[name], "--json")
    there = run_cli(*READING[name], "--json", *dask)
    assert json.loads(there.stdout) == json.loads(local.stdout)


def test_processes_of_its_own(here, run_cli):
    words = ("can", "a.npy", "--prior", "uniform")
    run_cli(*words, "-o", "local.npy")
    told = run_cli(*words, "-o", "there.npy", "--engine", "dask", "--workers", 2).stderr
    assert Path("there.npy").read_bytes() == Path("local.npy").read_bytes()
    assert "Warning: starting Dask took " in told
    assert told.endswith(" s: --engine local is faster for short jobs\n")


def test_data_at_fault_are_told_as_by_the_local_engine(here, run_cli, dask):
    scores = np.load("a.npy")
    scores[511, 3] = np.nan
    np.save("a.npy", scores)
    words = ("can", "a.npy", "--prior", "uniform", "-o", "out.npy")
    local = run_cli(*words, code=1)
    there = run_cli(*words, *dask, code=1)
    assert "row 511, column 3" in local.stderr
    assert there.stderr == local.stderr
    assert not Path("out.npy").exists()


def test_an_unreachable_scheduler_is_one_line(here, run_cli, monkeypatch):
    monkeypatch.setattr(module, "dask_engine", partial(module.dask_engine, timeout=0.5))
    words = ("inspect", "a.npy", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9")
    told = run_cli(*words, code=1).stderr
    address = "tcp://127.0.0.1:9"
    assert told == f"Error: `--scheduler` must be an address that answers, got {address}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--workers", 2), "--workers requires --engine dask"),
        (("--scheduler", "tcp://x:1"), "--scheduler requires --engine dask"),
        (
            ("--engine", "dask", "--scheduler", "tcp://x:1", "--workers", 2),
            "omit it with --scheduler",
        ),
        (("--engine", "dask", "--workers", 0), "`workers` must be an integer >= 1, got 0"),
        (("--engine", "spark"), "'spark' is not one of 'local', 'dask'"),
    ],
)
def test_options_that_do_not_go_together(here, run_cli, words, told):
    for command in (("inspect", "a.npy"), ("can", "a.npy", "--prior", "uniform")):
        assert told in run_cli(*command, *words, code=2).stderr


def test_without_dask_it_says_how_to_get_it(here, run_cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    told = run_cli("inspect", "a.npy", "--engine", "dask", code=1).stderr
    assert told == 'Error: the dask engine requires Dask; pip install "postproc[dask]"\n'
