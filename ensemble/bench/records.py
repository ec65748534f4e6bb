"""The results file of a benchmark: a header and one line per cell, from which a run resumes.

The same tasks, options and seed give the same bytes, whatever the number of processes and however
often the run was stopped: so times lie in a file beside it, `<stem>.seconds.jsonl`. A cell whose
method failed is measured again when the run resumes, and takes the place of the failure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from ensemble.bench.protocol import CellKey, Measured, Settings
from ensemble.bench.results import Result
from ensemble.bench.tasks import Task
from postproc.files import atomic_path, check_output
from postproc.files.paths import clear_litter
from postproc.jobs.journal import cut_tail, difference, read_lines
from postproc.jobs.locks import locked

#: Version of the format.
FORMAT = 1

COUNTS = ("n", "right", "baseline", "fixed", "broken")

#: Of another metric than accuracy, too.
VALUES = ("value", "before")


def make_header(tasks: Sequence[Task], settings: Settings) -> dict[str, Any]:
    """All that the results depend on."""
    scopes = ("member", "ensemble")
    return {
        "format": FORMAT,
        "postproc": version("postproc"),
        "seed": settings.seed,
        "draws": settings.draws,
        "rows": settings.rows,
        **({} if settings.metric == "accuracy" else {"metric": settings.metric}),
        "shifts": list(settings.shifts),
        "methods": {s: [m.name for m in settings.methods if m.scope == s] for s in scopes},
        "tasks": [task.to_dict() for task in tasks],
    }


class RecordsFile:
    """A results file and the file of times beside it.

    Complete cells of a run with an equal header are kept, and `failed` ones measured again. With
    `overwrite` results of another run, or with lines that are no cells, are replaced; a file that
    is no results file never is.
    """

    def __init__(
        self,
        path: Path,
        header: Mapping[str, Any],
        cells: Sequence[CellKey],
        *,
        overwrite: bool = False,
    ) -> None:
        self.path, self.seconds_path = path, path.with_suffix(".seconds.jsonl")
        # Whether either may be written at all is known before either is touched.
        lines, timed = _read(path), _read(check_output(self.seconds_path, overwrite=True))
        empty = not path.exists() or path.stat().st_size == 0
        for file, known in (
            (path, empty or (lines and {"format", "tasks"} <= lines[0].keys())),
            (self.seconds_path, not timed or "fit_seconds" in timed[0]),
        ):
            if not known:
                msg = f"{file}: exists and was not made by postproc bench; name another output (-o)"
                raise ValueError(msg)
        self.failed: set[CellKey] = set()
        self._records: dict[CellKey, dict[str, Any]] = {}  # the first of all cells, in their order
        self._draws, self._metric = header["draws"], header.get("metric")
        changed = difference(lines[0], header) if lines else None
        try:
            if changed is not None:
                mend = "allow overwriting (--overwrite) or name another output (-o)"
                msg = f"{path}: holds the results of another run ({changed}); {mend}"
                raise FileExistsError(msg)
            self._take(lines[1:], cells)
        except (FileExistsError, ValueError):
            if not overwrite:
                raise
            self._records, self.failed, lines = {}, set(), []
        if lines:
            cut_tail(path)
            if self.seconds_path.exists():
                cut_tail(self.seconds_path)
        else:
            self.seconds_path.unlink(missing_ok=True)
            with atomic_path(path, overwrite=True) as temporary:
                temporary.write_bytes(_line(header))
        self._header = self._first_line()
        self._size = path.stat().st_size

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        header: Mapping[str, Any],
        cells: Sequence[CellKey],
        *,
        overwrite: bool = False,
    ) -> Iterator[RecordsFile]:
        """Open a results file; no other run can open it until the `with` block ends."""
        check_output(path, overwrite=True, suffixes=(".jsonl",))
        with locked(path):
            clear_litter(path)  # of a run that was killed as it replaced the file
            yield cls(path, header, cells, overwrite=overwrite)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Cells that need not be measured, in the order of the file."""
        return [record for key, record in self._records.items() if key not in self.failed]

    @property
    def done(self) -> set[CellKey]:
        """Their keys."""
        return self._records.keys() - self.failed

    def append(self, measured: Sequence[Measured]) -> None:
        """Add cells; their times come first, so that a complete cell has them."""
        if self._first_line() != self._header or self.path.stat().st_size != self._size:
            msg = f"{self.path}: another run has written to it; name another output (-o) for one"
            raise ValueError(msg)
        _append(self.seconds_path, [cell.seconds for cell in measured])
        new = {_key(cell.record): cell.record for cell in measured}
        self._records |= new  # what failed before keeps its place
        if self.failed.isdisjoint(new):
            _append(self.path, new.values())
        else:
            self.failed -= new.keys()
            with atomic_path(self.path, overwrite=True) as temporary:
                temporary.write_bytes(self._header)
                _append(temporary, self._records.values())
        self._size = self.path.stat().st_size

    def results(self) -> list[Result]:
        """Complete cells with their times."""
        return join_times(self.records, _read(self.seconds_path))

    def _first_line(self) -> bytes:
        with self.path.open("rb") as file:
            return file.readline()

    def _take(self, records: Iterable[dict[str, Any]], cells: Sequence[CellKey]) -> None:
        """Take in the cells that are there; they must be the first of all."""
        for number, record in enumerate(records):
            is_next = number < len(cells) and _key(record) == cells[number]
            if not is_next or not _is_cell(record, self._draws, self._metric):
                msg = (
                    f"{self.path}: line {number + 2} is not the cell that belongs there; allow "
                    "overwriting (--overwrite), which measures all cells again, or name another "
                    "output (-o)"
                )
                raise ValueError(msg)
            self._records[cells[number]] = record
            if record.get("error") is not None:
                self.failed.add(cells[number])


