"""Class priors: `uniform`, numbers, or a file of labels, counts or shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from postproc.files.contents import Contents, id_array
from postproc.files.labels import one_column, order_of, read_labels
from postproc.files.reading import Reading
from postproc.scores.binary_labels import binary_labels
from postproc.scores.checks import check_number, fail
from postproc.scores.label_numbers import to_integers, to_numbers
from postproc.scores.prior import PriorKind, class_prior, multilabel_prior
from postproc.scores.tables.tables import is_number


def load_prior(
    source: str,
    *,
    n_classes: int,
    classes: Sequence[str] | None = None,
    kind: PriorKind | None = None,
    multilabel: bool = False,
    reading: Reading | None = None,
) -> NDArray[np.float64]:
    """Class prior from the word "uniform", numbers like "2,1,1", or a file of labels or counts.

    Parameters
    ----------
    source : str
        `uniform`; C numbers with commas, which are counts or shares; of two classes also one
        number, the share of the positive class; or a file (suffix optional) of labels, of C counts,
        perhaps beside the names of classes, or of a vector of C floats; `FILE:COLUMN` names the
        column of a table.
    n_classes : int
        Number of classes C.
    classes : sequence of C str, optional
        Class names, for labels that are names.
    kind : {"labels", "counts", "vector"}, optional
        What a file holds, where it could be taken for something else.
    multilabel : bool
        A file holds an (n, m) array of zeros and ones; the prior is of positives and negatives.
    reading : Reading, optional
        The column of labels, or the key to read.

    Returns
    -------
    ndarray of shape (C,), or (2,) with `multilabel`
        The prior, summing to 1.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If the file is missing or damaged, or the numbers make no prior.
    """
    n_classes = 2 if multilabel else n_classes
    if source == "uniform":
        return class_prior(source, n_classes=n_classes)
    if "," in source and not Path(source).exists():
        if not all(map(is_number, source.split(","))):
            fail("prior", "numbers with commas between them, or a file", repr(source))
        numbers = [float(part) for part in source.split(",")]
        return class_prior(numbers, n_classes=n_classes, kind=kind or "vector")
    if n_classes == 2 and not multilabel and is_number(source) and not Path(source).exists():
        share = check_number(float(source), "prior", low=0.0, high=1.0)
        return class_prior([1 - share, share], n_classes=2, kind=kind or "vector")
    name, contents = read_labels(source, reading)
    if multilabel and (contents.values.size != 2 or kind == "labels"):
        values = to_numbers(contents.values, name)
        return multilabel_prior(values[:, None] if values.ndim == 1 else values, name=name)
    names = list(classes) if classes is not None else list(map(str, range(n_classes)))
    if contents.values.shape == (1, n_classes):  # one row, a column for each class
        row = to_numbers(contents.values[0], name)
        if contents.classes is not None and classes is not None and not multilabel:
            row = row[order_of(contents.classes, names, f"class names of {name}")]
        return class_prior(row, n_classes=n_classes, kind=kind or "counts", name=name)
    contents = _named_numbers(contents, names)
    values = one_column(contents, classes, name, chosen="FILE:COLUMN")
    if n_classes == 2 and classes is None and (len(values) != 2 or kind == "labels"):
        positive = None if reading is None else reading.positive
        values = binary_labels(values, positive=positive, heading=None, name=name)
    if len(values) != n_classes or kind == "labels":
        values = to_integers(values, classes, n_classes, name)
    elif contents.ids is not None and set(contents.ids.tolist()) == set(names):
        values = to_numbers(values, name)[order_of(contents.ids, names, f"ids of {name}")]
        kind = kind or "counts"
    elif values.dtype.kind not in "UST" or all(map(is_number, values)):
        values = to_numbers(values, name)
    else:
        values = to_integers(values, classes, n_classes, name)
    return class_prior(values, n_classes=n_classes, kind=kind, name=name)


def _named_numbers(contents: Contents, names: Sequence[str]) -> Contents:
    """A table of names of classes and numbers with those names as ids; others as they are."""
    values = np.asarray(contents.values)
    if values.shape == (len(names), 2):
        for column in (0, 1):
            if set(values[:, column].astype(np.str_).tolist()) == set(names):
                return replace(
                    contents,
                    values=values[:, 1 - column],
                    ids=id_array(values[:, column]),
                    classes=None,
                )
    return contents
