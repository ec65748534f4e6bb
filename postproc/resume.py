"""Outputs written block by block: under a name of their own until whole, and gone on with."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from postproc.engine import Engine, Watch
from postproc.files import formats
from postproc.files.contents import Contents
from postproc.files.journal import Journal
from postproc.files.paths import PREDICTION_SUFFIXES, atomic_path, check_output
from postproc.files.store import save_blocks
from postproc.files.targets import (
    SHARD_BYTES,
    NpyTarget,
    ShardTarget,
    Target,
    ZarrTarget,
    is_replaceable,
)

#: Computes some rows: the block of shape (rows, C) and what is to be known of it, as numbers,
#: text, lists and arrays.
Part = Callable[[slice], tuple[NDArray[Any], dict[str, Any]]]


class StoppedError(OSError):
    """A job was stopped; what it had finished is kept."""


@dataclass(frozen=True)
class Output:
    """Where probabilities go.

    Attributes
    ----------
    path : Path
        A file with the suffix of its format, a Zarr array (`.zarr`), or a folder (no such suffix)
        that gets shards.
    shape : (n, C)
        Of the whole.
    dtype : dtype
        Of its numbers.
    classes, ids
        Names of columns and rows, for formats that keep them.
    edges : tuple of int
        Row at which each shard starts, and n; empty for shards of about 256 MiB.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    classes: tuple[str, ...] | None = None
    ids: NDArray[np.str_] | None = field(default=None, repr=False)
    edges: tuple[int, ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether it is one file and no folder."""
        return self.path.suffix.lower() in PREDICTION_SUFFIXES

    @property
    def partial(self) -> Path:
        """The folder in which the output lies until it is whole; absolute, for other processes."""
        return self.path.absolute().with_name(f".{self.path.name}.partial")


@dataclass(frozen=True)
class WritePart:
    """Computes some rows and writes them, so that no block has to travel."""

    part: Part
    target: Target

    def __call__(self, rows: slice) -> tuple[int, dict[str, Any]]:
        """Checksum and statistics of the rows start..stop."""
        block, stats = self.part(rows)
        return self.target.write(rows, block), stats


def write(
    engine: Engine,
    part: Part,
    cuts: Sequence[slice],
    output: Output,
    *,
    signature: Mapping[str, Any],
    resume: bool | None = False,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> Iterator[dict[str, Any]]:
    """Compute an output block by block, and yield what is to be known of each block in order.

    Finished blocks are kept in a folder `.<name>.partial` beside the output, with a journal, until
    all are there; then the output takes its name, and only after that is the first result
    yielded. What a stopped job has finished is found again by checksum when it is resumed.

    Parameters
    ----------
    engine : Engine
        Where blocks are computed and written.
    part : callable
        Computes the rows of a slice.
    cuts : sequence of slice
        The blocks; together all rows.
    output : Output
        What is written.
    signature : mapping
        Inputs and options as JSON's own types: what must not have changed when a job is resumed.
    resume : bool or None
        Whether to go on with what a stopped job has left; None: nothing is ever left.
    overwrite : bool
        Whether an output that exists may be replaced.
    watch : callable, optional
        Is told the number of rows of each block that is done or found done.

    Raises
    ------
    StoppedError
        If the job is interrupted, the disk is full, or an input vanishes or changes; finished
        blocks are kept.
    FileExistsError, FileNotFoundError, PermissionError, TypeError, ValueError
        If the output cannot be written, the job to be resumed was another, or the data are at
        fault; in the last case nothing is kept.
    """
    check_target(output.path, overwrite=overwrite)
    if len(cuts) <= 1 and output.is_file:
        stats: list[dict[str, Any]] = []
        _remove(output.partial)
        blocks = _computed(part, cuts, stats, watch)
        save_blocks(
            output.path,
            blocks,
            shape=output.shape,
            dtype=output.dtype,
            classes=output.classes,
            ids=output.ids,
            overwrite=overwrite,
        )
        yield from stats
        return
    job = {"cuts": [output.shape[0], cuts[0].stop, len(cuts)], **signature}
    target = _target(output, cuts[0].stop)
    journal = _begin(output, target, job, resume=bool(resume))
    try:
        with _terminable():
            _fill(engine, WritePart(part, target), cuts, journal, watch)
            target.flush()
            check_target(output.path, overwrite=overwrite)
            _put_in_place(output, target)
    except (ValueError, TypeError):
        _remove(output.partial)
        raise
    except (KeyboardInterrupt, OSError, MemoryError) as error:
        if resume is None:
            _remove(output.partial)
            raise
        _stop(error, output, len(journal.finished), len(cuts))
    try:
        yield from journal.stats(range(len(cuts)))
    finally:
        _remove(output.partial)


def check_target(path: Path, *, overwrite: bool) -> None:
    """Check that an output can be written: a file, or a folder of shards or of a Zarr array.

    Raises
    ------
    FileExistsError, FileNotFoundError, PermissionError, ValueError
        As `check_output`; a folder that exists is replaced only if nothing else is in it.
    """
    if path.suffix.lower() in PREDICTION_SUFFIXES or not path.is_dir():
        check_output(path, overwrite=overwrite)
        if path.suffix.lower() not in PREDICTION_SUFFIXES and path.exists():
            msg = f"{path}: must be a folder, got a file; name another output"
            raise FileExistsError(msg)
        return
    if not any(path.iterdir()):  # an empty folder is as good as none
        return
    if not overwrite:
        msg = f"{path}: exists already; name another output or allow overwriting (--overwrite)"
        raise FileExistsError(msg)
    if not is_replaceable(path):
        msg = f"{path}: holds more than shards or a Zarr array; name another output"
        raise FileExistsError(msg)


def _computed(
    part: Part, cuts: Sequence[slice], stats: list[dict[str, Any]], watch: Watch | None
) -> Iterator[NDArray[Any]]:
    for rows in cuts:
        block, found = part(rows)
        stats.append(found)
        if watch is not None:
            watch(rows.stop - rows.start)
        yield block


def _target(output: Output, step: int) -> Target:
    """What the blocks are written into; formats that cannot be filled come from an `.npy`."""
    n_rows, n_classes = output.shape
    if output.is_file:
        return NpyTarget(output.partial / "rows.npy", output.shape, output.dtype)
    if output.path.suffix.lower() == ".zarr":
        return ZarrTarget(output.partial / "rows.zarr", output.shape, output.dtype, step)
    edges = output.edges
    if not edges:
        at_once = max(1, SHARD_BYTES // (output.dtype.itemsize * n_classes * step)) * step
        edges = (*range(0, n_rows, at_once), n_rows)
    return ShardTarget(output.partial / "rows", edges, n_classes, output.dtype)


def _begin(output: Output, target: Target, job: Mapping[str, Any], *, resume: bool) -> Journal:
    """The journal of this job: that of a stopped one where it is resumed, else a new one."""
    path = output.partial / "journal.jsonl"
    if resume and path.is_file():
        try:
            return Journal.open(path, job)
        except ValueError as error:
            msg = f"{output.path}: cannot be resumed: {error}; without --resume it starts anew"
            raise ValueError(msg) from None
    _remove(output.partial)
    output.partial.mkdir()
    try:
        target.create()
        return Journal.begin(path, job)
    except BaseException:
        _remove(output.partial)
        raise


def _fill(
    engine: Engine,
    part: WritePart,
    cuts: Sequence[slice],
    journal: Journal,
    watch: Watch | None,
) -> None:
    """Compute the blocks that are not there yet, or not as they were written."""
    todo = []
    for number, rows in enumerate(cuts):
        found = journal.finished.get(number)
        if found is not None and part.target.checksum(rows) == found[0]:
            if watch is not None:
                watch(rows.stop - rows.start)
        else:
            journal.finished.pop(number, None)
            todo.append(number)
    for at, (checksum, stats) in engine.run(part, [cuts[number] for number in todo]):
        journal.note(todo[at], checksum, stats)
        if watch is not None:
            watch(cuts[todo[at]].stop - cuts[todo[at]].start)


def _put_in_place(output: Output, target: Any) -> None:
    """Give a whole output its name; the journal stays until its statistics have been read."""
    if not output.is_file:
        if output.path.is_dir():
            output.path.replace(output.partial / "replaced")
        target.path.replace(output.path)
        return
    if output.path.suffix.lower() == ".npy":
        target.path.replace(output.path)
        return
    whole = np.load(target.path, mmap_mode="r")
    contents = Contents(whole, output.classes, output.ids, "probs")
    with atomic_path(output.path, overwrite=True) as temporary:
        try:
            formats.write(temporary, contents, suffix=output.path.suffix)
        except ValueError as error:
            msg = f"{output.path}: cannot be written: {error}"
            raise ValueError(msg) from None


def _stop(error: BaseException, output: Output, done: int, n_blocks: int) -> NoReturn:
    """Say why a job stopped and what is kept of it."""
    reason = "interrupted" if isinstance(error, KeyboardInterrupt) else "out of memory"
    if isinstance(error, OSError):
        reason = str(error)
        if error.strerror:
            reason = f"{error.filename or output.path}: {error.strerror}"
    if done == 0:
        _remove(output.partial)
        msg = f"{reason}; stopped before the first of {n_blocks} blocks was finished"
    elif not output.partial.is_dir():
        msg = f"{reason}; {output.partial} was removed, and nothing is kept"
    else:
        kept = "which are kept" if done > 1 else "which is kept"
        msg = f"{reason}; stopped after {done} of {n_blocks} blocks, {kept}; go on with --resume"
    raise StoppedError(msg) from error


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a request to terminate end the job as Ctrl-C does, with all that is kept."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
