"""Which columns of a table are scores, ids and labels: never guessed in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from postproc.scores.rounding import SUM_TOLERANCE, decimals_of, rounding
from postproc.scores.tables.choice import NO_COLUMN, ColumnChoice
from postproc.scores.tables.column_names import (
    ID_ENDING,
    ID_NAME,
    INDEX_NAME,
    PREFIX,
    is_extra,
    is_suspect,
    listed,
)
from postproc.scores.tables.tables import (
    MISSING,
    Table,
    all_differ,
    as_floats,
    is_list,
    is_mixed,
    is_text,
    refuse,
)

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

#: Rows that are looked at for columns without which rows sum to 1, and most columns that are.
SAMPLE_ROWS = 1000
MOST_COLUMNS = 40

#: Decimals of a column in all, from which it does not hold whole numbers only by chance.
LEAST_DECIMALS = 6


@dataclass(frozen=True)
class Roles:
    """What the columns of a table hold, by their positions."""

    scores: tuple[int, ...]
    ids: int | None
    labels: int | None
    notes: tuple[str, ...] = ()


def find_roles(table: Table, reading: ColumnChoice) -> Roles:
    """Decide what the columns of a table of predictions hold; ValueError names those in doubt."""
    names, columns = table.names, table.columns
    labels = named_column(table, reading.label_column)
    ids, named_ids = find_ids(table, reading, taken={labels} - {None})
    aside = {column for column in (labels, ids) if column is not None}
    exact, globbed = chosen_columns(table, reading.columns, labels)
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
        weak = ids is not None and reading.id_column is None and _ends_like_ids(names[ids])
        if ids is not None and weak and not is_text(columns[ids]) and _are_whole(table, scores):
            scores, ids = sorted([*scores, ids]), None  # votes for a class, perhaps
        doubtful = scores
    if any(not names[column] for column in scores):
        refuse("each column must have a class name, got ''")
    single = _single_column(table, doubtful)
    reasons = {} if single else dict(_suspects(table, doubtful))
    questioned = frozenset(doubtful)
    left = [c for c in scores if c not in reasons and not (c in questioned and _is_other(table, c))]
    reasons |= {
        column: "all rows sum to 1 without it"
        for column in _odd_columns(table, left)
        if column in questioned
    }
    if not table.has_header:
        reasons = dict(_whole_columns(table, doubtful)) | reasons
    if reasons:
        left = [column for column in left if column not in reasons]
        _refuse_suspects(table, reasons, left)
    if not left:
        text = [
            (cells[0], name) for name, cells in zip(names, columns, strict=True) if is_text(cells)
        ]
        cell = "" if not text else ", got {!r} in column {!r}".format(*text[-1])
        refuse(f"it has no columns of numbers{cell}")
    is_bare = not table.has_header and not table.in_memory and not single
    if is_bare and doubtful and not _sum_to_one(_sampled(table, left)):
        refuse(
            "without a header it must hold probabilities, got rows that do not sum to 1; add a "
            "header of class names, or give the numbers of the score columns with columns= "
            "(--columns 0,1,...)"
        )
    other = [names[c] for c in scores if c not in left] + [names[c] for c in named_ids - aside]
    notes = [f"no scores are read from {listed(other)}"] if other and not reading.columns else []
    if reading.columns and ids is None and reading.id_column is None:
        notes += _unread_ids(table, {*left, labels})
    return Roles(tuple(left), ids, labels, tuple(notes))


def _unread_ids(table: Table, read: Collection[int | None]) -> Iterator[str]:
    """A note on a column beside those read whose whole numbers might name the rows."""
    left = [c for c in range(len(table.names)) if c not in read and all_differ(table.columns[c])]
    for name in [table.names[c] for c in left if _are_whole(table, [c])][:1]:
        yield f"row ids are lost if {name!r} holds them; if so, use --id-column {name}"


def _single_column(table: Table, among: Sequence[int]) -> bool:
    """Whether all but one column are set aside, and it holds anything but whole numbers."""
    if len(among) != 1 or is_list(table.columns[among[0]]):
        return False
    values = as_floats(table.columns[among[0]])
    return values is not None and not bool((values[~np.isnan(values)] % 1 == 0).all())


def named_column(table: Table, pattern: str | None) -> int | None:
    """The column that a name or pattern stands for; None where the table has none such."""
    if pattern is None:
        return None
    if pattern in table.names:
        return table.names.index(pattern)
    found = [c for c, name in enumerate(table.names) if fnmatchcase(name, pattern)]
    if len(found) > 1:
        several = listed([table.names[column] for column in found])
        refuse(f"{pattern!r} must name one column, got {several}")
    return found[0] if found else None


def find_ids(
    table: Table, reading: ColumnChoice, taken: Collection[int | None]
) -> tuple[int | None, set[int]]:
    """The column of ids, and all columns that have such names; none if the user says so."""
    if reading.id_column == NO_COLUMN:
        return None, set()
    chosen = named_column(table, reading.id_column)
    if chosen is None and reading.id_column is not None:
        refuse(f"it has no column {reading.id_column!r} of ids, got {listed(table.names)}")
    free = [c for c in range(len(table.names)) if c not in taken and not is_list(table.columns[c])]
    by_name = [c for c in free if _has_ids(table, c)]
    by_name = [c for c in by_name if not _ends_like_ids(table.names[c])] or by_name
    unnamed = [c for c in free if _is_index(table, c)]
    if chosen is None:
        by_text = [
            c
            for c in free
            if is_text(values := table.columns[c])
            and table.columns[c]
            and c not in by_name
            and not is_suspect(table.names[c])
            and all_differ(values)
            and not is_mixed(values)
        ]
        exact = [c for c in by_name if table.names[c].lower() == "id"]
        different = [c for c in by_name if all_differ(table.columns[c])]
        chosen = next(iter([*exact, *different, *by_name, *by_text, *unnamed]), None)
    return chosen, {*by_name, *unnamed}


def _ends_like_ids(name: str) -> bool:
    """Whether a name merely ends like one of ids, as `imageid` does, but `orchid`, too."""
    return ID_NAME.fullmatch(name) is None and ID_ENDING.fullmatch(name) is not None


def _is_whole(numbers: NDArray[Any]) -> bool:
    """Whether all numbers are there, and whole."""
    return bool(np.isfinite(numbers).all() and (numbers % 1 == 0).all())


def _are_whole(table: Table, columns: Iterable[int]) -> bool:
    """Whether all columns that hold numbers hold whole ones, like votes."""
    found = (as_floats(table.columns[column]) for column in columns)
    return all(_is_whole(numbers) for numbers in found if numbers is not None)


def _may_be_ids(table: Table, column: int, among: Sequence[int]) -> bool:
    """Whether a column that ends like ids holds numbers that are some, or votes for a class."""
    numbers = as_floats(table.columns[column])
    if numbers is None or not _ends_like_ids(table.names[column]) or not _is_whole(numbers):
        return False
    others = [each for each in among if each != column]
    votes = _are_whole(table, others) and not all_differ(table.columns[column])
    return bool((numbers > 1).any()) and not votes


def _has_ids(table: Table, column: int) -> bool:
    """Whether a column has the name of ids, and values that may be some."""
    name, values = table.names[column], table.columns[column]
    if column == 0 and name.lower() == "id":
        return True
    is_id = ID_NAME.fullmatch(name) is not None
    if not is_id and ID_ENDING.fullmatch(name) is None:
        return False
    numbers = as_floats(values)
    if numbers is None:
        return is_text(values) and (is_id or all_differ(values)) and not is_mixed(values)
    return _is_whole(numbers) and (is_id or (bool((numbers > 1).any()) and all_differ(values)))


def _is_index(table: Table, column: int) -> bool:
    """Whether a column is an index without a name of its own, or without a name or a value."""
    name, values = table.names[column], table.columns[column]
    if INDEX_NAME.fullmatch(name) is None:
        return False
    if isinstance(values, list):
        empty = all(cell.lower() in MISSING for cell in values)
        return empty or (bool(name or column == 0) and all_differ(values))
    if not isinstance(values, np.ndarray):
        return False
    is_ids = _is_whole(values) and all_differ(values) and bool(name or column == 0)
    return is_ids or bool(np.isnan(values).all())


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


def _suspects(table: Table, among: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Columns that may be anything but scores, and why."""
    prefix = _prefix(table, among)
    extras = _extras(table, among)
    for column in among:
        name, values = table.names[column], table.columns[column]
        if prefix and not name.startswith(prefix):
            yield column, f"no prefix {prefix!r}"
            continue
        name = name.removeprefix(prefix) or name
        is_named = is_suspect(name) or _may_be_ids(table, column, among)
        if table.has_header and is_named:
            yield column, "by name"
        elif table.has_header and column in extras:
            yield column, extras[column]
        elif is_text(values) and as_floats(values) is None:
            if is_mixed(values):
                table.numbers(column)  # names the cell that is no number
            if not all_differ(values):
                yield column, "repeated text"


