"""Outputs written block by block: whole or not at all, and gone on with where they were stopped."""

import errno
import json
import os
import pickle
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from postproc import load_predictions
from postproc.files import paths
from postproc.jobs.engine import LocalEngine
from postproc.jobs.journal import Journal
from postproc.jobs.locks import lock_path
from postproc.jobs.outputs import make_target
from postproc.jobs.write import Output, StoppedError, write
from postproc.scores.blocks import Sizes
from postproc.scores.checks import fail, fail_type
from postproc.scores.sources import SourceChangedError
from tests.postproc.shuffled import Shuffled

N, C = 23, 4
CUTS = tuple(slice(start, min(start + 5, N)) for start in range(0, N, 5))
ROWS = np.random.default_rng(0).dirichlet(np.ones(C), N)


class Rows:
    """A part that gives known rows, and can fail."""

    def __init__(self, fail_at=None, error=None):
        self.fail_at, self.error = fail_at, error
        self.computed = []

    def __call__(self, rows):
        if rows.start == self.fail_at:
            if callable(self.error):
                self.error()
            else:
                raise self.error
        self.computed.append(rows.start)
        return ROWS[rows], {"start": rows.start, "sums": ROWS[rows].sum(axis=0)}


def output(path, **more):
    return Output(path, (N, C), np.dtype(np.float64), **more)


def run(part, out, engine=None, signature=None, **options):
    signature = {"options": {"alpha": 1.0}} if signature is None else signature
    return list(write(engine or LocalEngine(1), part, CUTS, out, signature=signature, **options))


def stop(out, at=15, error=None):
    with pytest.raises(StoppedError) as stopped:
        run(Rows(at, error or KeyboardInterrupt()), out)
    return str(stopped.value)


def check(out, stats):
    np.testing.assert_array_equal(load_predictions(out.path).scores[:], ROWS)
    assert [block["start"] for block in stats] == [cut.start for cut in CUTS]
    for block, rows in zip(stats, CUTS, strict=True):
        np.testing.assert_array_equal(block["sums"], ROWS[rows].sum(axis=0))
    assert not out.partial.exists()


TARGETS = ["out.npy", "out.npz", "out.csv", "shards", "out.zarr"]


@pytest.fixture(params=TARGETS)
def out(request, tmp_path):
    if request.param == "out.zarr":
        pytest.importorskip("zarr")
    return output(
        tmp_path / request.param, edges=(0, 7, 8, 23) if request.param == "shards" else ()
    )


@pytest.mark.parametrize("engine", [LocalEngine(1), Shuffled(3)], ids=["local", "shuffled"])
def test_an_output_is_written_whole(out, engine):
    told = []
    check(out, run(Rows(), out, engine, watch=told.append))
    assert sum(told) == N
    assert [path.name for path in out.path.parent.iterdir()] == [out.path.name]


@pytest.mark.parametrize("engine", [LocalEngine(1), Shuffled(1)], ids=["local", "shuffled"])
def test_a_stopped_job_is_gone_on_with(out, engine):
    stopped = stop(out)
    assert stopped == (
        "interrupted; stopped after 3 of 5 blocks, which are kept; resume with --resume"
    )
    assert not out.path.exists()
    part = Rows()
    check(out, run(part, out, engine, resume=True))
    assert sorted(part.computed) == [15, 20]


def test_resumed_bytes_are_those_of_one_run(tmp_path):
    once, twice = output(tmp_path / "once.npy"), output(tmp_path / "twice.npy")
    run(Rows(), once)
    stop(twice, at=5)
    run(Rows(), twice, resume=True)
    assert once.path.read_bytes() == twice.path.read_bytes()


def test_without_resume_all_is_done_anew(out):
    stop(out)
    part = Rows()
    check(out, run(part, out))
    assert len(part.computed) == 5


def test_resume_without_anything_kept_starts_from_the_first_block(out):
    part = Rows()
    check(out, run(part, out, resume=True))
    assert len(part.computed) == 5


def test_a_block_that_was_damaged_is_computed_again(tmp_path):
    out = output(tmp_path / "out.npy")
    stop(out)
    with (out.partial / "rows.npy").open("r+b") as file:
        file.seek(128 + 6 * C * 8)
        file.write(b"damage")
    part = Rows()
    check(out, run(part, out, resume=True))
    assert part.computed == [5, 15, 20]


