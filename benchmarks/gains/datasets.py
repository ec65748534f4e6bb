"""Data sets that run directories are made from: what each is, and those that need no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets as sklearn_datasets

from postproc.scores.checks import fail
from postproc.scores.tables.tables import is_number

Ints = NDArray[np.int64]

#: Synthetic data are the same for every seed of the splits.
DATA_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """Labelled rows and where they come from.

    Attributes
    ----------
    name : str
        Short name.
    kind : {"text", "table"}
        What a row is; images of few pixels are tables.
    x : ndarray
        Texts, an object array of shape (n,), or numbers, a float array of shape (n, p) in which
        NaN is a missing value.
    y : ndarray of shape (n,), int64
        Classes, 0..C-1.
    classes : tuple of C str
        Their names, as they may stand in `classes.txt`.
    source, licence, note : str
        For `meta.json`.
    splits : ndarray of shape (n,), str, or None
        "train", "val" or "test" where the data set says so.
    categorical : tuple of int
        Columns of a table that hold codes of categories.
    remarks : tuple of str
        What was done to the data, and what a user should know of them.
    """

    name: str
    kind: Literal["text", "table"]
    x: NDArray[Any]
    y: Ints
    classes: tuple[str, ...]
    source: str
    licence: str
    note: str = ""
    splits: NDArray[np.str_] | None = None
    categorical: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Where:
    """Where rows are looked for: a folder of what was fetched, a configuration, columns."""

    cache: str | None = None
    config: str | None = None
    text_column: str = "text"
    label_column: str = "label"
    split_column: str | None = None


@dataclass(frozen=True)
class Source:
    """A data set that can be had: its kind, what it is, how it is loaded, rows by default."""

    kind: Literal["text", "table"]
    summary: str
    load: Callable[[Where], Dataset]
    most_rows: int | None = None


def encode(
    values: Sequence[str], order: Sequence[str] | None = None
) -> tuple[Ints, tuple[str, ...]]:
    """Number class names, by number where all are numbers, else by the alphabet.

    Names are put on one line. A number that is not its own place in the order would be read as
    another class, so `class ` is put before it.

    Parameters
    ----------
    values : sequence of n str
        Class of every row.
    order : sequence of str, optional
        The order of the names where the data set has one; names without a row are left out.

    Returns
    -------
    y : ndarray of shape (n,), int64
        Classes, 0..C-1.
    classes : tuple of C str
        Names.

    Raises
    ------
    ValueError
        If there are fewer than two classes.
    """
    names = [" ".join(str(value).split()) for value in values]
    found = set(names)
    if order is not None:
        classes = [n for n in dict.fromkeys(" ".join(str(o).split()) for o in order) if n in found]
    else:
        numbers = all(map(is_number, found))
        classes = sorted(found, key=lambda n: (float(n), n) if numbers else (0.0, n))
    if len(classes) < 2:
        fail("labels", "of two classes or more", f"one class only, {classes[0]!r}")
    index = {name: j for j, name in enumerate(classes)}
    y = np.array([index[name] for name in names], dtype=np.int64)
    if any(is_number(name) and name != str(j) for j, name in enumerate(classes)):
        classes = [f"class {name}" if is_number(name) else name for name in classes]
    return y, tuple(classes)


def _shipped(name: str, licence: str, note: str = "") -> Callable[[Where], Dataset]:
    def load(_: Where) -> Dataset:
        bunch = getattr(sklearn_datasets, f"load_{name}")()
        y, classes = encode([str(bunch.target_names[t]) for t in bunch.target])
        x = np.asarray(bunch.data, dtype=np.float64)
        source = f"scikit-learn load_{name}"
        remarks = (note,) if note else ()
        return Dataset(name, "table", x, y, classes, source, licence, note, remarks=remarks)

    return load


def _synthetic(
    name: str, n_classes: int, rows: int, tail: float = 1.0
) -> Callable[[Where], Dataset]:
    """Clusters of make_classification; the last class is `tail` times as rare as the first."""

    def load(_: Where) -> Dataset:
        weights = np.geomspace(1, 1 / tail, n_classes)
        x, y = sklearn_datasets.make_classification(
            n_samples=rows,
            n_features=40,
            n_informative=20,
            n_redundant=5,
            n_classes=n_classes,
            n_clusters_per_class=2,
            class_sep=1.5,
            weights=list(weights / weights.sum()),
            flip_y=0.02,
            random_state=DATA_SEED,
        )
        codes, classes = encode([f"c{label:03d}" for label in y])
        note = "SYNTHETIC: Gaussian clusters, no real task; 2 % of the rows have a random label"
        source = f"scikit-learn make_classification, random_state={DATA_SEED}"
        return Dataset(
            name, "table", x, codes, classes, source, "none needed", note, remarks=(note,)
        )

    return load


_UCI = "CC BY 4.0 (UCI Machine Learning Repository), shipped with scikit-learn"
_SMALL = "{} rows: too few to judge anything, for trying out only"

#: Data sets that need no network.
OFFLINE: dict[str, Source] = {
    "digits": Source("table", "images of 8 x 8, 1,797 rows, 10 classes", _shipped("digits", _UCI)),
    **{
        name: Source(
            "table",
            f"{rows} rows, {classes} classes; TOO SMALL to judge anything",
            _shipped(name, _UCI, _SMALL.format(rows)),
        )
        for name, rows, classes in (("iris", 150, 3), ("wine", 178, 3), ("breast_cancer", 569, 2))
    },
    "synthetic20": Source(
        "table", "synthetic, 6,000 rows, 20 classes", _synthetic("synthetic20", 20, 6000)
    ),
    "synthetic100": Source(
        "table", "synthetic, 20,000 rows, 100 classes", _synthetic("synthetic100", 100, 20000)
    ),
    "synthetic50_longtail": Source(
        "table",
        "synthetic, 10,000 rows, 50 classes, the largest 30 times the smallest",
        _synthetic("synthetic50_longtail", 50, 10000, tail=30.0),
    ),
}