def _extras(table: Table, among: Sequence[int]) -> dict[int, str]:
    """Columns that often stand beside logits, or hold whole numbers as no other does, and why."""
    columns = {c: found for c in among if (found := as_floats(table.columns[c])) is not None}
    named = {c: "by name" for c in columns if is_extra(table.names[c])}
    block = _sampled(table, list(columns)) if len(columns) > 1 else np.empty((0, 0))
    if not len(block):
        return named
    if _sum_to_one(block):  # where a name alone says nothing
        return {c: reason for c, reason in named.items() if not columns[c].any()}
    whole = [c for c, values in columns.items() if (values > 0).any() and _is_whole(values)]
    others = [columns[c] for c in columns if c not in whole]
    # Scores with some decimals are all whole with a probability that is known.
    if whole and others and len(block) * min(map(decimals_of, others)) >= LEAST_DECIMALS:
        named |= {c: "whole numbers only" for c in whole if c not in named}
    return named


def _prefix(table: Table, among: Sequence[int]) -> str:
    """The prefix of most columns of numbers; what follows it are names of classes."""
    numbers = [c for c in among if as_floats(table.columns[c]) is not None]
    found = Counter(m.group() for c in numbers if (m := PREFIX.match(table.names[c])))
    prefix, count = max(found.items(), key=lambda item: item[1], default=("", 0))
    return prefix if count > max(1, len(numbers) / 2) else ""