def test_a_journal_that_was_cut_off_loses_its_last_block_only(out):
    stop(out)
    journal = out.partial / "journal.jsonl"
    os.truncate(journal, journal.stat().st_size - 3)
    part = Rows()
    check(out, run(part, out, resume=True))
    assert part.computed == [10, 15, 20]


@pytest.mark.parametrize("damage", [b"", b"nonsense\n", b'{"journal": 99}\n'])
def test_a_damaged_journal_is_an_error(tmp_path, damage):
    out = output(tmp_path / "out.npy")
    stop(out)
    (out.partial / "journal.jsonl").write_bytes(damage)
    with pytest.raises(ValueError, match=r"out.npy: cannot be resumed: its journal is damaged"):
        run(Rows(), out, resume=True)


def test_a_journal_of_another_version_is_refused(tmp_path):
    out = output(tmp_path / "out.npy")
    stop(out)
    head = {"journal": 2, "token": 32 * "0", "job": {}}
    (out.partial / "journal.jsonl").write_text(json.dumps(head) + "\n")
    with pytest.raises(ValueError, match=r"it was started by another version of postproc"):
        run(Rows(), out, resume=True)


def test_another_job_is_not_gone_on_with_and_nothing_is_lost(tmp_path):
    out = output(tmp_path / "out.npy")
    stop(out)
    wanted = r"cannot be resumed: `options.alpha` was 1.0 and is 2.0 now; omit --resume to"
    with pytest.raises(ValueError, match=wanted):
        run(Rows(), out, signature={"options": {"alpha": 2.0}}, resume=True)
    part = Rows()
    check(out, run(part, out, resume=True))
    assert part.computed == [15, 20]


@pytest.mark.parametrize("raises", [fail, fail_type])
def test_bad_data_leave_nothing(out, raises):
    with pytest.raises((ValueError, TypeError), match="`row 15` must be good, got bad"):
        run(Rows(15, lambda: raises("row 15", "good", "bad")), out)
    assert list(out.path.parent.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("not aligned"), TypeError("no number"), KeyError(3)])
def test_a_fault_of_ours_keeps_what_is_there(out, error):
    said = stop(out, error=error)
    assert said.startswith(f"{type(error).__name__}: {error}; stopped after 3 of 5 blocks")
    check(out, run(Rows(), out, resume=True))


def test_a_full_disk_keeps_what_is_there(tmp_path):
    out = output(tmp_path / "out.npy")
    said = stop(out, error=OSError(errno.ENOSPC, "No space left on device"))
    assert said == (
        f"{out.path}: No space left on device; stopped after 3 of 5 blocks, which are kept; "
        "resume with --resume"
    )
    check(out, run(Rows(), out, resume=True))


def test_a_job_stopped_before_its_first_block_keeps_nothing(out):
    assert stop(out, at=0) == (
        "interrupted; stopped before the first of 5 blocks was finished; no output was written"
    )
    assert list(out.path.parent.iterdir()) == []


def test_a_job_that_cannot_be_resumed_keeps_nothing(out):
    with pytest.raises(KeyboardInterrupt):
        run(Rows(15, KeyboardInterrupt()), out, resume=None)
    assert list(out.path.parent.iterdir()) == []


def test_a_folder_that_vanishes_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    out = output(tmp_path / "folder" / "out.npy")
    said = stop(out, at=10, error=lambda: shutil.rmtree(tmp_path / "folder"))
    assert said.endswith(f"{out.partial} was removed, and nothing is kept")


def test_what_exists_is_not_replaced_unless_allowed(out):
    run(Rows(), out)
    with pytest.raises(FileExistsError, match="exists already"):
        run(Rows(), out)
    check(out, run(Rows(), out, overwrite=True))
    stop_error = Rows(15, KeyboardInterrupt())
    with pytest.raises(StoppedError):
        run(stop_error, out, overwrite=True)
    np.testing.assert_array_equal(load_predictions(out.path).scores[:], ROWS)  # the old is intact


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    (tmp_path / "shards").mkdir()
    out = output(tmp_path / "shards")
    check(out, run(Rows(), out))  # an empty folder is as good as none
    (tmp_path / "shards" / "thesis.tex").write_text("\\begin{document}")
    with pytest.raises(FileExistsError, match="contains files other than shards"):
        run(Rows(), out, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="must be a folder, got a file"):
        run(Rows(), output(tmp_path / "file"), overwrite=True)


def test_one_block_needs_no_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("postproc.jobs.write.Journal", None)
    out = output(tmp_path / "out.npy")

    def whole(rows):
        return ROWS[rows], {"rows": N}

    cuts = (slice(0, N),)
    assert list(write(LocalEngine(1), whole, cuts, out, signature={})) == [{"rows": N}]
    np.testing.assert_array_equal(np.load(out.path), ROWS)


