"""Names of data sets, and what they stand for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.gains.csv_dataset import load_csv
from benchmarks.gains.datasets import OFFLINE, Dataset, Source, Where
from benchmarks.gains.remote_datasets import (
    load_covtype,
    load_hugging_face,
    load_newsgroups,
    load_openml,
)

#: Rows of a split that are used of large data sets unless --rows says more.
MANY_ROWS = 20_000


def _hugging_face(
    name: str,
    summary: str = "",
    *,
    text_column: str = "text",
    label_column: str = "label",
    licence: str | None = None,
    most_rows: int | None = None,
) -> Source:
    def load(where: Where) -> Dataset:
        dataset = load_hugging_face(
            name,
            text_column=text_column,
            label_column=label_column,
            config=where.config,
            cache=where.cache,
        )
        return dataset if licence is None else replace(dataset, licence=licence)

    return Source("text", summary, load, most_rows)


#: Data sets that scikit-learn fetches.
FETCHED: dict[str, Source] = {
    "20newsgroups": Source(
        "text", "18,846 posts, 20 classes, official test split", lambda w: load_newsgroups(w.cache)
    ),
    "covtype": Source(
        "table",
        f"forest cover, 581,012 rows, 7 classes; {MANY_ROWS:,} rows unless --rows says more",
        lambda w: load_covtype(w.cache),
        MANY_ROWS,
    ),
}

#: Data sets that the package `datasets` fetches.
HUGGING_FACE: dict[str, Source] = {
    "banking77": _hugging_face(
        "legacy-datasets/banking77",
        "10,003 + 3,080 questions to a bank, 77 classes",
        licence="CC BY 4.0 (Casanueva et al., 2020)",
    ),
    "ag_news": _hugging_face(
        "fancyzhx/ag_news",
        f"120,000 + 7,600 news, 4 classes; {MANY_ROWS:,} to train unless --rows says more",
        licence="none stated; the authors ask for non-commercial use",
        most_rows=MANY_ROWS,
    ),
    "trec": _hugging_face(
        "CogComp/trec",
        "5,452 + 500 questions, 50 classes, some with few rows: use --drop-rare",
        label_column="fine_label",
        licence="none stated (Li & Roth, 2002)",
    ),
}

NAMED = {**OFFLINE, **FETCHED, **HUGGING_FACE}

#: Names with a part of one's own.
PATTERNS = {
    "openml:NAME or openml:NUMBER": "a table of OpenML, numbers and categories",
    "hf:NAME[:TEXT_COLUMN:LABEL_COLUMN]": "any text data set of Hugging Face",
    "csv:FILE": "one's own texts and labels: columns text, label and, if there is one, split",
}


def find(name: str) -> Source:
    """Say how a data set is loaded.

    Parameters
    ----------
    name : str
        One of `NAMED`, or in one of the forms of `PATTERNS`.

    Returns
    -------
    Source
        Its kind, and how it is loaded.

    Raises
    ------
    ValueError
        If the name is none of these.
    """
    if name in NAMED:
        return NAMED[name]
    prefix, _, rest = name.partition(":")
    if rest and prefix == "openml":
        return Source("table", "", lambda w: load_openml(rest, w.cache))
    if rest and prefix == "csv":
        return Source("text", "", lambda w: _own(Path(rest), w))
    if rest and prefix == "hf":
        parts = rest.split(":")
        if len(parts) == 1:
            return _hugging_face(rest)
        if len(parts) == 3 and all(parts):
            return _hugging_face(parts[0], text_column=parts[1], label_column=parts[2])
    msg = f"there is no data set {name!r}; --list shows all names"
    raise ValueError(msg)


def _own(path: Path, where: Where) -> Dataset:
    return load_csv(
        path,
        text_column=where.text_column,
        label_column=where.label_column,
        split_column=where.split_column,
    )
