"""Names of columns: which are those of labels or ids, and what of them are class names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from os.path import commonprefix

from postproc.scores.names import some
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

#: Words that name what is no score beside logits, though classes may have such names.
EXTRAS = frozenset(
    (
        *("answer", "answers", "category", "response", "outcome", "actual", "gold", "gt"),
        *("correct", "hit", "is"),
        *("seed", "epoch", "step", "iteration", "batch", "set", "partition", "group", "subject"),
        *("cluster", "weight", "weights", "loss", "entropy", "confidence", "margin", "error"),
        *("uncertainty", "variance", "std", "rank", "count", "total", "sum", "length", "argmax"),
        *("duration", "timestamp", "n", "conf"),
    )
)

#: Words that name true labels, and never predicted ones.
TRUTH = frozenset(("truth", "obs", "observed", "ytrue", "groundtruth", *COMPANIONS))

#: Words of a name: runs of capitals, of letters, of digits.
TOKEN = re.compile(r"[^\W\d_a-z]+(?![a-z])|[^\W\d_a-z]?[^\W\d_A-Z]+|\d+")
JOINED = re.compile(f"(?:{'|'.join((WORDS | COMPANIONS) - {'y'})})+")

#: Names of ids, whatever they hold; and those that only look like one, as `orchid` does.
ID_NAME = re.compile(r"(?:.*[^0-9A-Za-z])?[iI][dD][sS]?|.*[a-z0-9]I[dD][sS]?", re.DOTALL)
ID_ENDING = re.compile(r".*id", re.DOTALL | re.IGNORECASE)

#: How pandas calls an index without a name; in text it may have no name at all.
INDEX_NAME = re.compile(r"(?:Unnamed: \d+(?:[._]\d+)?|__index_level_\d+__)?")

#: Words around the names of classes, and names of score columns by the number of the class.
SCORE_WORDS = frozenset(
    (
        *("prob", "probs", "proba", "probability", "probabilities", "pred", "prediction", "p"),
        *("predictions", "confidence", "score", "scores", "scored", "logit", "logits", "posterior"),
        *("pr", "conf", "softmax", "pseudoprobability"),
    )
)
NUMBERED = re.compile(r"p\d+")

#: Marks around the names of classes.
OPENING, CLOSING = frozenset("([{\"'<"), ")]}\"'>"

#: Prefixes of score columns that no class has.
PREFIX = re.compile(
    r"(?:Probability|RawFormulaVal|LogProbability):Class=|\$NP-"
    rf"|\.?(?:{'|'.join(sorted(SCORE_WORDS, key=len, reverse=True))})[._:= -] *",
    re.IGNORECASE,
)


def is_suspect(name: str) -> bool:
    """Whether a name is one of labels, predicted labels, folds or row numbers."""
    tokens = [token.lower() for token in TOKEN.findall(name)]
    known = bool(tokens) and all(token in WORDS or token in COMPANIONS for token in tokens)
    if known:
        return any(token in WORDS for token in tokens)
    joined = re.sub(r"[\W_]", "", name).lower()
    return joined in WORDS or (JOINED.fullmatch(joined) is not None and joined not in COMPANIONS)


def is_extra(name: str) -> bool:
    """Whether a name is one of what often stands beside logits: correctness, losses, seeds."""
    tokens = {token.lower() for token in TOKEN.findall(name)}
    return bool(tokens & EXTRAS) and tokens <= EXTRAS | WORDS | COMPANIONS


def is_truth(name: str) -> bool:
    """Whether a suspect name is that of true labels, and not of predicted ones."""
    tokens = {token.lower() for token in TOKEN.findall(name)}
    return is_suspect(name) and bool(tokens & TRUTH or re.sub(r"[\W_]", "", name).lower() in TRUTH)


def is_predicted(name: str) -> bool:
    """Whether a suspect name is that of predicted classes."""
    return is_suspect(name) and "pred" in name.lower()


def may_be_ids(name: str, reading: ColumnChoice) -> bool:
    """Whether a column may hold ids or labels by its name, which are kept as they are written."""
    named = (reading.id_column, reading.label_column)
    if any(pattern is not None and _fits(name, pattern) for pattern in named):
        return True
    return ID_ENDING.fullmatch(name) is not None


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def drop_affixes(names: Sequence[str], known: Collection[str] | None) -> tuple[str, ...]:
    """Class names without the prefix and suffix that all score columns share and classes lack."""
    before = commonprefix(list(names))  # noqa: RUF071  # of names, not of paths
    after = commonprefix([name[len(before) :][::-1] for name in names])[::-1]  # noqa: RUF071
    if known is not None:
        wanted = set(known)
        for start in range(len(before) + 1):
            for end in range(len(after) + 1):
                inner = tuple(name[start : len(name) - end] for name in names)
                if set(inner) == wanted:
                    return inner
        return tuple(names)
    if all(map(NUMBERED.fullmatch, names)):  # H2O calls the class 3 p3
        numbers = [name[1:] for name in names]
        in_order = numbers == [str(column) for column in range(len(names))]
        return tuple(names) if in_order else tuple(numbers)
    start, stop = _end_of_prefix(before), len(after) - _start_of_suffix(after)
    if stop and after[-stop:].strip(CLOSING) and not start:
        start = _last_mark(before)  # `species_cat_score`
    if stop and not after[-stop:].strip(CLOSING) and not start:
        stop = 0  # a bracket that no dropped prefix has opened
    short = tuple(name[start : len(name) - stop] for name in names)
    is_good = len(names) > 1 and all(short) and len(set(short)) == len(names)
    return short if is_good else tuple(names)


def _end_of_prefix(shared: str) -> int:
    """How much of what names begin with speaks of scores: `prob_`, `P (species=`."""
    end = 0
    while (match := PREFIX.match(shared, end)) is not None:
        end = match.end()
    last = _last_mark(shared)
    if OPENING & set(shared[end:last]) and _has_score_words(shared[:last]):
        return last
    return end


def _start_of_suffix(shared: str) -> int:
    """Where what names end in begins to speak of scores, or closes brackets: `_score`, `)`."""
    marks = [place for place, mark in enumerate(shared) if not mark.isalnum()]
    if not marks:
        return len(shared)
    start = marks[0]
    is_word = _has_score_words(shared[start:]) and shared[start:].strip(CLOSING) != ""
    return start if is_word or not shared[start:].strip(CLOSING) else len(shared)


def _has_score_words(text: str) -> bool:
    return not SCORE_WORDS.isdisjoint(token.lower() for token in TOKEN.findall(text))


def _last_mark(text: str) -> int:
    """Where the last character that is neither a letter nor a digit ends."""
    return max((place + 1 for place, mark in enumerate(text) if not mark.isalnum()), default=0)


def typed(names: Sequence[str]) -> str:
    """Names of columns as they are typed in a shell, with `?` for the commas within them."""
    return shlex.quote(",".join(name.replace(",", "?") for name in names))


def listed(names: Sequence[str]) -> str:
    """The first few names of columns, for messages."""
    shown = some(names, 5)
    return f"the column {shown}" if len(names) == 1 else f"the columns {shown}"
