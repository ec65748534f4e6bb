"""Texts as numbers of words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch

from postproc.scores.checks import check_count, fail_type

#: Numbers that are no words: beyond a text's end, of rare words, of words that are hidden.
PADDING, UNKNOWN, MASK = 0, 1, 2
FIRST_WORD = 3

#: Words, with what follows an apostrophe, and single marks.
_TOKENS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def check_texts(texts: Iterable[str], name: str = "texts") -> list[str]:
    """Texts as a list, all of them strings."""
    if isinstance(texts, str):
        fail_type(name, "a sequence of strings", "one string")
    found = list(texts)
    for row, text in enumerate(found):
        if not isinstance(text, str):
            fail_type(f"{name}[{row}]", "a string", type(text).__name__)
    return found


def split_text(text: str) -> list[str]:
    """The words and marks of a text in lower case."""
    return _TOKENS.findall(text.lower())


@dataclass(frozen=True)
class Vocabulary:
    """The words that a text encoder knows.

    Parameters
    ----------
    words : tuple of str
        Words and marks in lower case; the first has the number 3. Numbers below are those of
        padding, unknown words and hidden words.
    length : int
        Words >= 1 of a text that are read.
    """

    words: tuple[str, ...]
    length: int = 64
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_count(self.length, "length", low=1)
        numbers = {word: number for number, word in enumerate(self.words, FIRST_WORD)}
        object.__setattr__(self, "_numbers", numbers)

    def __len__(self) -> int:
        """How many numbers there are."""
        return FIRST_WORD + len(self.words)

    @classmethod
    def of(cls, texts: Iterable[str], *, least: int = 2, length: int = 64) -> Self:
        """The words of some texts.

        Parameters
        ----------
        texts : iterable of str
            Texts.
        least : int
            Times >= 1 that a word must occur.
        length : int
            Words of a text that are read.
        """
        check_count(least, "least", low=1)
        counts = Counter(word for text in check_texts(texts) for word in split_text(text))
        return cls(tuple(sorted(word for word, n in counts.items() if n >= least)), length)

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Numbers of the words of n texts.

        Parameters
        ----------
        texts : sequence of n str
            Texts; one without a word counts as one unknown word.

        Returns
        -------
        tensor of shape (n, L), int64
            Numbers, 0 beyond a text's end; L is the length of the longest, or `length`.
        """
        rows = [split_text(text)[: self.length] for text in check_texts(texts)]
        width = max((len(row) for row in rows), default=0)
        numbers = torch.full((len(rows), max(width, 1)), PADDING)
        for row, words in enumerate(rows):
            found = [self._numbers.get(word, UNKNOWN) for word in words] or [UNKNOWN]
            numbers[row, : len(found)] = torch.tensor(found)
        return numbers
