"""Which columns of a table are scores, ids and labels: never guessed in silence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from postproc.scores.tables.choice import ColumnChoice
from postproc.scores.tables.column_names import is_suspect, listed, typed
from postproc.scores.tables.id_columns import are_whole, ends_like_ids, find_ids, named_column
from postproc.scores.tables.suspects import (
    find_suspects,
    odd_columns_of,
    refuse_suspects,
    sampled,
    sum_to_one,
    whole_columns,
)
from postproc.scores.tables.tables import Table, all_differ, as_floats, is_list, is_text, refuse

#: Names under which formats with keys hold scores; some declare the kind.
SCORE_KEYS: Mapping[str, Literal["logits", "probs"] | None] = {
    "scores": None,
    "logits": "logits",
    "probs": "probs",
    "predictions": None,
    "probabilities": "probs",
    "log_probs": "logits",
    # Known, but not listed in messages.
    "preds": None,
    "y_score": None,
    "y_prob": "probs",
    "y_proba": "probs",
    "proba": "probs",
}


@dataclass(frozen=True)
class Roles:
    """What the columns of a table hold, by their positions."""

    scores: tuple[int, ...]
    ids: int | None
    labels: int | None
    notes: tuple[str, ...] = ()
    #: The one column of scores was named with a minus, as the score of the other class.
    reverse: bool = False


def find_roles(table: Table, reading: ColumnChoice) -> Roles:
    """Decide what the columns of a table of predictions hold; ValueError names those in doubt."""
    names, columns = table.names, table.columns
    labels = named_column(table, reading.label_column)
    ids, named_ids = find_ids(table, reading, taken={labels} - {None})
    aside = {column for column in (labels, ids) if column is not None}
    reverse = is_reversed(table, reading.columns)
    chosen = (reading.columns[0][1:],) if reverse else reading.columns
    exact, globbed = chosen_columns(table, chosen, labels)
    called = [] if reading.columns else _called_as(table.names, reading.classes)
    if called and not {labels, ids} & {*called}:
        exact = called
    if exact or globbed:
        scores = [column for column in (*exact, *globbed) if column not in aside or column in exact]
        if ids in exact:
            ids = None
        doubtful = [column for column in scores if column in globbed]
    else:
        lists = [column for column in range(len(names)) if is_list(columns[column])]
        if lists:
            return Roles((_pick_list(table, lists, reading.kind),), ids, labels)
        scores = [column for column in range(len(names)) if column not in aside]
        scores = [column for column in scores if column not in named_ids]
        weak = ids is not None and reading.id_column is None and ends_like_ids(names[ids])
        if ids is not None and weak and not is_text(columns[ids]) and are_whole(table, scores):
            scores, ids = sorted([*scores, ids]), None  # votes for a class, perhaps
        doubtful = scores
    if any(not names[column] for column in scores):
        mend = "name it, or the score columns with columns= (--columns)"
        refuse(f"each column must have a class name, got ''; {mend}")
    single = _single_column(table, doubtful)
    reasons = {} if single else dict(find_suspects(table, doubtful))
    questioned = frozenset(doubtful)
    left = [c for c in scores if c not in reasons and not (c in questioned and _is_other(table, c))]
    reasons |= {
        column: "all rows sum to 1 without it"
        for column in odd_columns_of(table, left)
        if column in questioned
    }
    if not table.has_header:
        reasons = dict(whole_columns(table, doubtful)) | reasons
    if reasons:
        left = [column for column in left if column not in reasons]
        refuse_suspects(table, reasons, left)
    if not left:
        text = [
            (cells[0], name) for name, cells in zip(names, columns, strict=True) if is_text(cells)
        ]
        cell = "" if not text else ", got {!r} in column {!r}".format(*text[-1])
        refuse(f"it has no columns of numbers{cell}")
    is_bare = not table.has_header and not table.in_memory and not single
    if is_bare and doubtful and not sum_to_one(sampled(table, left)):
        refuse(
            "without a header it must hold probabilities, got rows that do not sum to 1; add a "
            "header of class names, or give the numbers of the score columns with columns= "
            "(--columns 0,1,...)"
        )
    other = [names[c] for c in scores if c not in left] + [names[c] for c in named_ids - aside]
    if called:
        other = [name for c, name in enumerate(names) if c not in (*called, ids, labels)]
    notes = [f"no scores are read from {listed(other)}"] if other and not reading.columns else []
    if reading.columns and ids is None and reading.id_column is None:
        notes += _unread_ids(table, {*left, labels})
    return Roles(tuple(left), ids, labels, tuple(notes), reverse)


def _called_as(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """The columns called as the classes, with the same text around each; none if in doubt."""
    if len(classes) < 2:
        return []
    first = re.compile(re.escape(classes[0]))
    around = ((n[: m.start()], n[m.end() :]) for n in names for m in first.finditer(n))
    called = ({f"{before}{each}{after}" for each in classes} for before, after in around)
    found = [wanted for wanted in called if wanted <= set(names)]
    return [c for c, name in enumerate(names) if name in found[0]] if len(found) == 1 else []


def _unread_ids(table: Table, read: Collection[int | None]) -> Iterator[str]:
    """A note on a column beside those read whose whole numbers might name the rows."""
    left = [
        c
        for c, name in enumerate(table.names)
        if c not in read and not is_suspect(name) and all_differ(table.columns[c])
    ]
    for name in [table.names[c] for c in left if are_whole(table, [c])][:1]:
        yield f"row ids are lost if {name!r} holds them; if so, use --id-column {typed([name])}"


def _single_column(table: Table, among: Sequence[int]) -> bool:
    """Whether all but one column are set aside, and it holds anything but whole numbers."""
    if len(among) != 1 or is_list(table.columns[among[0]]):
        return False
    values = as_floats(table.columns[among[0]])
    return values is not None and not bool((values[~np.isnan(values)] % 1 == 0).all())


def is_reversed(table: Table, patterns: Sequence[str]) -> bool:
    """Whether the only pattern is a minus and the name of a column, and no column's name."""
    name = patterns[0] if len(patterns) == 1 else ""
    known = table.names if table.has_header else ()
    return name[:1] == "-" and name not in known and name[1:] in known


