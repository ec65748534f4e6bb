"""Reports as text: tables for a terminal, Markdown and comma-separated values."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from postproc.reports.numbers import ReportNumbers
from postproc.reports.tables import Table
from postproc.scores.checks import printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable


#: Longest texts that keep their line where another column of text can give way.
WHOLE = 14


def renderable(shown: Iterable[Table]) -> Group:
    """Tables for a rich console."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = []
    for table in shown:
        if table.rows:
            parts.append(rich_table(table))
        if table.rows or not table.columns:
            parts.append(Text(printable(table.note + "\n" if table.note else ""), style="dim"))
    return Group(*parts)


def rich_table(table: Table) -> RichTable:
    """A table for a rich console, without its note."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    styles = {"real gain": "green", "real loss": "red"}
    grid = RichTable(
        box=box.SIMPLE_HEAD,
        title=Text(printable(table.title)),
        title_justify="left",
        title_style="bold",
    )
    for number, column in enumerate(table.columns):
        if number < table.n_texts:
            longest = max((len(row[number].text) for row in table.rows), default=0)
            is_whole = number < table.n_texts - 1 and longest <= WHOLE
            grid.add_column(Text(printable(column)), overflow="fold", no_wrap=is_whole)
        else:
            grid.add_column(Text(printable(column)), justify="right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*(Text(printable(cell.text), style=styles.get(cell.text, "")) for cell in row))
    return grid


def to_text(shown: Iterable[Table], *, width: int, wider: int = 0) -> str:
    """Tables as plain text; before they wrap names, they take up to so many characters more."""
    from rich.console import Console
    from rich.text import Text

    widest = width + wider
    console = Console(file=io.StringIO(), width=widest, color_system=None, highlight=False)
    with console.capture() as capture:
        for part in renderable(shown).renderables:
            needed = width if isinstance(part, Text) else console.measure(part).maximum
            console.print(part, width=min(max(width, needed), widest))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n") + "\n"


def to_markdown(shown: Iterable[Table]) -> str:
    """Tables in GitHub's Markdown."""
    return "\n".join(_markdown(table) for table in shown)


def _markdown(table: Table) -> str:
    if not table.columns:
        return _escaped(table.note) + "\n"
    lines = [f"**{_escaped(table.title)}**", ""]
    lines.append(_line(_escaped(column) for column in table.columns))
    lines.append(_line("---" if j < table.n_texts else "---:" for j in range(len(table.columns))))
    lines.extend(_line(_escaped(cell.text) for cell in row) for row in table.rows)
    return "\n".join([*lines, *(["", _escaped(table.note)] if table.note else []), ""])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """Text with the special characters of Markdown escaped."""
    return re.sub(r"([\\`*|<\[])", r"\\\1", printable(" ".join(text.split())))


def to_csv(report: ReportNumbers) -> str:
    """One line per model, shares as fractions; what the baseline lacks is empty."""
    lines = []
    for model in report.models:
        numbers = model.to_dict()
        positive = numbers.pop("positive") or {}
        for name, result in numbers.pop("metrics").items():
            if name in report.asked and name != "accuracy":
                numbers |= {
                    name if key == "value" else f"{name}_{key}": result[key] for key in result
                }
        numbers |= {f"positive_{key}": value for key, value in positive.items()}
        line: dict[str, Any] = {}
        for key, value in {
            **numbers,
            "verdict": model.verdict,
            "signature": report.signature,
        }.items():
            if key.endswith("_ci"):
                stem = key.removesuffix("_ci")
                line[f"{stem}_low"], line[f"{stem}_high"] = value or (None, None)
            else:
                line[key] = value
        lines.append(line)
    return csv_text(lines)


def csv_text(lines: Sequence[dict[str, Any]]) -> str:
    """Lines with the same keys as comma-separated values, below a line of the keys."""
    file = io.StringIO()
    if lines:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return file.getvalue()
