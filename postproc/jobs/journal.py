"""Journals: which blocks of an output are finished, what they held, and for what job."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from postproc.files.json_arrays import decode_array, encode_array, is_array

#: Version of the layout; journals of another are not gone on with.
JOURNAL_VERSION = 3


class TakenOverError(OSError):
    """Another job has made a journal its own."""


@dataclass
class Journal:
    """A file of JSON lines: the job first, then a line for each finished block.

    Attributes
    ----------
    path : Path
        The file.
    token : str
        Tells the run that writes it from others; the file begins with it.
    finished : dict of int to (checksum, position)
        The blocks that are finished, and where in the file their lines begin.
    whole : int, optional
        Checksum of the output, where that is another file than the blocks were written to.
    """

    path: Path
    token: str
    finished: dict[int, tuple[int, int]] = field(default_factory=dict)
    whole: int | None = None

    @classmethod
    def begin(cls, path: Path, job: Mapping[str, Any]) -> Journal:
        """Start a journal for a job, given as JSON's own types."""
        token = uuid.uuid4().hex
        head = {"journal": JOURNAL_VERSION, "token": token, "job": job}
        path.write_text(json.dumps(head) + "\n", encoding="utf-8")
        return cls(path, token)

    @classmethod
    def open(cls, path: Path, job: Mapping[str, Any]) -> Journal:
        """Go on with a journal of the same job, up to the first line that is damaged or cut off.

        Raises
        ------
        ValueError
            If it is of another job (the first difference is named) or damaged.
        """
        journal = cls(path, uuid.uuid4().hex)
        with path.open("rb") as file:
            head = _parse(file.readline())
            if head is None or "journal" not in head or "job" not in head:
                msg = "its journal is damaged"
                raise ValueError(msg)
            if head["journal"] != JOURNAL_VERSION:
                msg = "it was begun by another version of postproc"
                raise ValueError(msg)
            # As it looks once it has been through JSON.
            unlike = difference(head["job"], json.loads(json.dumps(job)))
            if unlike is not None:
                raise ValueError(unlike)
            at = file.tell()
            while journal._take(_parse(file.readline()), at):
                at = file.tell()
        with path.open("rb+") as file:
            file.truncate(at)
            file.write(journal._start)  # as long as the one that was there
        return journal

    @property
    def _start(self) -> bytes:
        """How the file begins as long as it is this run's."""
        start = json.dumps({"journal": JOURNAL_VERSION, "token": self.token})
        return start[:-1].encode()

    def _take(self, line: dict[str, Any] | None, at: int) -> bool:
        """Take in a line that stands at a position; False if it is none."""
        if line is None:
            return False
        block, checksum, whole = (line.get(key) for key in ("block", "crc32", "whole"))
        if isinstance(whole, int):
            self.whole = whole
            return True
        if not isinstance(block, int) or not isinstance(checksum, int) or "stats" not in line:
            return False
        self.finished[block] = (checksum, at)
        return True

    @property
    def is_ours(self) -> bool:
        """Whether the file is still that of this run."""
        try:
            self.check()
        except OSError:
            return False
        return True

    def note(self, block: int, checksum: int, stats: Mapping[str, Any]) -> None:
        """Note that a block is finished.

        Raises
        ------
        TakenOverError
            If another job has made the journal its own.
        """
        at = self._append({"block": block, "crc32": checksum, "stats": stats})
        self.finished[block] = (checksum, at)

    def note_whole(self, checksum: int) -> None:
        """Note what the output will be, before it is put in place; raises as `note`."""
        self._append({"whole": checksum})
        self.whole = checksum

    def check(self) -> None:
        """Check that the file is still that of this run.

        Raises
        ------
        TakenOverError
            If another job has made it its own.
        OSError
            If it is gone.
        """
        with self.path.open("rb") as file:
            if file.read(len(self._start)) != self._start:
                msg = f"{self.path}: another job has taken over"
                raise TakenOverError(msg)

    def _append(self, line: dict[str, Any]) -> int:
        data = json.dumps(line, default=_encode).encode() + b"\n"
        self.check()
        with self.path.open("ab") as file:
            at = file.tell()
            file.write(data)
        return at

    def stats(self, blocks: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Read what was noted of blocks, in the order wanted."""
        with self.path.open("rb") as file:
            for block in blocks:
                file.seek(self.finished[block][1])
                yield json.loads(file.readline(), object_hook=_decode)["stats"]


def difference(old: Any, new: Any, where: str = "") -> str | None:
    """Say where two values of JSON's own types first differ; None where they are alike."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inside = f"{where}.{key}" if where else str(key)
            found = difference(old.get(key), new.get(key), inside)
            if found is not None:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        each = (difference(a, b, f"{where}[{at}]") for at, (a, b) in pairs)
        return next((text for text in each if text is not None), None)
    return None if old == new else f"`{where}` was {_short(old)} and is {_short(new)} now"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _parse(line: bytes) -> dict[str, Any] | None:
    """A whole line, else None."""
    if not line.endswith(b"\n"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return encode_array(value, as_text=True)
    if isinstance(value, np.generic):
        return value.item()
    msg = (
        f"statistics of a block must be numbers, text, lists or arrays, got {type(value).__name__}"
    )
    raise TypeError(msg)


def _decode(value: dict[str, Any]) -> Any:
    return decode_array(value) if is_array(value) else value
