"""Variants of a text for test-time augmentation: punctuation between its words (AEDA)."""

from __future__ import annotations

import numpy as np

from ensemble.augmentation.edits import draw_count
from postproc.scores.checks import check_count, fail_type

MARKS = (".", ",", "!", "?", ";", ":")


def aeda(text: str, k: int = 8, *, seed: int = 0, text_id: str = "") -> list[str]:
    """Variants of a text with punctuation marks put before some of its words.

    Of n words, q ~ U{1..⌊0.3 n⌋ + 1}, at most n, are drawn without replacement, and a random one
    of `. , ! ? ; :` is put before each. No word is changed, lost or moved.

    Parameters
    ----------
    text : str
        The text; words are what blanks separate. A text without words has itself as variants.
    k : int
        Number of variants >= 1.
    seed : int
        Seed >= 0.
    text_id : str
        Id of the text. Seed and id decide the marks, whatever other texts there are.

    Returns
    -------
    list of k str
        The variants, their words and marks separated by single blanks.

    References
    ----------
    Karimi, Rossi, Prati (2021). AEDA: An Easier Data Augmentation Technique for Text
    Classification. Findings of EMNLP, 2021.findings-emnlp.234.

    Examples
    --------
    >>> aeda("what is my card limit", 2, text_id="q1")
    [': what is my , card limit', ', what is : my card limit']
    """
    if not isinstance(text, str):
        fail_type("text", "a string", type(text).__name__)
    count = check_count(k, "k", low=1)
    rng = np.random.default_rng([check_count(seed, "seed", low=0), *text_id.encode()])
    words = text.split()
    return [_variant(words, rng) for _ in range(count)] if words else [text] * count


def _variant(words: list[str], rng: np.random.Generator) -> str:
    """One variant of n >= 1 words."""
    q = draw_count(rng, len(words), len(words))
    marked = rng.choice(len(words), size=q, replace=False)
    marks = dict(zip(marked.tolist(), rng.choice(MARKS, size=q).tolist(), strict=True))
    return " ".join(f"{marks[at]} {word}" if at in marks else word for at, word in enumerate(words))
