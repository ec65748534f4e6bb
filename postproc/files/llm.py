"""Scores of language models: log-likelihoods of choices, top-k log-probabilities of tokens."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.files.dialects import lines_of
from postproc.files.json_arrays import read_json
from postproc.files.json_tables import holds_array
from postproc.scores.checks import check_choice, fail
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.scores.tables.column_names import ID_NAME

Normalize = Literal["none", "characters", "bytes", "tokens"]
Missing = Literal["spread", "zero"]

#: Fields that hold the log-probabilities of a record, from the outermost to the innermost.
NESTED = ("response", "body", "outputs", "choices", "logprobs", "content", "top_logprobs")

#: How far rounded probabilities may sum to more than 1.
ROUNDING = 1e-2

#: Fields that are ids or labels and never tokens.
IDS, LABELS = ("custom_id", "id", "doc_id", "index"), ("label", "target", "truth", "answer")

#: What tokenizers write for the blank before a token.
BLANKS = str.maketrans("\u2581\u0120", "  ")


#: What to do where a log holds no labels.
OWN_LABELS = "omit --labels-out and give a file of labels of your own"


class Converted(NamedTuple):
    """Predictions and, if the file holds them, labels as class numbers, (n,)."""

    predictions: Predictions
    labels: NDArray[np.int64] | None


def read_lm_eval(
    path: str | os.PathLike[str], *, normalize: Normalize = "none", labelled: bool = False
) -> Converted:
    """Log-likelihoods of choices from a sample log of lm-evaluation-harness, as logits (n, C).

    They are divided by nothing, the characters or UTF-8 bytes of a choice, or its number of tokens,
    if records have a field `tokens`. Questions of fewer than C choices have -inf. Choices that all
    questions share are class names, else letters or numbers in `doc`, if questions do not differ
    in them. Labels are None unless every `target` is a choice: number, text, letter; with
    `labelled`, one that is none is an error.
    """
    check_choice(normalize, "normalize", ("none", "characters", "bytes", "tokens"))
    path = _log_in(Path(path))
    rows: list[NDArray[np.float64]] = []
    texts: list[list[str]] = []
    letters: list[list[str]] = []
    positive: list[tuple[int, float]] = []
    found: list[int | None] = []
    ids: list[str] = []
    first_filter: Any = None
    for number, record in _records(path):
        where = f"{path}, line {number}"
        first_filter = record.get("filter") if not rows else first_filter
        if record.get("filter") != first_filter:
            continue  # the same questions once more, under another filter
        likelihoods = _likelihoods(record, where)
        if not likelihoods.max() <= 0:
            positive.append((number, float(likelihoods.max())))
        choices = _choices(record, len(likelihoods))
        if _is_doubled(record, choices):
            choices = choices[: len(choices) // 2]
            likelihoods = likelihoods[: len(choices)]
        rows.append(likelihoods / _lengths(record, choices, len(likelihoods), normalize, where))
        texts.append(choices)
        letters.append(_letters(record, len(likelihoods)))
        found.append(_place(record, choices, rows[-1]))
        if labelled and found[-1] is None:
            rule = "a record whose `target` is one of its choices: its number, text or letter"
            fail(where, rule, _shown(record.get("target")), OWN_LABELS)
        ids.append(str(record.get("doc_id", len(ids))))
    if positive:
        line, value = positive[0]
        rule = "log-likelihoods at or below 0 in every record"
        where = f"the first on line {line}: {value:g}"
        got = f"{len(positive)} of {len(rows)} records with others ({where})"
        fail(str(path), rule, got, "evaluate these questions again, or leave their lines out")
    scores = np.full((len(rows), max(map(len, rows))), -np.inf)
    for row, values in zip(scores, rows, strict=True):
        row[: len(values)] = values
    shared = texts[0] if texts[0] and all(text == texts[0] for text in texts) else None
    if shared is not None and len(set(shared)) < len(shared):
        shared = None
    shared = _shared_letters(letters) if shared is None else shared
    labels = None if None in found else np.array(found, dtype=np.int64)
    predictions = Predictions.check(scores, kind="logits", classes=shared, ids=ids, name=str(path))
    return Converted(predictions, labels)


def _log_in(path: Path) -> Path:
    """The log itself, or the only one in a folder as the harness writes it."""
    if not path.is_dir():
        return path
    logs = sorted(path.rglob("samples_*.jsonl"))
    if len(logs) != 1:
        found = first_few([str(log.relative_to(path)) for log in logs]) or "none"
        fail(str(path), "a log, or a folder that holds one, samples_*.jsonl", found)
    return logs[0]


def read_logprobs(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    missing: Missing = "spread",
    labelled: bool = False,
) -> Converted:
    """Top-k log-probabilities of answer tokens, one record a line, as logits (n, C).

    A record maps tokens to log-probabilities (`{"A": -0.1, "B": -2.3}`), or has such a mapping, or
    a list of `{"token": ..., "logprob": ...}`, in a field `logprobs` or `top_logprobs`. In a
    response of OpenAI, or a line of its batches, the first token of the first choice counts. Blanks
    around tokens are dropped and the probabilities of equal tokens are added. Classes are the
    answers in order, by default all tokens in order of appearance. An answer that a row does not
    list gets an equal share of the probability that is left, or zero. Labels are None unless every
    record has an answer as its label; with `labelled`, a record without one is an error.
    """
    check_choice(missing, "missing", ("spread", "zero"))
    path = Path(path)
    rows, truths, ids, lines = [], [], [], []
    for number, record in _records(path):
        lines.append(f"{path}, line {number}")
        rows.append(_tokens(record, lines[-1]))
        truths.append(next((record[key] for key in LABELS if key in record), None))
        ids.append(next((str(record[key]) for key in _id_keys(record)), None))
    answers = list(dict.fromkeys(token for row in rows for token in row))
    answers = answers if classes is None else [str(name) for name in classes]
    scores = np.full((len(rows), len(answers)), -np.inf)
    for row, tokens in zip(scores, rows, strict=True):
        row[:] = [tokens.get(answer, -np.inf) for answer in answers]
        absent = [place for place, answer in enumerate(answers) if answer not in tokens]
        rest = 1 - math.fsum(math.exp(value) for value in tokens.values())
        if absent and missing == "spread" and rest > 0:
            row[absent] = math.log(rest / len(absent))
    _check_answers(rows, scores, answers, lines)
    places = {answer: place for place, answer in enumerate(answers)}
    found = [places.get(str(truth).strip()) for truth in truths]
    if labelled and None in found:
        without = found.index(None)
        fields = "`label`, `target`, `truth` or `answer`"
        rule = f"a record with one of the answers {first_few(answers)} in a field {fields}"
        fail(lines[without], rule, _shown(truths[without]), OWN_LABELS)
    labels = None if None in found else np.array(found, dtype=np.int64)
    predictions = Predictions.check(
        scores,
        kind="logits",
        classes=answers,
        ids=[name for name in ids if name is not None] if None not in ids else None,
        name=str(path),
    )
    return Converted(predictions, labels)


def layout_of(record: Any) -> Literal["lm-eval", "logprobs"] | None:
    """Which of the two layouts a record clearly has; None for others, and for plain mappings."""
    if not isinstance(record, dict):
        return None
    if "resps" in record or "filtered_resps" in record:
        return "lm-eval"
    if not {"response", "choices"} & record.keys():
        return None
    first = _first_token(record)
    has_tokens = isinstance(first, list) and first and isinstance(first[0], dict)
    return "logprobs" if has_tokens and "logprob" in first[0] else None


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers, from 1, and the objects on them."""
    found = False
    for number, record in _lines(path):
        if not isinstance(record, dict):
            fail(f"{path}, line {number}", "a JSON object", f"{str(record)[:40]!r}")
        found = True
        yield number, record
    if not found:
        fail(str(path), "one or more JSON objects, one a line", "none")


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Numbers and records of lines that are not blank, or of an array; text where it is no JSON."""
    if holds_array(path):
        content = read_json(path)
        yield from enumerate(content if isinstance(content, list) else [content], start=1)
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(lines_of(file), start=1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (json.JSONDecodeError, RecursionError):
                    yield number, line.strip()


def _id_keys(record: dict[str, Any]) -> list[str]:
    """Fields of a record that hold its id, the surest first."""
    others = [key for key in record if ID_NAME.fullmatch(key)]
    return [key for key in (*IDS, *others) if isinstance(record.get(key), str | int)]


def _check_answers(
    rows: Sequence[Mapping[str, float]],
    scores: NDArray[np.float64],
    answers: Sequence[str],
    lines: Sequence[str],
) -> None:
    """Refuse records of which most list no answer, or one that leaves none any probability."""
    lists_none = [not tokens.keys() & set(answers) for tokens in rows]
    bad = np.isneginf(scores).all(axis=1)
    if 2 * sum(lists_none) > len(rows):
        bad |= np.array(lists_none)
    if bad.any():
        at = int(np.argmax(bad))
        rule, got = (
            f"tokens with one of the answers {first_few(answers)}",
            first_few(list(rows[at])),
        )
        fail(lines[at], rule, got, "give the answers as the tokens are written with --classes")


def _shown(value: Any) -> str:
    """A value that is no label, or the lack of one, for messages."""
    return "none" if value is None else repr(str(value)[:40])


def _likelihoods(record: dict[str, Any], where: str) -> NDArray[np.float64]:
    """The log-likelihood of each choice: responses are [likelihood, is greedy], nested or not."""
    responses = record.get("filtered_resps", record.get("resps"))
    rule = "a record of a multiple-choice task, with a log-likelihood for each choice"
    if not isinstance(responses, list) or len(responses) < 2:
        fail(where, rule, "no list of two or more responses in `filtered_resps` or `resps`")
    values = []
    for response in responses:
        inner = response
        while isinstance(inner, list) and inner:
            inner = inner[0]
        try:
            values.append(float(inner))
        except (TypeError, ValueError):
            fail(where, rule, f"the response {str(response)[:40]!r}")
    return np.array(values)


def _choices(record: dict[str, Any], n_choices: int) -> list[str]:
    """Texts of the choices: the continuation is the second argument of each request."""
    arguments = record.get("arguments")
    if isinstance(arguments, dict):
        arguments = [[a.get("arg_0"), a.get("arg_1")] for a in arguments.values()]
    if not isinstance(arguments, list) or len(arguments) != n_choices:
        return []
    texts = [a[1] if isinstance(a, list) and len(a) > 1 else None for a in arguments]
    known = [text.strip() for text in texts if isinstance(text, str)]
    return known if len(known) == n_choices else []


def _letters(record: dict[str, Any], n_choices: int) -> list[str]:
    """What the document calls its choices: letters or numbers, in a list `label`."""
    doc = record.get("doc")
    choices = doc.get("choices") if isinstance(doc, dict) else None
    names = choices.get("label") if isinstance(choices, dict) else None
    known = [str(name) for name in names] if isinstance(names, list) else []
    return known if len(set(known)) == n_choices else []


def _shared_letters(letters: list[list[str]]) -> list[str] | None:
    """Those of the question with the most choices, if all others begin alike."""
    longest = max(letters, key=len)
    return longest if all(own and own == longest[: len(own)] for own in letters) else None


def _lengths(
    record: dict[str, Any], choices: list[str], n_choices: int, normalize: str, where: str
) -> NDArray[np.float64]:
    """What the log-likelihood of each choice is divided by."""
    if normalize == "none":
        return np.ones(n_choices)
    lengths: Any = [len(text if normalize == "characters" else text.encode()) for text in choices]
    if normalize == "tokens":
        lengths = record.get("tokens")
    usable = isinstance(lengths, list) and len(lengths) == n_choices
    if not usable or not all(isinstance(x, int | float) and x > 0 for x in lengths):
        needed, mend = "texts in `arguments`", "use --normalize none"
        if normalize == "tokens":
            needed = (
                "counts in a field `tokens`, one list a record, which the harness does not write"
            )
            mend = "add them, or use --normalize bytes"
        fail(where, f"a record whose choices have {needed}", "none", mend)
    return np.array(lengths, dtype=np.float64)


def _is_doubled(record: dict[str, Any], choices: list[str]) -> bool:
    """Whether all choices come once more without the question, for mutual information."""
    half = len(choices) // 2
    if half < 2 or choices[:half] != choices[half:]:
        return False
    arguments = record["arguments"]
    pairs = (
        [list(a.values()) for a in arguments.values()] if isinstance(arguments, dict) else arguments
    )
    return len({pair[0] for pair in pairs[half:]}) == 1 and pairs[0][0] != pairs[half][0]


def _place(record: dict[str, Any], choices: list[str], row: NDArray[Any]) -> int | None:
    """The number of the right choice: the target is that number, its text or its letter."""
    text = str(record.get("target")).strip()
    letter = text.strip("().").upper()
    places = [choices.index(text)] if text in choices else []
    if text.isdecimal() and int(text) < len(row):
        places.append(int(text))
    elif not places and len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(row):
        places.append(ord(letter) - ord("A"))
    # Where the choices are numbers themselves, the accuracy that the harness gave says which it is.
    right = {place for place in places if record.get("acc") in (None, int(row.argmax() == place))}
    return next((place for place in places if place in right), places[0] if places else None)


def _tokens(record: dict[str, Any], where: str) -> dict[str, float]:
    """Log-probabilities by token."""
    response = record.get("response", record)
    body = response.get("body") if isinstance(response, dict) else None
    if response is None or record.get("error") or (isinstance(body, dict) and body.get("error")):
        fail(where, "a response", "an error", "ask again, or leave the line out")
    inner = _first_token(record)
    if inner is record:
        aside = (*_id_keys(record), *LABELS)
        inner = {k: v for k, v in record.items() if k not in aside}
    if isinstance(inner, list):
        pairs = [
            (item.get("token"), item.get("logprob")) if isinstance(item, dict) else (None, None)
            for item in inner
        ]
    else:
        pairs = list(inner.items()) if isinstance(inner, dict) else []
    tokens: dict[str, float] = {}
    for given, found in pairs:
        token, value = given, found
        if isinstance(found, dict):  # vLLM names tokens by their numbers
            token, value = found.get("decoded_token", given), found.get("logprob")
        if token is None or not isinstance(value, int | float) or isinstance(value, bool):
            mend = "keep the scores in a field `logprobs`"
            fail(where, "a number for each token", f"{token!r}: {_shown(found)}", mend)
        if not value <= 0:
            fail(where, "log-probabilities at or below 0", f"{token!r}: {value}")
        name = str(token).translate(BLANKS).strip()
        tokens[name] = float(np.logaddexp(tokens.get(name, -np.inf), value))
    if not tokens:
        fail(where, "a mapping of tokens to log-probabilities", "none")
    total = math.fsum(map(math.exp, tokens.values()))
    if total > 1 + ROUNDING:
        mend = "read other scores as a table, with --logits"
        fail(where, "probabilities that sum to 1 at most", f"{total:.4g}", mend)
    return tokens


def _first_token(record: dict[str, Any]) -> Any:
    """What holds the log-probabilities of the first token of a record: a part of it, or all."""
    found: Any = record
    while True:
        if isinstance(found, list) and found and _holds_token(found[0]):
            found = found[0]
            continue
        inner = found if isinstance(found, dict) else {}
        parts = [inner[key] for key in NESTED if isinstance(inner.get(key), dict | list)]
        if not parts:
            return found
        found = parts[0]


def _holds_token(value: Any) -> bool:
    """Whether a value is a list, or an object that is no token of a list, or holds such a list."""
    if isinstance(value, dict):
        return "token" not in value or any(isinstance(value.get(key), list) for key in NESTED)
    return isinstance(value, list)
