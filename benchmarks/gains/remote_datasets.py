"""Data sets that are fetched: through scikit-learn, or the package `datasets`."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets as sklearn_datasets

from benchmarks.gains.datasets import Dataset, encode
from postproc.scores.checks import fail

#: Largest table, in cells, that a sparse one is unfolded to.
MOST_CELLS = 10**8

COVER_TYPES = (
    "Spruce/Fir",
    "Lodgepole Pine",
    "Ponderosa Pine",
    "Cottonwood/Willow",
    "Aspen",
    "Douglas-fir",
    "Krummholz",
)
_UNKNOWN = "unknown; see the page of the data set"


def load_newsgroups(data_home: str | None = None) -> Dataset:
    """Fetch posts of twenty newsgroups, without headers, footers and quotes, official splits."""
    texts: list[str] = []
    names: list[str] = []
    splits: list[str] = []
    for split in ("train", "test"):
        fetch = partial(
            sklearn_datasets.fetch_20newsgroups,
            subset=split,
            remove=("headers", "footers", "quotes"),
            data_home=data_home,
        )
        bunch = _fetch("20newsgroups", fetch)
        texts += bunch.data
        names += [bunch.target_names[t] for t in bunch.target]
        splits += [split] * len(bunch.data)
    y, classes = encode(names)
    bare = sum(not text.strip() for text in texts)
    return Dataset(
        "20newsgroups",
        "text",
        np.array(texts, dtype=object),
        y,
        classes,
        source="scikit-learn fetch_20newsgroups, without headers, footers and quotes",
        licence="none stated; public Usenet posts",
        splits=np.array(splits),
        remarks=(f"{bare} posts are empty without headers, footers and quotes; they stay",),
    )


def load_covtype(data_home: str | None = None) -> Dataset:
    """Fetch forest cover types, 581,012 rows of 54 numbers."""
    bunch = _fetch("covtype", lambda: sklearn_datasets.fetch_covtype(data_home=data_home))
    y, classes = encode([COVER_TYPES[t - 1] for t in bunch.target], COVER_TYPES)
    x = np.asarray(bunch.data, dtype=np.float64)
    source, licence = "scikit-learn fetch_covtype", "CC BY 4.0 (UCI Machine Learning Repository)"
    return Dataset("covtype", "table", x, y, classes, source, licence)


def load_openml(name: str, data_home: str | None = None) -> Dataset:
    """Fetch a classification data set of OpenML.

    Text columns become codes of categories; rows without a label are left out.

    Parameters
    ----------
    name : str
        Name, or number, of the data set.
    data_home : str, optional
        Folder that keeps what was fetched.

    Returns
    -------
    Dataset
        A table.

    Raises
    ------
    ImportError
        If pandas is not installed.
    OSError
        If it cannot be fetched.
    ValueError
        If there is no such data set, it has no target or a target of numbers, or it is a sparse
        table too large to unfold.
    """
    which: dict[str, Any] = {"data_id": int(name)} if name.isdigit() else {"name": name}
    bunch = _fetch(
        f"openml:{name}",
        lambda: sklearn_datasets.fetch_openml(
            **which, as_frame="auto", parser="auto", data_home=data_home
        ),
    )
    if bunch.target is None or getattr(bunch.target, "ndim", 1) != 1:
        fail(f"openml:{name}", "a data set with one target", "none, or several")
    target = np.asarray(bunch.target)
    if target.dtype.kind in "iuf" and len(np.unique(target)) > max(20, len(target) // 50):
        got = f"a target of {len(np.unique(target))} different numbers"
        fail(f"openml:{name}", "a classification data set", got)
    known = np.array([value is not None and value == value for value in target.tolist()])
    x, categorical = _table(bunch.data, f"openml:{name}")
    y, classes = encode([str(value) for value in target[known]])
    details = getattr(bunch, "details", None) or {}
    number = details.get("id", name)
    lost = int((~known).sum())
    return Dataset(
        str(details.get("name", name)),
        "table",
        x[known],
        y,
        classes,
        source=f"OpenML data set {number}, version {details.get('version', 'unknown')}",
        licence=str(details.get("licence", _UNKNOWN)),
        categorical=categorical,
        remarks=(f"{lost} rows without a label are left out",) if lost else (),
    )


def load_hugging_face(
    name: str,
    *,
    text_column: str = "text",
    label_column: str = "label",
    config: str | None = None,
    cache: str | None = None,
) -> Dataset:
    """Fetch a text data set with the package `datasets`; its splits are kept.

    Parameters
    ----------
    name : str
        Name of the data set, such as `fancyzhx/ag_news`.
    text_column, label_column : str
        Columns.
    config : str, optional
        Which of its configurations.
    cache : str, optional
        Folder that keeps what was fetched.

    Returns
    -------
    Dataset
        Texts.

    Raises
    ------
    ImportError
        If the package is not installed.
    OSError
        If it cannot be fetched.
    ValueError
        If there is no such data set or column, or no training rows.
    """
    try:
        package = importlib.import_module("datasets")
    except ImportError:
        msg = f"hf:{name} needs the package datasets, which is not installed: pip install datasets"
        raise ImportError(msg) from None
    parts = _fetch(f"hf:{name}", lambda: _load_parts(package, name, config, cache))
    texts: list[str] = []
    values: list[Any] = []
    splits: list[str] = []
    remarks: list[str] = []
    order: list[str] | None = None
    licence = ""
    for part, split in (("train", "train"), ("validation", "val"), ("test", "test")):
        if part not in parts:
            continue
        rows = parts[part]
        for column in (text_column, label_column):
            if column not in rows.column_names:
                mend = "name yours: hf:NAME:TEXT_COLUMN:LABEL_COLUMN"
                columns = ", ".join(rows.column_names)
                fail(f"hf:{name}", f"a data set with the column {column!r}", columns, mend)
        labels = list(rows[label_column])
        if any(label is None or label == -1 for label in labels):
            remarks.append(f"its split {part} has rows without a label and is not used")
            continue
        texts += ["" if text is None else str(text) for text in rows[text_column]]
        order = getattr(rows.features[label_column], "names", None)
        values += labels if order is None else [order[label] for label in labels]
        splits += [split] * len(labels)
        licence = licence or str(getattr(getattr(rows, "info", None), "license", "") or "")
    if "train" not in splits:
        fail(f"hf:{name}", "a data set with labelled rows in a split train", ", ".join(parts))
    y, classes = encode([str(value) for value in values], order)
    return Dataset(
        name.rpartition("/")[2],
        "text",
        np.array(texts, dtype=object),
        y,
        classes,
        source=f"Hugging Face data set {name}" + (f", configuration {config}" if config else ""),
        licence=licence or _UNKNOWN,
        splits=np.array(splits),
        remarks=tuple(remarks),
    )


def _load_parts(
    package: Any, name: str, config: str | None, cache: str | None
) -> Mapping[str, Any]:
    try:
        parts: Mapping[str, Any] = package.load_dataset(name, config, cache_dir=cache)
    except RuntimeError as error:
        if "script" not in str(error):
            raise
        # Data sets that are programs have a copy in files, which runs nothing.
        parts = package.load_dataset(name, config, cache_dir=cache, revision="refs/convert/parquet")
    return parts


def _fetch(name: str, fetch: Callable[[], Any]) -> Any:
    """Fetch; whatever goes wrong is named after the data set, in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # retries, versions: the error says enough
            return fetch()
    except ImportError:
        raise
    except Exception as error:
        kind = OSError if isinstance(error, OSError) else ValueError
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"{name} cannot be fetched: {reason}"
        raise kind(msg) from error


def _table(data: Any, name: str) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Numbers of a data frame, an array or a sparse matrix, and its columns of categories."""
    if hasattr(data, "toarray"):
        if data.shape[0] * data.shape[1] > MOST_CELLS:
            fail(name, f"a table of {MOST_CELLS:,} cells at most", f"a sparse one of {data.shape}")
        return np.asarray(data.toarray(), dtype=np.float64), ()
    if not hasattr(data, "columns"):
        return np.asarray(data, dtype=np.float64), ()
    columns: list[NDArray[np.float64]] = []
    categorical: list[int] = []
    for place, (_, column) in enumerate(data.items()):
        if getattr(column.dtype, "kind", "O") in "iufb":
            columns.append(column.to_numpy(dtype=np.float64, na_value=np.nan))
            continue
        categorical.append(place)
        codes = column.astype("category").cat.codes.to_numpy().astype(np.float64)
        columns.append(np.where(codes < 0, np.nan, codes))
    return np.stack(columns, axis=1), tuple(categorical)
