"""Labels, class names and priors from files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.contents import Contents
from postproc.files.paths import LABEL_SUFFIXES, check_table, file_and_column, resolve_path
from postproc.files.reading import Reading, ReadingWarning, UnusedLabelsWarning
from postproc.scores.binary_labels import binary_labels, plain_text, word_pair
from postproc.scores.checks import check_choice, check_label_rows, check_labels, fail
from postproc.scores.codes import coded
from postproc.scores.label_numbers import to_integers, to_numbers
from postproc.scores.names import check_unique, first_few, matching_order, some
from postproc.scores.tables.column_names import is_suspect
from postproc.scores.tables.tables import MISSING, is_number

PathLike = str | os.PathLike[str]

#: The file of class names that is looked for beside predictions.
CLASS_FILE = "classes.txt"


def load_class_names(path: PathLike) -> tuple[str, ...]:
    """Read class names, one a line.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or a line is empty.
    """
    found = resolve_path(path, (".txt", ".csv"))
    names = formats.read(found, labels=True).values
    if names.ndim != 1:
        fail(str(found), "class names, one a line", f"{names.shape[1]} columns")
    return tuple(str(name) for name in names)


def load_ids(path: PathLike) -> tuple[NDArray[np.str_], str]:
    """Read row ids, (n,), and their heading: the id column of a table, or one id per line."""
    found = resolve_path(path, LABEL_SUFFIXES)
    contents = formats.read(found, labels=True)
    if contents.ids is not None:
        return contents.ids, contents.id_heading
    if contents.values.ndim != 1:
        fail(str(found), "row ids, one per line", f"{contents.values.shape[1]} columns")
    return np.asarray(contents.values.astype(np.str_)), contents.id_heading


def load_labels(
    path: PathLike,
    *,
    n_classes: int,
    n_rows: int | None = None,
    classes: Sequence[str] | None = None,
    ids: NDArray[np.str_] | None = None,
    mapped: bool = False,
    reading: Reading | None = None,
    unknown: str = "error",
    predicted: NDArray[np.bool_] | None = None,
    heading: str | None = None,
) -> NDArray[Any]:
    """Read labels: integers 0..C-1, or class names where the classes are known.

    Where the class names are themselves integers, labels are read as names. Labels with ids are
    looked up by `ids`; the file may have more. Labels of two classes without names may be true and
    false, yes and no, or -1 and 1, or names of which one is `reading.positive`; all others are then
    negative.

    Parameters
    ----------
    path : path-like
        A file of one label a row in any of the formats of predictions, or a text file of one label
        a line; the suffix may be omitted.
    n_classes : int
        Number of classes C.
    n_rows : int, optional
        The number of labels that is wanted.
    classes : sequence of C str, optional
        Class names.
    ids : array of str, shape (n,), optional
        The rows' names in the order that is wanted.
    mapped : bool
        Whether numbers of a `.npy` file stay a memory map, of the type that they have there, for
        those who cast them block by block. All other labels, those that are looked up by name
        too, are held in memory.
    reading : Reading, optional
        The column of labels, the column of ids, or the key to read.
    unknown : {"error", "wrong"}
        What to do with a label that is none of the classes: stop, or give it the number C, which
        no model predicts. If most labels are unknown, it is an error in any case.
    predicted : array of bool, shape (n_file,), optional
        The rows of the file to read, where `Predictions.predicted` leaves out others; rows with
        ids are looked up by them.
    heading : str, optional
        Name of the column that the predictions came in; the positive class, if the labels are two
        names and this is one of them.

    Returns
    -------
    ndarray of shape (n,), int64 unless `mapped`
        Labels in 0..C-1, or C where they are unknown.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If the file is missing or damaged, has another number of rows, or a label is unknown.

    Warns
    -----
    ReadingWarning
        If labels are unknown and count as wrong, or are of rows without predictions.
    """
    check_choice(unknown, "unknown", ("error", "wrong"))
    name, contents = read_labels(path, reading)
    contents = _from_one_hot(contents, n_classes, name)
    values = one_column(contents, classes, name)
    if ids is not None and contents.ids is not None:
        rows = look_up(contents.ids, ids, f"ids of {name}")
        is_label = plain_text(values) != "" if values.dtype.kind in "UST" else slice(None)
        tell_unused(contents.ids[is_label], ids, name, predicted)
        values = values[rows]
    else:
        tell_by_place(name, ids, contents.ids)
        n_there = n_rows if predicted is None else len(predicted)
        values = below_heading(values, contents, n_there, name)
    if predicted is not None and (ids is None or contents.ids is None):
        if len(values) != len(predicted):
            rule = f"as long as the predictions ({len(predicted)} rows)"
            fail(name, rule, f"{len(values)} labels")
        values = values[predicted]
    _check_filled(values, classes, name)
    if classes is None and n_classes == 2:
        positive = None if reading is None else reading.positive
        written = values
        values = binary_labels(values, positive=positive, heading=heading, name=name)
        _tell_rest(written, positive, name)
    is_wrong = unknown == "wrong"
    labels = to_integers(values, classes, n_classes, name, unknown=is_wrong)
    if is_wrong and len(labels) and np.mean(labels >= n_classes) > 0.5:  # labels of another task
        is_wrong = False
        labels = to_integers(values, classes, n_classes, name)
    if is_wrong:
        labels = _count_unknown(labels, values, n_classes, name)
    check = check_label_rows if mapped else check_labels
    is_unknown = is_wrong and bool(len(labels)) and labels.max() == n_classes
    return check(labels, n_classes=n_classes + is_unknown, n_rows=n_rows, name=name)


def read_labels(path: PathLike, reading: Reading | None = None) -> tuple[str, Contents]:
    """The name of a file, `FILE` or `FILE:COLUMN`, and the labels or values of rows it holds."""
    file, column = file_and_column(path)
    found = resolve_path(file, LABEL_SUFFIXES)
    if column is None:
        return str(found), formats.read(found, reading, labels=True)
    check_table(found, column)
    contents = formats.read(found, replace(reading or Reading(), label_column=column), labels=True)
    return f"{found}:{column}", contents


def tell_by_place(name: str, ids: Any, own: Any) -> None:
    """Say that rows are matched by place, where only the predictions or only a file has ids."""
    if (ids is None) == (own is None):
        return
    said = f"{name} has no row ids: its rows are assumed to be in the order of the predictions"
    if ids is None:
        said = f"the predictions have no row ids: {name} is assumed to be in their order"
    warnings.warn(coded("by-position", said), ReadingWarning, stacklevel=3)


def below_heading(
    values: NDArray[Any], contents: Contents, n_rows: int | None, name: str
) -> NDArray[Any]:
    """Labels without the first of one more than there are rows: text, or the 0 of pandas."""
    if not contents.header_or_label or n_rows is None or len(values) != n_rows + 1:
        return values
    if is_number(values[0]):
        if values[0] != "0":
            return values
        said = f"{name}: its first line, 0, is read as a heading, as it has one line more than rows"
        warnings.warn(coded("read", said), ReadingWarning, stacklevel=3)
    return values[1:]


def _check_filled(values: NDArray[Any], classes: Sequence[str] | None, name: str) -> None:
    """ValueError for a label that is missing, which would be a class of its own."""
    if values.dtype.kind in "UST":
        text = np.char.lower(np.char.strip(values.astype(np.str_)))
        known = {each.lower() for each in classes or ()}
        missing = np.isin(text, [each for each in MISSING if each not in known])
    elif values.dtype.kind == "f":
        missing = np.isnan(values)
    else:
        return
    rows = np.flatnonzero(missing)
    if len(rows):
        got = repr(str(values[rows[0]])) + (f", and {len(rows) - 1} more" if len(rows) > 1 else "")
        mend = "leave rows without a label out of predictions and labels"
        fail(f"{name}, row {rows[0]}", "a label", got, mend)


def _tell_rest(values: NDArray[Any], positive: str | None, name: str) -> None:
    """Say which labels are the rest that one class is held against, if they are several."""
    names = [] if positive is None else list(dict.fromkeys(plain_text(values).tolist()))
    rest = [each for each in names if each != positive]
    if positive in names and len(rest) > 1:
        said = f"{name}: labels other than {positive!r} are negative ({some(rest)})"
        warnings.warn(coded("read", said), ReadingWarning, stacklevel=3)


def _from_one_hot(contents: Contents, n_classes: int, name: str) -> Contents:
    """Labels of rows of zeros with a one for the class; other contents as they are."""
    values = contents.values
    if values.ndim != 2 or values.shape[1] != n_classes or n_classes < 2 or not len(values):
        return contents
    try:
        numbers = to_numbers(np.asarray(values), name)
    except ValueError:
        return contents
    if not (np.isin(numbers, (0, 1)).all() and (numbers.sum(axis=1) == 1).all()):
        return contents
    said = f"{name}: each row holds one 1, which is read as its label"
    warnings.warn(coded("read", said), ReadingWarning, stacklevel=3)
    labels: NDArray[Any] = numbers.argmax(axis=1)
    if contents.classes is not None:
        labels = np.array(contents.classes, dtype=np.str_)[labels]
    return replace(contents, values=labels, classes=None)


def _count_unknown(
    labels: NDArray[Any], values: NDArray[Any], n_classes: int, name: str
) -> NDArray[Any]:
    """Labels beyond the classes as C, with a warning."""
    is_unknown = labels >= n_classes
    if not is_unknown.any():
        return labels
    names = list(dict.fromkeys(str(value) for value in values[is_unknown].tolist()))
    said = (
        f"{name}: {int(is_unknown.sum())} of {len(labels)} labels are none of the classes "
        f"({some(names)}); they count as wrong"
    )
    warnings.warn(coded("unknown-labels", said), ReadingWarning, stacklevel=3)
    return np.where(is_unknown, n_classes, labels)


def label_names(path: PathLike, reading: Reading | None = None) -> set[str]:
    """Names of all labels in a file, whole numbers as text."""
    name, contents = read_labels(path, reading)
    return label_names_of(contents, name)


def label_names_of(contents: Contents, name: str) -> set[str]:
    """Names of all labels that were read from a file."""
    rows = one_column(contents, None, name)
    names = set(plain_text(np.unique(rows)).tolist())
    heading = str(rows[0]) if contents.header_or_label and len(rows) else None
    return names - ({heading} if heading not in rows[1:] else set())


def words_in(path: PathLike, reading: Reading | None = None) -> set[str]:
    """Names of the labels in a file with one column of words; none where it holds anything else."""
    try:
        name, contents = read_labels(path, reading)
        is_text = contents.values.dtype.kind in "UST" and contents.values.ndim == 1
        return label_names_of(contents, name) if is_text else set()
    except (OSError, TypeError, ValueError):  # told where the labels themselves are read
        return set()


def one_column(
    contents: Contents,
    classes: Sequence[str] | None,
    name: str,
    *,
    of: str = "labels",
    chosen: str = "--label-column",
) -> NDArray[Any]:
    """The values of a file with one label a row, less the heading of its column."""
    values = np.asarray(contents.values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        mend = ""
        if contents.is_table and values.ndim == 2:
            named = contents.classes or tuple(map(str, range(values.shape[1])))
            mend = f"name one of its columns ({first_few(named, 5)}) with {chosen}"
        if of == "labels" and values.ndim == 2 and _is_several(values):
            mend += ", or " * bool(mend) + "declare --multilabel if each is a label of its own"
        fail(name, f"{of}, one a row", f"shape {values.shape}", mend)
    if contents.header_or_label and len(values) and not is_number(values[0]):
        if classes is None:
            has_heading = _has_heading(values)
        else:
            has_heading = values[0] not in classes and (contents.is_table or is_suspect(values[0]))
        values = values[1:] if has_heading else values
    return values


def _has_heading(values: NDArray[Any]) -> bool:
    """Whether the first of some texts is none like the others: numbers, or words for yes and no."""
    first, *rest = np.char.lower(values.astype(np.str_)).tolist()
    others = word_pair(rest)
    return (others is not None and first not in others) or (
        bool(rest) and all(map(is_number, rest))
    )


def _is_several(values: NDArray[Any]) -> bool:
    """Whether rows (n, m) of zeros and ones are no classes of rows, of which each has one."""
    text = values.astype(np.str_)
    return bool(np.isin(text, ("0", "1")).all() and ((text == "1").sum(axis=1) != 1).any())


def look_up(have: NDArray[np.str_], want: NDArray[np.str_], name: str) -> NDArray[np.int64]:
    """Where the ids of the predictions stand among those of a file, which may have more."""
    position = {value: row for row, value in enumerate(have.tolist())}
    missing = [value for value in want.tolist() if value not in position]
    if missing:
        fail(name, "those of the predictions, or more", f"all but {some(missing)}")
    if len(position) != len(have):
        wanted = set(want.tolist())
        check_unique([value for value in have.tolist() if value in wanted], name)
    return np.array([position[value] for value in want.tolist()], dtype=np.int64)


def tell_unused(
    have: NDArray[np.str_],
    want: NDArray[np.str_],
    name: str,
    predicted: NDArray[np.bool_] | None = None,
) -> None:
    """Say which labels are of rows without predictions: a file of a fold may be missing.

    Rows that `predicted` leaves out have been told of.
    """
    if len(have) <= len(want if predicted is None else predicted):
        return
    wanted = set(want.tolist())
    unused = [each for each in have.tolist() if each not in wanted]
    few = some(unused)
    said = f"{name}: {len(unused)} of {len(have)} labels are of rows without predictions ({few})"
    warnings.warn(coded("read", said), UnusedLabelsWarning, stacklevel=4)


def order_of(
    have: Sequence[str] | NDArray[np.str_], want: Sequence[str] | NDArray[np.str_], name: str
) -> NDArray[np.int64] | slice:
    """What to take from `have` to get `want`: the names of the predictions."""
    order = matching_order(have, want, name, like="the predictions")
    return slice(None) if order is None else order