@pytest.mark.parametrize("n_rows", [0, N])
def test_one_block_does_not_take_the_place_of_a_stopped_job(tmp_path, n_rows):
    out = output(tmp_path / "out.npy")
    stop(out)
    kept = {path.name: path.read_bytes() for path in out.partial.iterdir()}
    small = Output(out.path, (n_rows, C), np.dtype(np.float64))
    cuts = (slice(0, n_rows),) if n_rows else ()
    with pytest.raises(ValueError, match=r"out.npy: cannot be resumed: .*omit --resume"):
        list(write(LocalEngine(1), Rows(), cuts, small, signature={"options": 1}, resume=True))
    assert {path.name: path.read_bytes() for path in out.partial.iterdir()} == kept
    list(write(LocalEngine(1), Rows(), cuts, small, signature={"options": 1}))
    assert np.load(out.path).shape == (n_rows, C)
    assert not out.partial.exists()


def test_shards_without_a_model_are_of_whole_blocks(tmp_path):
    out = output(tmp_path / "shards")
    check(out, run(Rows(), out, sizes=Sizes(shard=2 * 5 * C * 8)))
    sizes = [len(np.load(path)) for path in sorted(out.path.iterdir())]
    assert sizes == [10, 10, 3]


def test_two_jobs_do_not_write_one_output(out):
    inner = []

    def second():
        with pytest.raises(FileExistsError) as refused:
            run(Rows(), out)
        inner.append(str(refused.value))
        raise KeyboardInterrupt

    stop(out, error=second)
    said = "another job is writing this output; wait for it or name another output"
    assert inner == [f"{out.path}: {said}"]
    assert [path.name for path in out.path.parent.iterdir()] == [out.partial.name]
    check(out, run(Rows(), out, resume=True))


def test_a_job_that_was_taken_over_leaves_the_other_alone(out):
    def second():
        lock_path(out.path).unlink()  # by hand
        stop(out, at=10)

    said = stop(out, error=second)
    assert said == f"{out.path}: another job has taken over this output, and this one was stopped"
    part = Rows()
    check(out, run(part, out, resume=True))
    assert part.computed == [10, 15, 20]


@pytest.mark.parametrize(
    "error", [RuntimeError("no device"), ImportError("no module"), pickle.PicklingError("no way")]
)
def test_other_errors_keep_finished_blocks_or_leave_nothing(out, error):
    said = stop(out, error=error)
    assert said.startswith(f"{type(error).__name__}: {error}; stopped after 3 of 5 blocks, which")
    check(out, run(Rows(), out, resume=True))
    for at, resume in ((0, False), (15, None)):
        with pytest.raises(type(error), match=str(error)):
            run(Rows(at, error), out, overwrite=True, resume=resume)
        assert [path.name for path in out.path.parent.iterdir()] == [out.path.name]


def test_a_chunk_that_a_killed_job_was_writing_is_removed(tmp_path):
    pytest.importorskip("zarr")
    out = output(tmp_path / "out.zarr")
    stop(out)
    (out.partial / "rows.zarr" / "c" / "0" / "0.3e23a62f.partial").write_bytes(b"x")
    check(out, run(Rows(), out, resume=True))
    assert not list(out.path.rglob("*.partial"))


def test_containers_that_are_damaged_or_missing_are_made_again(out):
    stop(out)
    (rows,) = out.partial.glob("rows*")
    files = [path for path in rows.rglob("*") if path.is_file()] or [rows]
    for file in files:
        os.truncate(file, min(file.stat().st_size, 130))
    check(out, run(Rows(), out, resume=True))
    out.path.unlink() if out.path.is_file() else shutil.rmtree(out.path)
    stop(out)
    rows.unlink() if rows.is_file() else shutil.rmtree(rows)
    part, told = Rows(), []
    check(out, run(part, out, resume=True, warn=told.append))
    assert len(part.computed) == 5
    held = "the file that held 3 finished blocks of a stopped job"
    assert told == [f"{held} is missing or damaged; starting again [PP311]"]


def test_a_damaged_header_is_written_anew(tmp_path):
    out = output(tmp_path / "out.npy")
    stop(out)
    with (out.partial / "rows.npy").open("r+b") as file:
        file.seek(60)
        file.write(b"x")
    part = Rows()
    check(out, run(part, out, resume=True))
    assert len(part.computed) == 5