def join_times(
    records: Iterable[Mapping[str, Any]], times: Iterable[Mapping[str, Any]]
) -> list[Result]:
    """Results of cells, with their times where they are known; the last of several counts."""
    found = {_key(line): line for line in times if _is_time(line)}
    results = []
    for record in records:
        key = _key(record)
        time = found.get(key, {})
        seconds = time.get("seconds")
        values: dict[str, Any] = {**key._asdict(), "error": record.get("error")}
        values |= {name: tuple(record[name]) for name in COUNTS}
        values |= {name: tuple(record.get(name, ())) for name in VALUES}
        values["metric"] = record.get("metric", "accuracy")
        values["fit_seconds"] = time.get("fit_seconds")
        values["seconds"] = float(median(seconds)) if seconds else None
        results.append(Result(**values))
    return results


def _is_cell(record: Mapping[str, Any], draws: int, metric: str | None) -> bool:
    """Whether a line holds counts that rows of so many draws can have, or an error."""
    error, counts = record.get("error"), [record.get(name) for name in COUNTS]
    if error is not None:
        return isinstance(error, str) and counts == [[]] * len(COUNTS)
    if record.get("metric") != metric:
        return False
    for values in (record.get(name) for name in VALUES if metric is not None):
        if not isinstance(values, list) or len(values) != draws:
            return False
        if not all(isinstance(value, float) and math.isfinite(value) for value in values):
            return False
    lists = [each for each in counts if isinstance(each, list) and len(each) == draws]
    if len(lists) < len(COUNTS) or any(type(count) is not int for each in lists for count in each):
        return False
    return all(
        n > 0
        and 0 <= fixed <= n - before
        and 0 <= broken <= before <= n
        and right == before + fixed - broken
        for n, right, before, fixed, broken in zip(*lists, strict=True)
    )


def _is_time(line: Mapping[str, Any]) -> bool:
    """Whether a line holds seconds of draws and of a fit, as far as they are known."""
    seconds, fit = line.get("seconds"), line.get("fit_seconds")
    listed = [] if seconds is None else seconds
    known = isinstance(listed, list) and all(isinstance(each, int | float) for each in listed)
    return known and isinstance(fit, int | float | None)


def _key(record: Mapping[str, Any]) -> CellKey:
    return CellKey(*(str(record.get(name)) for name in CellKey._fields))


def _read(path: Path) -> list[dict[str, Any]]:
    """The objects of all complete lines; none where there is no file."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        return [line for line, _ in read_lines(file)]


def _append(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    with path.open("ab") as stream:
        stream.write(b"".join(map(_line, values)))


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"
