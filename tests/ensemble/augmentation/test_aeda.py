"""AEDA: what its equation bounds, and what seed and id decide."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble import aeda
from ensemble.augmentation.aeda import MARKS

WORD = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=5)


@given(st.lists(WORD, min_size=1, max_size=40), st.integers(0, 10**9), st.text(max_size=5))
def test_bounds_and_order(words, seed, text_id):
    for variant in aeda(" ".join(words), 5, seed=seed, text_id=text_id):
        parts = variant.split(" ")
        marks = [part in MARKS for part in parts]
        assert [part for part in parts if part not in MARKS] == words
        assert 1 <= sum(marks) <= min(len(words), int(0.3 * len(words) + 1e-9) + 1)
        assert not marks[-1]
        assert not any(a and b for a, b in pairwise(marks))


def test_number_place_and_kind_of_marks_are_uniform():
    n_words, k = 20, 21_000
    counts, places, kinds = np.zeros(8), np.zeros(n_words), dict.fromkeys(MARKS, 0)
    words = [f"w{at}" for at in range(n_words)]
    for variant in aeda(" ".join(words), k):
        parts = variant.split(" ")
        counts[len(parts) - n_words] += 1
        for mark, word in pairwise(parts):
            if mark in kinds:
                kinds[mark] += 1
                places[int(word[1:])] += 1
    assert counts[0] == 0
    n_marks = counts @ np.arange(8)
    for found, total in (
        (counts[1:], k),
        (places, n_marks),
        (np.array([*kinds.values()]), n_marks),
    ):
        share = 1 / len(found)
        assert np.abs(found / total - share).max() < 4 * np.sqrt(share * (1 - share) / total)


def test_seed_and_id_decide():
    text = "a text of a few more words than one or two"
    assert aeda(text, 4, seed=1, text_id="a") == aeda(text, 4, seed=1, text_id="a")
    assert aeda(text, 4, seed=1, text_id="a") != aeda(text, 4, seed=2, text_id="a")
    assert aeda(text, 4, seed=1, text_id="a") != aeda(text, 4, seed=1, text_id="b")
    assert aeda(text, 2, text_id="a") == aeda(text, 4, text_id="a")[:2]


def test_a_text_without_words_and_one_of_one():
    assert aeda(" ", 2) == [" ", " "]
    assert {variant[1:] for variant in aeda("word", 50)} == {" word"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("a", 0), ValueError, "`k` must be an integer >= 1, got 0"),
        ((3.5,), TypeError, "`text` must be a string, got float"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        aeda(*arguments)
