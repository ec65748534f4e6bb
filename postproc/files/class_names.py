"""Class names of predictions: those in a file, beside it or given, and the order of columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from postproc.files.contents import Contents
from postproc.files.labels import CLASS_FILE, load_class_names
from postproc.scores.checks import fail
from postproc.scores.names import order_by_number
from postproc.scores.tables.column_names import drop_affixes


def class_names(
    found: Path, contents: Contents, classes: Sequence[str] | None, name: str, notes: list[str]
) -> tuple[Sequence[str] | None, list[int] | None]:
    """Class names, and the order in which columns have to be taken for them; adds to the notes."""
    names: Sequence[str] | None = contents.classes
    if names is None:
        return (classes if classes is not None else _names_beside(found, contents.values)), None
    beside = found.parent / CLASS_FILE
    wanted = classes
    if wanted is None and beside.is_file():
        listed = load_class_names(beside)
        short = drop_affixes(names, listed) if contents.is_table else names
        wanted = listed if set(short) == set(listed) else None
    if contents.is_table:
        short = drop_affixes(names, wanted)
        if tuple(short) != tuple(names):
            prefix, suffix = _around(names[0], short[0])
            what = " and ".join(
                f"the {part} {text!r}"
                for part, text in (("prefix", prefix), ("suffix", suffix))
                if text
            )
            is_dropped = "is dropped" if not (prefix and suffix) else "are dropped"
            notes.append(f"{what} of its columns {is_dropped} from class names")
            names = short
    if classes is not None:
        _check_same(names, classes, name)
    if wanted is None and (order := order_by_number(names)) is not None:
        notes.append("its columns are put in the order of their numbers")
        return tuple(names[column] for column in order), order
    if wanted is None or tuple(wanted) == tuple(names):
        return names, None
    return tuple(wanted), [names.index(name) for name in wanted]


def _around(name: str, short: str) -> tuple[str, str]:
    """What stands before and behind a part of a name."""
    start = name.rindex(short)
    return name[:start], name[start + len(short) :]


def _names_beside(path: Path, values: Any) -> tuple[str, ...] | None:
    inside = path / CLASS_FILE  # of a folder of shards
    beside = inside if inside.is_file() else path.parent / CLASS_FILE
    if values.ndim != 2 or not beside.is_file():
        return None
    names = load_class_names(beside)
    n_columns = values.shape[1]
    if n_columns == 1 and len(names) != 1:  # binary, and not one label
        n_columns = 2
    if len(names) != n_columns:
        fail(
            str(beside),
            f"as long as {path.name} has columns ({n_columns})",
            f"{len(names)} names",
            "give the names of this file with --classes, or move it",
        )
    return names


def _check_same(in_file: Sequence[str], given: Sequence[str], name: str) -> None:
    unlike = sorted(set(in_file).symmetric_difference(given))
    if unlike:
        fail(f"class names of {name}", "those given", f"{', '.join(unlike[:3])} on one side only")
