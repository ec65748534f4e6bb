"""Names of columns: which are those of labels or ids, and what of them are class names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from os.path import commonprefix

from postproc.scores.tables.choice import ColumnChoice

#: Words that name what is no score, alone or together with each other and with COMPANIONS.
WORDS = frozenset(
    (
        *(
            "truth",
            "target",
            "targets",
            "label",
            "labels",
            "y",
            "obs",
            "observed",
            "ytrue",
            "ypred",
        ),
        *("pred", "predict", "predicted", "prediction", "predictions", "yhat"),
        *("class", "fold", "repeat", "split", "row", "index"),
    )
)
COMPANIONS = frozenset(("true", "actual", "ground", "gold", "gt", "correct"))

#: Words of a name: runs of capitals, of letters, of digits.
TOKEN = re.compile(r"[^\W\d_a-z]+(?![a-z])|[^\W\d_a-z]?[^\W\d_A-Z]+|\d+")
JOINED = re.compile(f"(?:{'|'.join((WORDS | COMPANIONS) - {'y'})})+")

#: Names of ids, whatever they hold; and those that only look like one, as `orchid` does.
ID_NAME = re.compile(r"(?:.*[^0-9A-Za-z])?[iI][dD]|.*[a-z0-9]I[dD]", re.DOTALL)
ID_ENDING = re.compile(r".*id", re.DOTALL | re.IGNORECASE)

#: How pandas calls an index without a name; in text it may have no name at all.
INDEX_NAME = re.compile(r"(?:Unnamed: 0(?:[._]\d+)?|__index_level_\d+__)?")

#: Prefixes of score columns that no class has.
PREFIX = re.compile(
    r"(?:Probability|RawFormulaVal|LogProbability):Class=|\.pred_"
    r"|(?:prob|probs|proba|probability|probabilities|pred|prediction|confidence|score|scores"
    r"|logit|logits|p)[._:= -]",
    re.IGNORECASE,
)


def is_suspect(name: str) -> bool:
    """Whether a name is one of labels, predicted labels, folds or row numbers.

    Examples
    --------
    >>> [is_suspect(name) for name in ("Truth", "y_pred", "rowIndex", "class_0", "classy", "true")]
    [True, True, True, False, False, False]
    """
    tokens = [token.lower() for token in TOKEN.findall(name)]
    known = bool(tokens) and all(token in WORDS or token in COMPANIONS for token in tokens)
    if known:
        return any(token in WORDS for token in tokens)
    joined = re.sub(r"[\W_]", "", name).lower()
    return joined in WORDS or (JOINED.fullmatch(joined) is not None and joined not in COMPANIONS)


def may_be_ids(name: str, reading: ColumnChoice) -> bool:
    """Whether a column may hold ids or labels by its name, which are kept as they are written."""
    named = (reading.id_column, reading.label_column)
    if any(pattern is not None and _fits(name, pattern) for pattern in named):
        return True
    return ID_ENDING.fullmatch(name) is not None


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def drop_prefix(names: Sequence[str], known: Collection[str] | None) -> tuple[str, ...]:
    """Class names without the prefix that all score columns share and classes lack.

    Examples
    --------
    >>> drop_prefix(["prob_cat", "prob_dog"], None), drop_prefix(["LABEL_0", "LABEL_1"], None)
    (('cat', 'dog'), ('LABEL_0', 'LABEL_1'))
    >>> drop_prefix(["LABEL_0", "LABEL_1"], ["0", "1"])
    ('0', '1')
    """
    shared = commonprefix(list(names))  # noqa: RUF071  # of names, not of paths
    if known is not None:
        lengths = [n for n in range(len(shared) + 1) if {name[n:] for name in names} == set(known)]
        return tuple(name[lengths[0] :] for name in names) if lengths else tuple(names)
    match = PREFIX.match(shared)
    short = tuple(name[match.end() :] for name in names) if match else ()
    is_good = len(names) > 1 and all(short) and len(set(short)) == len(names)
    return short if is_good else tuple(names)


def listed(names: Sequence[str]) -> str:
    """The first few names of columns, for messages."""
    shown = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
    return f"the column {shown}" if len(names) == 1 else f"the columns {shown}"
