"""Journals: which blocks of an output are finished, what they held, and for what job."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

#: Version of the layout; journals of another are not gone on with.
JOURNAL_VERSION = 1


@dataclass
class Journal:
    """A file of JSON lines: the job first, then a line for each finished block.

    Attributes
    ----------
    path : Path
        The file.
    finished : dict of int to (checksum, position)
        The blocks that are finished, and where in the file their lines begin.
    """

    path: Path
    finished: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def begin(cls, path: Path, job: Mapping[str, Any]) -> Journal:
        """Start a journal for a job, given as JSON's own types."""
        head = {"journal": JOURNAL_VERSION, "job": job}
        path.write_text(json.dumps(head) + "\n", encoding="utf-8")
        return cls(path)

    @classmethod
    def open(cls, path: Path, job: Mapping[str, Any]) -> Journal:
        """Go on with a journal of the same job; a last line that was cut off is dropped.

        Raises
        ------
        ValueError
            If it is of another job (the first difference is named) or damaged.
        """
        journal = cls(path)
        with path.open("rb") as file:
            head = _parse(file.readline())
            if head is None or head.get("journal") != JOURNAL_VERSION:
                msg = "its journal is damaged or of another version"
                raise ValueError(msg)
            # As it looks once it has been through JSON.
            unlike = difference(head["job"], json.loads(json.dumps(job)))
            if unlike is not None:
                raise ValueError(unlike)
            at = file.tell()
            while (line := _parse(file.readline())) is not None:
                journal.finished[int(line["block"])] = (int(line["crc32"]), at)
                at = file.tell()
        with path.open("rb+") as file:
            file.truncate(at)
        return journal

    def note(self, block: int, checksum: int, stats: Mapping[str, Any]) -> None:
        """Note that a block is finished."""
        line = {"block": block, "crc32": checksum, "stats": stats}
        with self.path.open("ab") as file:
            at = file.tell()
            file.write(json.dumps(line, default=_encode).encode() + b"\n")
        self.finished[block] = (checksum, at)

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
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"array": data, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        return value.item()
    msg = (
        f"statistics of a block must be numbers, text, lists or arrays, got {type(value).__name__}"
    )
    raise TypeError(msg)


def _decode(value: dict[str, Any]) -> Any:
    if value.keys() != {"array", "dtype", "shape"}:
        return value
    data = base64.b64decode(value["array"])
    return np.frombuffer(data, dtype=value["dtype"]).reshape(value["shape"])
