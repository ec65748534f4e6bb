"""The results file: a header and one line a cell, which a run that was stopped goes on with.

The same tasks, options and seed give the same bytes, whatever the number of processes and however
often the run was stopped: so times lie in a file beside it, `<stem>.seconds.jsonl`. A cell whose
method failed is measured again when the run goes on, and takes the place of the failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from ensemble.bench.protocol import CellKey, Measured, Settings
from ensemble.bench.results import Result
from ensemble.bench.tasks import Task
from postproc.files import atomic_path, check_output

#: Version of the format.
FORMAT = 1

COUNTS = ("n", "right", "baseline", "fixed", "broken")


def make_header(tasks: Sequence[Task], settings: Settings) -> dict[str, Any]:
    """All that the results depend on."""
    scopes = ("member", "ensemble")
    return {
        "format": FORMAT,
        "postproc": version("postproc"),
        "seed": settings.seed,
        "draws": settings.draws,
        "rows": settings.rows,
        "shifts": list(settings.shifts),
        "methods": {s: [m.name for m in settings.methods if m.scope == s] for s in scopes},
        "tasks": [task.to_dict() for task in tasks],
    }


class RecordsFile:
    """A results file and the file of times beside it.

    Opening keeps the complete cells of a run with the same header, and cuts off a torn last line.

    Parameters
    ----------
    path : Path
        The results file.
    header : dict
        As of `make_header`.
    cells : sequence of CellKey
        All cells, in the order of the file.
    overwrite : bool
        Whether results with another header, or with lines that are no cells, may be replaced; what
        is no results file never is.

    Attributes
    ----------
    failed : set of CellKey
        Cells of an earlier run that failed; `append` puts new ones in their place.

    Raises
    ------
    OSError, ValueError
        If the file cannot be written, is none of ours, or has another header.
    """

    def __init__(
        self,
        path: Path,
        header: Mapping[str, Any],
        cells: Sequence[CellKey],
        *,
        overwrite: bool = False,
    ) -> None:
        self.path = check_output(path, overwrite=True, suffixes=(".jsonl",))
        self.seconds_path = check_output(path.with_suffix(".seconds.jsonl"), overwrite=True)
        self._header = header
        # Whether either may be written at all is known before either is touched.
        found = self._read_header()
        timed = _complete_lines(self.seconds_path)
        if timed and "fit_seconds" not in (_parse(timed[0]) or {}):
            raise ValueError(_foreign(self.seconds_path))
        self.failed: set[CellKey] = set()
        self._records: dict[CellKey, dict[str, Any]] = {}  # the first of all cells, in their order
        if found is not None and found == json.loads(json.dumps(header)):
            try:
                self._resume(cells)
            except ValueError:
                if not overwrite:
                    raise
                self._records, self.failed = {}, set()
            else:
                self._size = path.stat().st_size
                return
        elif found is not None and not overwrite:
            unlike = "; ".join(_differences(found, header))
            mend = "allow overwriting (--overwrite) or name another output (-o)"
            msg = f"{path}: holds the results of another run ({unlike}); {mend}"
            raise FileExistsError(msg)
        self.seconds_path.unlink(missing_ok=True)
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text(_line(header), encoding="utf-8")
        self._size = path.stat().st_size

    @property
    def records(self) -> list[dict[str, Any]]:
        """Cells that need not be measured, in the order of the file."""
        return [record for key, record in self._records.items() if key not in self.failed]

    @property
    def done(self) -> set[CellKey]:
        """Their keys."""
        return self._records.keys() - self.failed

    def append(self, measured: Sequence[Measured]) -> None:
        """Add cells; their times come first, so that a complete cell has them.

        Raises
        ------
        ValueError
            If something else has written to the file.
        """
        if self.path.stat().st_size != self._size:
            msg = f"{self.path}: another run writes to it; name another output (-o) for one of them"
            raise ValueError(msg)
        _append(self.seconds_path, [cell.seconds for cell in measured])
        new = {_key(cell.record): cell.record for cell in measured}
        self._records |= new  # what failed before keeps its place
        if self.failed.isdisjoint(new):
            _append(self.path, new.values())
        else:
            self.failed -= new.keys()
            lines = [_line(self._header), *map(_line, self._records.values())]
            with atomic_path(self.path, overwrite=True) as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")
        self._size = self.path.stat().st_size

    def results(self) -> list[Result]:
        """Complete cells with their times."""
        lines = map(_parse, _complete_lines(self.seconds_path))
        return join_times(self.records, (line for line in lines if line is not None))

    def _read_header(self) -> dict[str, Any] | None:
        """The header that is there; None where there is no file, or an empty one."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return None
        with self.path.open("rb") as stream:
            header = _parse(stream.readline())
        if header is None or "format" not in header or "tasks" not in header:
            raise ValueError(_foreign(self.path))
        return header

    def _resume(self, cells: Sequence[CellKey]) -> None:
        lines = _complete_lines(self.path)
        for number, line in enumerate(lines[1:]):
            record = _parse(line)
            if record is None or number >= len(cells) or _key(record) != cells[number]:
                msg = (
                    f"{self.path}: line {number + 2} is not the cell that belongs there; allow "
                    "overwriting (--overwrite), which measures all anew, or name another output "
                    "(-o)"
                )
                raise ValueError(msg)
            self._records[cells[number]] = record
            if record.get("error") is not None:
                self.failed.add(cells[number])
        _cut(self.path, sum(map(len, lines)))
        if self.seconds_path.exists():
            _cut(self.seconds_path, sum(map(len, _complete_lines(self.seconds_path))))


def join_times(
    records: Iterable[Mapping[str, Any]], times: Iterable[Mapping[str, Any]]
) -> list[Result]:
    """Results of cells, with their times where they are known; the last of several counts."""
    found = {_key(line): line for line in times}
    results = []
    for record in records:
        key = _key(record)
        time = found.get(key, {})
        seconds = time.get("seconds")
        values: dict[str, Any] = {**key._asdict(), "error": record["error"]}
        values |= {name: tuple(record[name]) for name in COUNTS}
        values["fit_seconds"] = time.get("fit_seconds")
        values["seconds"] = float(median(seconds)) if seconds else None
        results.append(Result(**values))
    return results


def _key(record: Mapping[str, Any]) -> CellKey:
    return CellKey(*(str(record.get(name)) for name in CellKey._fields))


def _complete_lines(path: Path) -> list[bytes]:
    """All lines that end as lines do."""
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _parse(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line, None where it is none."""
    try:
        value = json.loads(line)
    except ValueError:  # neither JSON nor, perhaps, text
        return None
    return value if isinstance(value, dict) else None


def _append(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    with path.open("ab") as stream:
        stream.write("".join(map(_line, values)).encode("utf-8"))


def _cut(path: Path, size: int) -> None:
    if path.stat().st_size > size:
        with path.open("rb+") as stream:
            stream.truncate(size)


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _foreign(path: Path) -> str:
    return f"{path}: exists and was not made by postproc bench; name another output (-o)"


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What the headers say differently, each in a few words."""
    lines = []
    for name in dict.fromkeys([*wanted, *found]):
        old, new = found.get(name), wanted.get(name)
        if old == new:
            continue
        if name in ("tasks", "methods"):
            lines.append(f"other {name}")
        else:
            lines.append(f"{name} {_words(old)}, now {_words(new)}")
    return lines


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
