"""Columns of a table that may be anything but scores, and the error that names them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import combinations
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from postproc.scores.rounding import SUM_TOLERANCE, decimals_of, rounding
from postproc.scores.tables.column_names import PREFIX, is_extra, is_predicted, is_suspect, typed
from postproc.scores.tables.id_columns import are_whole, ends_like_ids, is_whole
from postproc.scores.tables.tables import (
    Table,
    all_differ,
    as_floats,
    is_list,
    is_mixed,
    is_text,
    refuse,
)

#: What is said of columns in doubt.
DOUBT = " like labels or ids, not scores"

#: Rows that are looked at for columns without which rows sum to 1, and most columns that are.
SAMPLE_ROWS = 1000

MOST_COLUMNS = 40

#: How tools are asked for the scores of all classes.
ALL_CLASSES = "top_k=None in transformers, k = -1 in fastText"

#: Decimals of a column in all, from which it does not hold whole numbers only by chance.
LEAST_DECIMALS = 6


def find_suspects(table: Table, among: Sequence[int]) -> Iterator[tuple[int, str]]:
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


def _may_be_ids(table: Table, column: int, among: Sequence[int]) -> bool:
    """Whether a column that ends like ids holds numbers that are some, or votes for a class."""
    numbers = as_floats(table.columns[column])
    if numbers is None or not ends_like_ids(table.names[column]) or not is_whole(numbers):
        return False
    others = [each for each in among if each != column]
    votes = are_whole(table, others) and not all_differ(table.columns[column])
    return bool((numbers > 1).any()) and not votes


def _extras(table: Table, among: Sequence[int]) -> dict[int, str]:
    """Columns that often stand beside logits, or hold whole numbers as no other does, and why."""
    columns = {c: found for c in among if (found := as_floats(table.columns[c])) is not None}
    named = {c: "by name" for c in columns if is_extra(table.names[c])}
    block = sampled(table, list(columns)) if len(columns) > 1 else np.empty((0, 0))
    if not len(block):
        return named
    if sum_to_one(block):  # where a name alone says nothing
        return {c: reason for c, reason in named.items() if not columns[c].any()}
    whole = [c for c, values in columns.items() if (values > 0).any() and is_whole(values)]
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


def whole_columns(table: Table, among: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Columns of whole numbers beside others, which could be labels where nothing has a name."""
    columns = {c: found for c in among if (found := as_floats(table.columns[c])) is not None}
    whole = [c for c, values in columns.items() if (values[~np.isnan(values)] % 1 == 0).all()]
    if len(whole) < len(columns):
        yield from ((column, "whole numbers only") for column in whole)


def odd_columns_of(table: Table, among: Sequence[int]) -> tuple[int, ...]:
    """Columns without which all rows sum to 1, where they do not with them."""
    if not 3 <= len(among) <= 10 * MOST_COLUMNS or any(is_list(table.columns[c]) for c in among):
        return ()
    return tuple(among[column] for column in odd_columns(sampled(table, among)))


def sampled(table: Table, columns: Sequence[int]) -> NDArray[np.float64]:
    """Numbers of rows from all over a table, shape (n, k); those without any are left out."""
    step = max(1, -(-table.n_rows // SAMPLE_ROWS))
    values = [table.numbers(column)[::step].astype(np.float64) for column in columns]
    block = np.stack(values, axis=1)
    predicted = np.isfinite(block).all(axis=1) & (block != 0).any(axis=1)
    return np.asarray(block[predicted])


def sum_to_one(block: NDArray[np.float64]) -> bool:
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
    """Number of names in the suspect column of classes if all scores may be those of such."""
    names = [cells for c in suspects if is_text(cells := table.columns[c])]
    if len(suspects) > 1:
        names = [table.text(c) for c in suspects if is_predicted(table.names[c])]
    values = as_floats(table.columns[scores])
    if not names or values is None:
        return 0
    count = max(len(set(cells)) for cells in names)
    return count if count > 1 and ((values >= 1 / count) & (values <= 1)).all() else 0


def refuse_suspects(table: Table, reasons: dict[int, str], left: Sequence[int]) -> NoReturn:
    """Name the columns in doubt, and how to say what they are."""
    named = [f"{table.names[column]!r} ({reason})" for column, reason in sorted(reasons.items())]
    what = "the column {} looks" if len(named) == 1 else "the columns {} look"
    rest = [table.names[column] for column in left]
    scores = f" ({typed(rest)})" if 1 <= len(rest) <= 5 else ""
    mend = (
        f"name the score columns{scores} with columns= (--columns), labels with label_column= "
        "(--label-column), ids with id_column= (--id-column)"
    )
    if not rest:
        of = "" if len(reasons) == 1 else " of the column that columns= (--columns) names"
        mend = f"report and ensemble hard read predicted labels{of}; other methods need scores"
    if len(rest) == 1 and _is_long(table, reasons):
        mend = "for a line for each row and class use postproc convert --layout long"
    elif len(rest) == 1 and (n_classes := _top_classes(table, reasons, left[0])):
        mend = "if each score is that of the row's own label, "
        mend += (
            "use postproc convert --layout long"
            if n_classes == 2
            else f"save the scores of all classes ({ALL_CLASSES})"
        )
    if table.in_memory:
        mend = f"give only the score columns{scores}"
    refuse(f"{what.format(', '.join(named))}{DOUBT}; {mend}")
