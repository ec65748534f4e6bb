"""Edits of a text: words replaced, deleted, inserted, or selected by their roles."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

GOLD, VENTURE, BONUS, TRIVIAL = ROLES = ("gold", "venture", "bonus", "trivial")

#: Which words may be replaced and deleted, which inserted, and which positive selection keeps.
CHANGED, INSERTED, SELECTED = (VENTURE, BONUS, TRIVIAL), (GOLD, BONUS, TRIVIAL), (GOLD, TRIVIAL)

#: A word between the marks around it; marks alone are no word.
WORD = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """A word of a text with the marks around it; its role, and the words that may replace it."""

    text: str
    role: str | None = None  # None for marks, and for words that are not known
    others: Sequence[str] = ()


def parts_of(token: str) -> tuple[str, str, str]:
    """Marks before, word, marks after."""
    match = WORD.fullmatch(token)
    assert match is not None
    return match[1], match[2], match[3]


def edits_of(
    words: Sequence[Word], inserted: Sequence[str]
) -> list[Callable[[np.random.Generator], str]]:
    """The edits that change this text, each to be made with a generator."""
    changed = [at for at, word in enumerate(words) if word.role in CHANGED]
    replaced = [
        at for at in changed if set(words[at].others) - {parts_of(words[at].text)[1].lower()}
    ]
    left = [word.text for word in words if word.role is None or word.role in SELECTED]
    edits: list[Callable[[np.random.Generator], str]] = []
    if replaced:
        edits.append(partial(_replace, words, replaced))
    if changed and len(words) > 1:
        edits.append(partial(_delete, words, changed))
    if inserted:
        edits.append(partial(_insert, words, inserted))
    if 0 < len(left) < len(words):
        edits.append(lambda generator: " ".join(left))
    return edits


def draw_count(generator: np.random.Generator, n_words: int, most: int) -> int:
    """Q ~ U{1..⌊0.3 n⌋ + 1}, at most a bound."""
    return int(generator.integers(1, min(most, 3 * n_words // 10 + 1), endpoint=True))


def _replace(words: Sequence[Word], places: Sequence[int], generator: np.random.Generator) -> str:
    """Replace some words by others, between the marks that stood around them."""
    texts = [word.text for word in words]
    q = draw_count(generator, len(words), len(places))
    for at in generator.choice(places, size=q, replace=False).tolist():
        before, old, after = parts_of(texts[at])
        others = [other for other in words[at].others if other != old.lower()]
        texts[at] = f"{before}{others[int(generator.integers(len(others)))]}{after}"
    return " ".join(texts)


def _delete(words: Sequence[Word], places: Sequence[int], generator: np.random.Generator) -> str:
    """Delete some words; one is always left."""
    q = draw_count(generator, len(words), min(len(places), len(words) - 1))
    gone = set(generator.choice(places, size=q, replace=False).tolist())
    return " ".join(word.text for at, word in enumerate(words) if at not in gone)


def _insert(words: Sequence[Word], inserted: Sequence[str], generator: np.random.Generator) -> str:
    """Insert some words at random places."""
    texts = [word.text for word in words]
    q = draw_count(generator, len(words), len(inserted))
    for new in generator.choice(len(inserted), size=q, replace=False).tolist():
        texts.insert(int(generator.integers(len(texts), endpoint=True)), inserted[new])
    return " ".join(texts)