def test_a_job_killed_after_its_output_was_put_in_place_reads_its_statistics(out, monkeypatch):
    def killed(self, blocks):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "stats", killed)
        patch.setattr("postproc.jobs.write._discard", lambda output, journal: None)
        with pytest.raises(SystemExit):
            run(Rows(), out)
    assert out.path.exists()
    assert out.partial.exists()
    part = Rows()
    check(out, run(part, out, resume=True))
    assert part.computed == []


def test_an_output_that_another_has_made_is_not_taken_for_ones_own(out):
    stop(out)
    out.path.write_bytes(b"theirs") if out.is_file else shutil.copytree(out.partial, out.path)
    with pytest.raises(FileExistsError, match=r"exists already|contains files other"):
        run(Rows(), out, resume=True)
    assert out.partial.exists()


def test_finished_blocks_that_are_discarded_are_told_of(out):
    stop(out)
    told = []
    check(out, run(Rows(), out, warn=told.append))
    said = "discarded 3 finished blocks of a stopped job; --resume would have kept them"
    assert told == [f"{said} [PP311]"]
    stop_at_another = Rows(15, KeyboardInterrupt())
    with pytest.raises(StoppedError):
        run(stop_at_another, out, signature={"a": 1}, overwrite=True)
    run(Rows(), out, overwrite=True, warn=told.append)  # of another job
    assert len(told) == 1


def test_inputs_are_verified_before_the_output_takes_its_name(out):
    def verify():
        raise SourceChangedError("it was written to")

    cases = [(CUTS, Rows())]
    if out.is_file:
        cases.append(((slice(0, N),), Rows()))
    for cuts, part in cases:
        with pytest.raises(SourceChangedError, match="it was written to"):
            list(write(LocalEngine(1), part, cuts, out, signature={}, verify=verify))
        assert list(out.path.parent.iterdir()) == []


@pytest.mark.parametrize("name", ["shards", "out.zarr"])
@pytest.mark.parametrize("swaps", [True, False], ids=["exchange", "two renames"])
@pytest.mark.parametrize("step", range(3))
def test_a_folder_is_not_lost_if_a_job_is_killed_while_it_replaces_it(
    name, swaps, step, tmp_path, monkeypatch
):
    if name == "out.zarr":
        pytest.importorskip("zarr")
    out = output(tmp_path / name)
    list(write(LocalEngine(1), Old(), CUTS, out, signature={}))
    left = iter([True] * step)

    def if_alive(do):
        def done(*paths):
            of_zarr = threading.current_thread() is not threading.main_thread()
            if not of_zarr and not next(left, False):
                raise SystemExit
            return do(*paths)

        return done

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", if_alive(Path.replace))
        swap = if_alive(paths.exchange) if swaps else lambda a, b: False
        patch.setattr("postproc.jobs.write.exchange", swap)
        with suppress(SystemExit):  # a SystemExit is not caught anywhere, as a kill is not
            run(Rows(), out, overwrite=True)
    said = []
    with suppress(FileExistsError):
        list(write(LocalEngine(1), Rows(), CUTS, out, signature={}, warn=said.append))
    found = load_predictions(out.path).scores[:]
    assert any(np.array_equal(found, rows) for rows in (ROWS, Old.rows))
    assert said == (
        [f"{out.path}: restored; a job was killed while it replaced it [PP311]"]
        if not swaps and step == 1
        else []
    )
    check(out, run(Rows(), out, overwrite=True))
    assert list(tmp_path.iterdir()) == [out.path]


class Old:
    """A part that gives what was there before."""

    rows = ROWS[::-1]

    def __call__(self, rows):
        return self.rows[rows], {}


@pytest.mark.parametrize("cuts", [CUTS, (slice(0, N),)], ids=["blocks", "at once"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_never_written(out, cuts, value):
    def broken(rows):
        block = ROWS[rows].copy()
        block[-1, -1] = value
        return block, {}

    with pytest.raises(ValueError, match=r"rows \d+ to \d+ would hold NaN or infinity"):
        list(write(LocalEngine(1), broken, cuts, out, signature={}))
    assert list(out.path.parent.iterdir()) == []


def test_more_shards_than_names_are_refused(tmp_path):
    out = Output(tmp_path / "shards", (100_001, C), np.dtype(np.float64))
    said = "shards: would take 100001 shards, and there are names for 100000"
    with pytest.raises(ValueError, match=said):
        make_target(out, 1, Sizes(shard=1))
    assert list(tmp_path.iterdir()) == []
