"""Outputs written block by block: whole or not at all, and resumed where they were stopped.

Finished blocks are kept in a folder `.<name>.partial` beside the output, with a journal. When all
are there the output takes its name, and only then is the first result yielded. A resumed job finds
the blocks that a stopped one has finished by their checksums.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.contents import Contents
from postproc.files.paths import atomic_path, exchange, suffix_of
from postproc.files.saving import flattened, save_blocks
from postproc.jobs.engine import Engine, Watch
from postproc.jobs.journal import Journal
from postproc.jobs.locks import locked
from postproc.jobs.outputs import AnyTarget, Output, has_journal, make_target
from postproc.jobs.targets import check_target
from postproc.scores.blocks import DEFAULT_SIZES, Sizes
from postproc.scores.checks import is_of_data, one_line
from postproc.scores.codes import coded
from postproc.scores.sources import SourceChangedError

#: A folder that was replaced, in the folder of what is not complete.
REPLACED = "replaced"

#: Computes a block of shape (rows, C) and its statistics: numbers, text, lists and arrays by name.
Part = Callable[[slice], tuple[NDArray[Any], dict[str, Any]]]


class StoppedError(OSError):
    """A job was stopped; the blocks that it had finished are kept."""


@dataclass(frozen=True)
class OnlyColumn:
    """One column of the blocks of a part, shape (rows, 1)."""

    part: Part
    column: int

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """Compute the rows start..stop and keep that column."""
        block, stats = self.part(rows)
        return block[:, self.column : self.column + 1], stats


@dataclass(frozen=True)
class WritePart:
    """Computes a block and writes it, so that no block is sent between processes."""

    part: Part
    target: AnyTarget

    def __call__(self, rows: slice) -> tuple[int, dict[str, Any]]:
        """Write the rows start..stop and return their checksum and statistics."""
        block, stats = self.part(rows)
        return self.target.write(rows, _finite(block, rows)), stats


def _finite(block: NDArray[Any], rows: slice) -> NDArray[Any]:
    """A block that is to be written; NaN and infinity never are."""
    if not np.isfinite(block).all():
        msg = (
            f"rows {rows.start} to {rows.stop - 1} would hold NaN or infinity, so no output was "
            "written; the model is damaged, or its numbers are far too large"
        )
        raise ValueError(msg)
    return block


def write(
    engine: Engine,
    part: Part,
    cuts: Sequence[slice],
    output: Output,
    *,
    signature: Mapping[str, Any],
    resume: bool | None = False,  # None: nothing is ever kept
    overwrite: bool = False,
    watch: Watch = lambda n_rows: None,
    verify: Callable[[], None] = lambda: None,  # raises an error if an input has changed
    warn: Callable[[str], None] = lambda message: None,
    sizes: Sizes = DEFAULT_SIZES,
) -> Iterator[dict[str, Any]]:
    """Compute an output block by block and yield the statistics of each block in order.

    A StoppedError says that blocks are kept; after errors of the data nothing is. `signature` holds
    the inputs and options, as JSON types, that must be equal for a job to be resumed.
    """
    part = part if output.only is None else OnlyColumn(part, output.only)
    left = bool(resume) and has_journal(output.path)
    check_target(output.path, overwrite=overwrite or left)
    with locked(output.path):
        _restore(output, warn)
        job = {"cuts": [output.shape[0], cuts[0].stop if cuts else 0, len(cuts)], **signature}
        journal = _kept(output, job, resume=bool(resume))
        if len(cuts) <= 1 and output.is_file:
            yield from _write_at_once(part, cuts, output, watch, verify, overwrite=overwrite)
            return
        target = make_target(output, cuts[0].stop, sizes)
        if journal is None or not (resume and _is_in_place(output, target, cuts, journal)):
            check_target(output.path, overwrite=overwrite)
            if journal is None or not resume or not target.exists():
                if resume is not None and journal is not None and journal.finished:
                    warn(_lost(len(journal.finished), resumed=resume))
                journal = _begin(output, target, job)
            try:
                _fill(engine, WritePart(part, target), cuts, journal, watch)
                _verify(verify, output, journal)
                target.flush()
                check_target(output.path, overwrite=overwrite)
                _put_in_place(output, target, journal)
            except (KeyboardInterrupt, Exception) as error:
                expected = isinstance(error, KeyboardInterrupt | OSError | MemoryError)
                keeps = resume is not None and (expected or journal.finished)
                if not keeps or is_of_data(error):
                    _discard(output, journal)
                    raise
                _stop(error, output, journal, len(cuts))
        try:
            yield from journal.stats(range(len(cuts)))
        finally:
            _discard(output, journal)


def _write_at_once(
    part: Part,
    cuts: Sequence[slice],
    output: Output,
    watch: Watch,
    verify: Callable[[], None],
    *,
    overwrite: bool,
) -> list[dict[str, Any]]:
    """Write a file of one block, which needs no journal."""
    stats: list[dict[str, Any]] = []

    def computed() -> Iterator[NDArray[Any]]:
        for rows in cuts:
            block, found = part(rows)
            stats.append(found)
            watch(rows.stop - rows.start)
            yield _finite(block, rows)
        verify()

    shutil.rmtree(output.partial, ignore_errors=True)
    save_blocks(
        output.path,
        computed(),
        shape=output.shape,
        dtype=output.dtype,
        classes=output.classes,
        ids=output.ids,
        flat=output.flat,
        id_heading=output.id_heading,
        overwrite=overwrite,
    )
    return stats


def _kept(output: Output, job: Mapping[str, Any], *, resume: bool) -> Journal | None:
    """The journal that an equal job has left, None where there is none."""
    if not has_journal(output.path):
        return None
    try:
        return Journal.open(output.partial / "journal.jsonl", job)
    except ValueError as error:
        if not resume:
            return None
        msg = f"{output.path}: cannot be resumed: {error}; omit --resume to start again"
        raise ValueError(msg) from None


def _lost(n_blocks: int, *, resumed: bool) -> str:
    blocks = f"{n_blocks} finished block{'s' if n_blocks > 1 else ''} of a stopped job"
    if resumed:
        return coded("job", f"the file that held {blocks} is missing or damaged; starting again")
    them = "them" if n_blocks > 1 else "it"
    return coded("job", f"discarded {blocks}; --resume would have kept {them}")


def _restore(output: Output, warn: Callable[[str], None]) -> None:
    """Put a folder back that a job had moved away before it was killed."""
    replaced = output.partial / REPLACED
    if replaced.exists() and not output.path.exists():
        replaced.replace(output.path)
        said = f"{output.path}: restored; a job was killed while it replaced it"
        warn(coded("job", said))


def _begin(output: Output, target: AnyTarget, job: Mapping[str, Any]) -> Journal:
    """A new journal, and an empty target."""
    shutil.rmtree(output.partial, ignore_errors=True)
    output.partial.mkdir()
    try:
        target.create()
        return Journal.begin(output.partial / "journal.jsonl", job)
    except BaseException:
        shutil.rmtree(output.partial, ignore_errors=True)
        raise


def _is_in_place(
    output: Output, target: AnyTarget, cuts: Sequence[slice], journal: Journal
) -> bool:
    """Whether the output took its name just before the job was killed."""
    if not output.path.exists() or not journal.finished.keys() >= set(range(len(cuts))):
        return False
    if not output.is_moved:
        return journal.whole is not None and _file_checksum(output.path) == journal.whole
    if target.path.exists():
        return False
    moved = replace(target, path=output.path.absolute())
    return all(_is_there(moved, rows, journal, number) for number, rows in enumerate(cuts))


def _is_there(target: AnyTarget, rows: slice, journal: Journal, number: int) -> bool:
    """Whether the rows of a block can be read and are as they were written."""
    found = journal.finished.get(number)
    try:
        return found is not None and target.checksum(rows) == found[0]
    except Exception:  # files, formats and codecs fail each in their own way
        return False


def _fill(
    engine: Engine, part: WritePart, cuts: Sequence[slice], journal: Journal, watch: Watch
) -> None:
    """Compute the blocks that are missing or damaged."""
    todo = []
    for number, rows in enumerate(cuts):
        if _is_there(part.target, rows, journal, number):
            watch(rows.stop - rows.start)
        else:
            journal.finished.pop(number, None)
            todo.append(number)
    results = engine.run(part, [cuts[number] for number in todo])
    try:
        for at, (checksum, stats) in results:
            journal.note(todo[at], checksum, stats)
            watch(cuts[todo[at]].stop - cuts[todo[at]].start)
    finally:  # what has started ends here, before the lock is released
        if isinstance(results, Generator):
            results.close()


def _verify(verify: Callable[[], None], output: Output, journal: Journal) -> None:
    """Check the inputs; blocks computed from different states of them are not kept."""
    try:
        verify()
    except SourceChangedError:
        _discard(output, journal)
        raise


def _put_in_place(output: Output, target: Any, journal: Journal) -> None:
    """Give a complete output its name; the journal stays until its statistics are read."""
    journal.check()
    if output.is_moved:
        replaced = output.partial / REPLACED
        if output.path.is_dir() and exchange(target.path, output.path):
            target.path.replace(replaced)
            return
        if output.path.is_dir():
            output.path.replace(replaced)
        target.path.replace(output.path)
        return
    whole = np.load(target.path, mmap_mode="r")
    values = flattened(whole, output.path) if output.flat else whole
    contents = Contents(values, output.classes, output.ids, "probs")
    with atomic_path(output.path, overwrite=True) as temporary:
        try:
            formats.write(temporary, contents, suffix=suffix_of(output.path))
        except ValueError as error:
            msg = f"{output.path}: cannot be written: {error}"
            raise ValueError(msg) from None
        journal.note_whole(_file_checksum(temporary))


def _file_checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while data := file.read(DEFAULT_SIZES.block):
            checksum = zlib.crc32(data, checksum)
    return checksum


def _stop(error: BaseException, output: Output, journal: Journal, n_blocks: int) -> NoReturn:
    """Say why a job was stopped and what is kept of it."""
    is_there = output.partial.is_dir()
    if isinstance(error, SourceChangedError) and not is_there:
        raise error
    reason, done = _reason(error, output), len(journal.finished)
    if is_there and not journal.is_ours:
        msg = f"{output.path}: another job has taken over this output, and this one was stopped"
    elif done and not is_there:
        msg = f"{reason}; {output.partial} was removed, and nothing is kept"
    elif done == 0:
        _discard(output, journal)
        when = f"before the first of {n_blocks} blocks was finished"
        msg = f"{reason}; stopped {when}; no output was written"
    else:
        kept = "which are kept" if done > 1 else "which is kept"
        msg = f"{reason}; stopped after {done} of {n_blocks} blocks, {kept}; resume with --resume"
    raise StoppedError(msg) from error


def _reason(error: BaseException, output: Output) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and error.strerror and not error.filename:
        return f"{output.path}: {error.strerror}"
    said = one_line(error)
    return said if isinstance(error, OSError | MemoryError) else f"{type(error).__name__}: {said}"


def _discard(output: Output, journal: Journal) -> None:
    """Remove what is left, unless another job has taken it over."""
    if journal.is_ours:
        shutil.rmtree(output.partial, ignore_errors=True)