def _whole_columns(table: Table, among: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Columns of whole numbers beside others, which could be labels where nothing has a name."""
    columns = {c: found for c in among if (found := as_floats(table.columns[c])) is not None}
    whole = [c for c, values in columns.items() if (values[~np.isnan(values)] % 1 == 0).all()]
    if len(whole) < len(columns):
        yield from ((column, "whole numbers only") for column in whole)


def _is_other(table: Table, column: int) -> bool:
    """Whether a column that is no suspect holds no numbers either."""
    return as_floats(table.columns[column]) is None and not is_list(table.columns[column])


def _odd_columns(table: Table, among: Sequence[int]) -> tuple[int, ...]:
    """Columns without which all rows sum to 1, where they do not with them."""
    if not 3 <= len(among) <= 10 * MOST_COLUMNS or any(is_list(table.columns[c]) for c in among):
        return ()
    return tuple(among[column] for column in odd_columns(_sampled(table, among)))


def _sampled(table: Table, columns: Sequence[int]) -> NDArray[np.float64]:
    """Numbers of rows from all over a table, shape (n, k); those without any are left out."""
    step = max(1, -(-table.n_rows // SAMPLE_ROWS))
    values = [table.numbers(column)[::step].astype(np.float64) for column in columns]
    block = np.stack(values, axis=1)
    predicted = np.isfinite(block).all(axis=1) & (block != 0).any(axis=1)
    return np.asarray(block[predicted])


def _sum_to_one(block: NDArray[np.float64]) -> bool:
    """Whether all rows are probabilities, perhaps rounded."""
    tolerance = max(SUM_TOLERANCE, rounding(decimals_of(block), block.shape[1])) + 1e-9
    return bool((block >= 0).all() and (abs(block.sum(axis=1) - 1) <= tolerance).all())


def odd_columns(block: NDArray[np.float64]) -> tuple[int, ...]:
    """Columns of an (n, k) array without which all rows sum to 1, where they do not with them.

    Columns that leave [0, 1] go together; of the others one or two are left out in turn.
    """
    block = block[np.isfinite(block).all(axis=1)]
    block = block[(block != 0).any(axis=1)]
    if not len(block):
        return ()
    inside = [c for c in range(block.shape[1]) if ((block[:, c] >= 0) & (block[:, c] <= 1)).all()]
    outside = tuple(c for c in range(block.shape[1]) if c not in inside)
    decimals = {column: decimals_of(block[:, column]) for column in inside}
    rest = block[:, inside].sum(axis=1) - 1
    for number in (0, 1, 2) if len(inside) <= MOST_COLUMNS else (0, 1):
        for dropped in combinations(inside, number):
            left = [decimals[column] for column in inside if column not in dropped]
            tolerance = max(SUM_TOLERANCE, rounding(max(left, default=99), len(left))) + 1e-9
            without = rest - block[:, dropped].sum(axis=1)
            if len(left) > 1 and (abs(without) <= tolerance).all():
                return tuple(sorted((*outside, *dropped)))
    return ()


def _is_long(table: Table, suspects: Iterable[int]) -> bool:
    """Whether a suspect column repeats some names equally often, as classes of a long table."""
    counts = [Counter(cells) for c in suspects if is_text(cells := table.columns[c])]
    return any(len(each) < table.n_rows and len(set(each.values())) == 1 for each in counts)


def _top_classes(table: Table, suspects: Collection[int], scores: int) -> int:
    """Number of names in the only suspect column if all scores may be the highest of a row."""
    names = [cells for c in suspects if is_text(cells := table.columns[c])]
    values = as_floats(table.columns[scores])
    if len(suspects) != 1 or not names or values is None:
        return 0
    count = len(set(names[0]))
    return count if count > 1 and ((values >= 1 / count) & (values <= 1)).all() else 0


def _refuse_suspects(table: Table, reasons: dict[int, str], left: Sequence[int]) -> NoReturn:
    """Name the columns in doubt, and how to say what they are."""
    named = [f"{table.names[column]!r} ({reason})" for column, reason in sorted(reasons.items())]
    what = "the column {} looks" if len(named) == 1 else "the columns {} look"
    rest = [table.names[column] for column in left]
    scores = f" ({','.join(rest)})" if 1 <= len(rest) <= 5 else ""
    mend = (
        f"name the score columns{scores} with columns= (--columns), labels with label_column= "
        "(--label-column), ids with id_column= (--id-column)"
    )
    if not rest and len(reasons) == 1:
        mend = "report and ensemble hard read predicted labels; other methods need scores"
    if len(rest) == 1 and _is_long(table, reasons):
        mend = "for a line for each row and class use postproc convert --layout long"
    elif len(rest) == 1 and (n_classes := _top_classes(table, reasons, left[0])):
        mend = "if each score is that of the row's own label, "
        mend += (
            "use postproc convert --layout long"
            if n_classes == 2
            else "save the scores of all classes (top_k=None in transformers)"
        )
    if table.in_memory:
        mend = f"give only the score columns{scores}"
    refuse(f"{what.format(', '.join(named))} like labels or ids, not scores; {mend}")
