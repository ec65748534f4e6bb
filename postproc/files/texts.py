"""Tables of texts: a text in each row, by its id."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from postproc.files.dialects import Dialect, row_writer
from postproc.files.paths import atomic_path, resolve_path, suffix_of
from postproc.scores.checks import fail
from postproc.scores.names import some
from postproc.scores.tables.column_names import ID_NAME

#: Suffixes of tables of texts that are read, and of those that are written.
TEXT_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
WRITTEN_SUFFIXES = TEXT_SUFFIXES[:2]

#: Names of columns of labels.
LABEL_NAMES = frozenset(("label", "labels", "class", "category", "target", "truth", "y"))


@dataclass(frozen=True)
class TextTable:
    """A table of texts whose rows are read one after the other, as often as needed."""

    dialect: Dialect
    names: tuple[str, ...]
    text: int  # the column of texts
    id: int | None  # that of ids; without one, rows are numbered from 0

    @classmethod
    def open(
        cls, path: str | Path, *, text_column: str | None = None, id_column: str | None = None
    ) -> TextTable:
        """Find the columns of texts and of ids; the error names the columns where it is unclear."""
        file = resolve_path(path, TEXT_SUFFIXES)
        dialect = Dialect(file, _delimiter(file))
        first = next(_rows(dialect), None)
        if first is None:
            fail(str(file), "a table with a header", "an empty file")
        names = tuple(cell.strip() for cell in first[1])
        if id_column is None:
            ids = [at for at, name in enumerate(names) if ID_NAME.fullmatch(name)]
            if len(ids) > 1:
                got = some([names[at] for at in ids])
                fail(str(file), "a table with one column of ids", got, "choose with --id-column")
            found = ids[0] if ids else None
        else:
            found = _place(names, id_column, "id_column")
        if text_column is None:
            others = [at for at in range(len(names)) if at != found]
            texts = others[:1] if len(others) == 1 else [at for at in others if names[at] == "text"]
            if len(texts) != 1:
                mend = "choose with --text-column"
                fail(str(file), "a table with one column of texts", f"columns {some(names)}", mend)
            text = texts[0]
        else:
            text = _place(names, text_column, "text_column")
        if text == found:
            fail("text_column", "another column than that of ids", repr(names[text]))
        return cls(dialect, names, text, found)

    def label_place(self, label_column: str | None = None) -> int:
        """The column of labels; the error names the columns where it is unclear."""
        if label_column is not None:
            return _place(self.names, label_column, "label_column")
        found = [at for at, name in enumerate(self.names) if name.lower() in LABEL_NAMES]
        if len(found) != 1:
            got, mend = f"columns {some(self.names)}", "choose with --label-column"
            fail(str(self.dialect.path), "a table with one column of labels", got, mend)
        return found[0]

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """Id and cells of each row; ids are unique."""
        seen = set[str]()
        numbered = enumerate(_rows(self.dialect), start=-1)
        next(numbered)
        for row, (line, cells) in numbered:
            where = f"{self.dialect.path}, line {line}"
            if len(cells) != len(self.names):
                fail(where, f"{len(self.names)} cells like the header", f"{len(cells)}")
            name = str(row) if self.id is None else cells[self.id].strip()
            if not name or name in seen:
                fail(where, "a row with an id of its own", repr(name))
            seen.add(name)
            yield name, cells


def save_variants(
    path: Path,
    table: TextTable,
    variants_of: Callable[[str, list[str]], Iterable[str]],
    *,
    overwrite: bool = False,
) -> int:
    """Write a row for each variant of (id, cells), other cells as they are; return their number."""
    n_rows = 0
    with (
        atomic_path(path, overwrite=overwrite) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        delimiter = "\t" if suffix_of(path) == ".tsv" else ","
        write = row_writer(file, delimiter)
        write(["id", *table.names] if table.id is None else table.names)
        for name, cells in table.rows():
            for variant in variants_of(name, cells):
                row = [*cells[: table.text], variant, *cells[table.text + 1 :]]
                write([name, *row] if table.id is None else row)
                n_rows += 1
    return n_rows


def _delimiter(path: Path) -> str:
    """What separates cells, by suffix and header: texts are full of all that might."""
    if suffix_of(path).startswith(".tsv"):
        return "\t"
    _, header = next(_rows(Dialect(path, ",")), (0, [""]))
    return ";" if len(header) == 1 and ";" in header[0] else ","


def _rows(dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The rows of a dialect, with errors that name the file."""
    try:
        yield from dialect.rows()
    except UnicodeDecodeError:
        msg = f"{dialect.path}: cannot be read: it must be UTF-8 text"
        raise ValueError(msg) from None
    except (csv.Error, ValueError, EOFError, zlib.error) as error:
        msg = f"{dialect.path}: cannot be read: {error}"
        raise ValueError(msg) from None


def _place(names: Sequence[str], name: str, argument: str) -> int:
    if names.count(name) != 1:
        fail(argument, f"one of the columns {some(names)}", repr(name))
    return names.index(name)
