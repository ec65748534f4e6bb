"""Records: .jsonl files, one JSON object or list a row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from postproc.files.contents import Contents
from postproc.files.delimited import header_of
from postproc.files.dialects import MARKED, MARKED_LINE, lines_of, open_text
from postproc.files.json_tables import LIST_NAME, holds_array, rows_of
from postproc.files.llm import layout_of
from postproc.scores.tables.suspects import ALL_CLASSES
from postproc.scores.tables.tables import Column, Table, refuse

#: What the layouts of `postproc convert` are.
LOGS = {
    "lm-eval": "a sample log of lm-evaluation-harness",
    "logprobs": "responses with log-probabilities of tokens",
}


def read_records(path: Path, *, labels: bool = False) -> Table:
    """Read named scores, lists of scores, or both, with whatever stands beside them.

    Logs of language models, which may hold `labels`, are no tables of scores.
    """
    lines: list[int] = []
    cells: dict[str, list[Any]] = {}
    for line, record in _records(path):
        layout = None if lines and not labels else layout_of(record)
        if layout == "lm-eval" and labels:  # what stands beside its questions and requests
            record = {k: v for k, v in record.items() if not isinstance(v, dict | list)}
        elif layout is not None and not labels:
            refuse(
                f"it looks like {LOGS[layout]}; turn it into predictions with "
                f"postproc convert --layout {layout}"
            )
        row = _row(record)
        if lines and row.keys() != cells.keys():
            unlike = sorted(row.keys() ^ cells.keys())
            mend = f"each row needs the scores of all classes ({ALL_CLASSES})"
            got = f"got {unlike[0]!r} in one only"
            refuse(f"line {line} must have the keys of the first, {got}; {mend}")
        for name, value in row.items():
            cells.setdefault(name, []).append(value)
        lines.append(line)
    if not lines:
        refuse("it is empty")
    columns = {name: column_of(name, values, lines) for name, values in cells.items()}
    return Table(
        tuple(columns),
        tuple(columns.values()),
        len(lines),
        lambda row: f"{'record' if path.suffix.lower() == '.json' else 'line'} {lines[row]}",
    )


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    """Numbers and records of lines that are not blank; of a `.json` file, of its array or table."""
    is_array = holds_array(path)
    with open_text(path) as file:
        if is_array:
            try:
                records = json.load(file)
            except ValueError:
                refuse("it must be one array of records; for one record a line call it .jsonl")
            if isinstance(records, dict):
                records = rows_of(records)
            if not isinstance(records, list):
                refuse(
                    "it must be an array of records, one a row, or an object that is clearly of "
                    "columns or of rows; write records (orient='records' in pandas)"
                )
            yield from enumerate(records, start=1)
            return
        for number, text in enumerate(lines_of(file), start=1):
            if not text.strip():
                continue
            if path.suffix.lower() == ".txt":
                yield number, _marked(text.strip(), number)
            else:
                try:
                    yield number, json.loads(text)
                except (ValueError, RecursionError):
                    refuse(f"line {number} must be one JSON record")


def _marked(text: str, line: int) -> Any:
    """Labels and their probabilities in a line of fastText, as pipelines of transformers have."""
    if MARKED_LINE.fullmatch(text) is None:
        refuse(f"line {line} must hold labels with probabilities like the first, got {text[:40]!r}")
    pairs = [{"label": name, "score": float(p)} for name, p in MARKED.findall(text)]
    return pairs if len(pairs) > 1 else pairs[0]


def _row(record: Any) -> dict[str, Any]:
    """Values of a record by name; each name stands once."""
    try:
        pairs = list(_flat(record))
    except RecursionError:
        refuse("its records must be less deeply nested")
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        refuse(f"each value of a record needs a name of its own, got {twice!r} twice")
    return row


def _flat(record: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of a record; those of objects inside of it are columns of their own."""
    while isinstance(record, list) and len(record) == 1 and isinstance(record[0], list):
        record = record[0]  # what pipelines of transformers give for a list of one text
    if isinstance(record, list | int | float | str):
        record = {LIST_NAME: record}
    if not isinstance(record, dict):
        refuse(f"a record must be an object or a list of scores, got {json.dumps(record)[:40]}")
    for name, value in record.items():
        inner = _named_scores(value)
        yield from [(name, value)] if inner is None else _flat(inner)


def _named_scores(value: Any) -> dict[str, Any] | None:
    """Named values in an object, or in a list of pairs of a name and a score; None if none."""
    if isinstance(value, list) and value:
        pairs = [pair for each in value if (pair := _named_score(each)) is not None]
        value = dict(pairs) if len(pairs) == len(value) else None
    return value if isinstance(value, dict) and value else None


def _named_score(value: Any) -> tuple[str, Any] | None:
    """Name and score of an object with just these, as `{"label": "cat", "score": 0.7}`."""
    if not isinstance(value, dict) or len(value) != 2:
        return None
    name, score = sorted(value.values(), key=_is_number)
    return (name, score) if isinstance(name, str) and _is_number(score) else None


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def column_of(name: str, values: Sequence[Any], lines: Sequence[int]) -> Column:
    """Numbers, lists of numbers, text or lists of it in JSON; None of anything else."""
    if all(map(_is_number, values)):
        return np.array([np.nan if value is None else value for value in values])
    if all(isinstance(value, str | None) for value in values):
        return ["" if value is None else value for value in values]
    if all(isinstance(value, str | int | float | None) for value in values):
        return ["" if value is None else str(value) for value in values]
    if not all(isinstance(value, list) for value in values):
        return None
    if all(isinstance(each, str) for value in values for each in value):
        return [json.dumps(value) for value in values]  # names, as tables hold them
    if not all(all(map(_is_number, value)) for value in values):
        return None
    length = len(values[0])
    for line, value in zip(lines, values, strict=True):
        if len(value) != length:
            refuse(
                f"line {line}, {name!r} must be a list of {length} numbers like the first, "
                f"got {len(value)}"
            )
    return np.array([[np.nan if cell is None else cell for cell in value] for value in values])


def write_records(path: Path, contents: Contents) -> None:
    """Write named scores, one object a row."""
    header = header_of(contents, unique=True)
    with path.open("w", encoding="utf-8") as file:
        for row, values in enumerate(contents.values):
            first = {} if contents.ids is None else {contents.id_heading: str(contents.ids[row])}
            cells = (float(str(value)) for value in values)  # the fewest digits of narrow floats
            record = first | dict(zip(header, cells, strict=True))
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