def chosen_columns(
    table: Table, patterns: Sequence[str], labels: int | None
) -> tuple[list[int], list[int]]:
    """The columns that patterns name outright, and those that they match."""
    exact: list[int] = []
    globbed: list[int] = []
    for pattern in patterns:
        own = [c for c, name in enumerate(table.names) if name == pattern]
        found = own or [c for c, name in enumerate(table.names) if fnmatchcase(name, pattern)]
        if not found:
            refuse(f"it has no column {pattern!r}, got {listed(table.names)}")
        if labels is not None and labels in own:
            refuse(f"column {pattern!r} must hold labels or scores, got it as both")
        into = exact if own else globbed
        into += [c for c in found if c not in (*exact, *globbed, labels)]
    return exact, globbed


def _pick_list(table: Table, lists: Sequence[int], kind: str | None) -> int:
    """The list column that holds the scores: one with a known name, or the only one."""
    keys = {column: table.names[column].lower() for column in lists}
    known = [column for column in lists if keys[column] in SCORE_KEYS] or lists
    if len(known) > 1 and kind is not None:
        known = [column for column in known if SCORE_KEYS.get(keys[column]) == kind] or known
    if len(known) > 1:
        several = listed([table.names[column] for column in known])
        declare = " or --logits or --probs" if all(SCORE_KEYS.get(keys[c]) for c in known) else ""
        refuse(f"it holds several columns of lists, {several}; choose one with --columns{declare}")
    return known[0]


def _is_other(table: Table, column: int) -> bool:
    """Whether a column that is no suspect holds no numbers either."""
    return as_floats(table.columns[column]) is None and not is_list(table.columns[column])
