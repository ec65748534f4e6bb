"""Outputs written block by block: whole or not at all, and gone on with where they were stopped."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from postproc import load_predictions
from postproc.engine import LocalEngine
from postproc.files.journal import Journal, difference
from postproc.resume import Output, StoppedError, write
from tests.postproc.test_engine import Shuffled

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
    return list(write(engine or LocalEngine(), part, CUTS, out, signature=signature, **options))


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


@pytest.mark.parametrize("engine", [LocalEngine(), Shuffled(3)], ids=["local", "shuffled"])
def test_an_output_is_written_whole(out, engine):
    told = []
    check(out, run(Rows(), out, engine, watch=told.append))
    assert sum(told) == N
    assert [path.name for path in out.path.parent.iterdir()] == [out.path.name]


@pytest.mark.parametrize("engine", [LocalEngine(), Shuffled(1)], ids=["local", "shuffled"])
def test_a_stopped_job_is_gone_on_with(out, engine):
    stopped = stop(out)
    assert stopped == (
        "interrupted; stopped after 3 of 5 blocks, which are kept; go on with --resume"
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


def test_another_job_is_not_gone_on_with_and_nothing_is_lost(tmp_path):
    out = output(tmp_path / "out.npy")
    stop(out)
    wanted = r"cannot be resumed: `options.alpha` was 1.0 and is 2.0 now; without --resume it"
    with pytest.raises(ValueError, match=wanted):
        run(Rows(), out, signature={"options": {"alpha": 2.0}}, resume=True)
    part = Rows()
    check(out, run(part, out, resume=True))
    assert part.computed == [15, 20]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "`a[1].b` was 2 and is 3 now"),
        ({"a": 1}, {"a": 1, "b": "x"}, '`b` was null and is "x" now'),
        ({"a": [1]}, {"a": [1, 2]}, "`a` was [1] and is [1, 2] now"),
        ({"a": {"b": None}}, {"a": {"b": None}}, None),
    ],
)
def test_differences_are_named(old, new, said):
    assert difference(old, new) == said


@pytest.mark.parametrize("error", [ValueError("row 15 is bad"), TypeError("no number")])
def test_bad_data_leave_nothing(out, error):
    with pytest.raises(type(error), match=str(error)):
        run(Rows(15, error), out)
    assert list(out.path.parent.iterdir()) == []


def test_a_full_disk_keeps_what_is_there(tmp_path):
    out = output(tmp_path / "out.npy")
    said = stop(out, error=OSError(errno.ENOSPC, "No space left on device"))
    assert said == (
        f"{out.path}: No space left on device; stopped after 3 of 5 blocks, which are kept; "
        "go on with --resume"
    )
    check(out, run(Rows(), out, resume=True))


def test_a_job_stopped_before_its_first_block_keeps_nothing(out):
    assert stop(out, at=0) == "interrupted; stopped before the first of 5 blocks was finished"
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
    with pytest.raises(FileExistsError, match="holds more than shards"):
        run(Rows(), out, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="must be a folder, got a file"):
        run(Rows(), output(tmp_path / "file"), overwrite=True)


def test_one_block_needs_no_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("postproc.resume.Journal", None)
    out = output(tmp_path / "out.npy")

    def whole(rows):
        return ROWS[rows], {"rows": N}

    cuts = (slice(0, N),)
    assert list(write(LocalEngine(), whole, cuts, out, signature={})) == [{"rows": N}]
    np.testing.assert_array_equal(np.load(out.path), ROWS)


def test_shards_without_a_model_are_of_whole_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("postproc.resume.SHARD_BYTES", 2 * 5 * C * 8)
    out = output(tmp_path / "shards")
    check(out, run(Rows(), out))
    sizes = [len(np.load(path)) for path in sorted(out.path.iterdir())]
    assert sizes == [10, 10, 3]


def test_statistics_pass_through_the_journal_unchanged(tmp_path):
    stats = {
        "n": 3,
        "mean": 0.1 + 0.2,
        "none": None,
        "some": [1, 2],
        "text": "é",
        "wide": np.array([1 / 3, np.nan]),
        "narrow": np.arange(6, dtype=np.int32).reshape(2, 3),
        "count": np.int64(7),
    }
    journal = Journal.begin(tmp_path / "journal.jsonl", {})
    journal.note(4, 17, stats)
    (found,) = Journal.open(tmp_path / "journal.jsonl", {}).stats([4])
    for name, value in stats.items():
        np.testing.assert_array_equal(found[name], value)
    assert found["narrow"].dtype == np.int32
    with pytest.raises(TypeError, match="must be numbers, text, lists or arrays"):
        journal.note(5, 17, {"set": {1}})
    assert json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[0])["journal"] == 1
