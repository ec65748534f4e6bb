"""Journals: files of JSON lines, a header first, to which a job that was stopped can return.

`Journal` is that of an output written block by block: which blocks are finished, with which
checksums and statistics, and for what job. The functions serve every file of JSON lines.
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import SEEK_END
from pathlib import Path
from typing import Any

import numpy as np

from postproc.files.json_arrays import decode_array, encode_array, is_array

#: Version of the layout; journals of another version are not resumed.
JOURNAL_VERSION = 4


class TakenOverError(OSError):
    """Another job has taken over a journal."""


@dataclass
class Journal:
    """A file of JSON lines: the job first, then a line for each finished block."""

    path: Path
    token: str  #: Tells the run that writes the file from others; the file begins with it.
    #: Checksum of each finished block, and where in the file its line begins.
    finished: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Checksum of the output, where it is another file than the blocks were written to.
    whole: int | None = None

    @classmethod
    def begin(cls, path: Path, job: Mapping[str, Any]) -> Journal:
        """Start a journal for a job, given as JSON types; it is there with its whole first line."""
        token = uuid.uuid4().hex
        head = {"journal": JOURNAL_VERSION, "token": token, "job": job}
        started = path.with_suffix(".new")
        started.write_text(json.dumps(head) + "\n", encoding="utf-8")
        started.rename(path)
        return cls(path, token)

    @classmethod
    def open(cls, path: Path, job: Mapping[str, Any]) -> Journal:
        """Resume a journal up to the first bad line; a ValueError says why it cannot be resumed."""
        journal = cls(path, uuid.uuid4().hex)
        with path.open("rb+") as file:
            lines = read_lines(file)
            head, stop = next(lines, ({}, 0))
            start = {"journal": head.get("journal"), "token": "0" * len(journal.token)}
            begins = len(json.dumps(start | {"job": head.get("job")})) + 1 == stop
            if not head.keys() >= {"journal", "job"} or not begins:
                msg = "its journal is damaged"
                raise ValueError(msg)
            if head["journal"] != JOURNAL_VERSION:
                msg = "it was started by another version of postproc"
                raise ValueError(msg)
            changed = difference(head["job"], job)
            if changed is not None:
                raise ValueError(changed)
            for line, end in lines:
                if not journal._take(line, stop):
                    break
                stop = end
            file.truncate(stop)
            file.seek(0)
            file.write(journal._start)  # as long as the one before
        return journal

    @property
    def _start(self) -> bytes:
        """How the file begins as long as it belongs to this run."""
        return json.dumps({"journal": JOURNAL_VERSION, "token": self.token})[:-1].encode()

    def _take(self, line: dict[str, Any], at: int) -> bool:
        """Take in a line that begins at a position; False if it is damaged."""
        if line.pop("line", None) != _checksum(line):
            return False
        block, checksum, whole = (line.get(key) for key in ("block", "crc32", "whole"))
        if isinstance(whole, int):
            self.whole = whole
        elif isinstance(block, int) and isinstance(checksum, int) and "stats" in line:
            self.finished[block] = (checksum, at)
        else:
            return False
        return True

    @property
    def is_ours(self) -> bool:
        """Whether the file is there and still belongs to this run."""
        try:
            self.check()
        except OSError:
            return False
        return True

    def note(self, block: int, checksum: int, stats: Mapping[str, Any]) -> None:
        """Note a finished block; a TakenOverError says that another job has taken over."""
        at = self._append({"block": block, "crc32": checksum, "stats": stats})
        self.finished[block] = (checksum, at)

    def note_whole(self, checksum: int) -> None:
        """Note the checksum of the output before it is put in place; raises as `note`."""
        self._append({"whole": checksum})
        self.whole = checksum

    def check(self) -> None:
        """Raise a TakenOverError if another job has taken over, an OSError if the file is gone."""
        with self.path.open("rb") as file:
            if file.read(len(self._start)) != self._start:
                msg = f"{self.path}: another job has taken over"
                raise TakenOverError(msg)

    def _append(self, line: dict[str, Any]) -> int:
        line = json.loads(json.dumps(line, default=_encode))
        data = json.dumps(line | {"line": _checksum(line)}).encode() + b"\n"
        self.check()
        with self.path.open("ab") as file:
            at = file.tell()
            file.write(data)
        return at

    def stats(self, blocks: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Read the statistics of blocks, in the order given."""
        with self.path.open("rb") as file:
            for block in blocks:
                file.seek(self.finished[block][1])
                yield json.loads(file.readline(), object_hook=_decode)["stats"]


def read_lines(file: Iterable[bytes]) -> Iterator[tuple[dict[str, Any], int]]:
    """The object of each complete line, empty where it holds none, and where the line ends."""
    stop = 0
    for line in file:
        if not line.endswith(b"\n"):  # a stop has cut it off
            return
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):  # neither JSON nor, perhaps, text
            found = None
        stop += len(line)
        yield found if isinstance(found, dict) else {}, stop


def cut_tail(path: Path) -> None:
    """Cut off a last line that a stop left incomplete."""
    with path.open("rb+") as file:
        stop = max((stop for _, stop in read_lines(file)), default=0)
        if file.seek(0, SEEK_END) > stop:
            file.truncate(stop)


def difference(old: Any, new: Any) -> str | None:
    """Say where two values first differ once they are JSON; None if they are equal."""
    return _difference(old, json.loads(json.dumps(new)), "")


def _difference(old: Any, new: Any, where: str) -> str | None:
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(f"{where}.{key}".lstrip("."), old.get(key), new.get(key)) for key in old | new]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(f"{where}[{at}]", *pair) for at, pair in enumerate(zip(old, new, strict=True))]
    else:
        return None if old == new else f"`{where}` was {_short(old)} and is {_short(new)} now"
    return next(filter(None, (_difference(a, b, inside) for inside, a, b in pairs)), None)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _checksum(line: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(line).encode())


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
