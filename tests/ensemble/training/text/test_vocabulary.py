"""Texts as numbers, by hand."""

import pytest
import torch

from ensemble.training.text import Vocabulary
from ensemble.training.text.batches import TokenBatches, cropped
from ensemble.training.text.vocabulary import split_text

TEXTS = ["Where's my card?", "my card, please!", "My Card", "Ä 12th ☂"]


def test_words_and_marks():
    assert split_text("Where’s my card?!") == ["where’s", "my", "card", "?", "!"]
    assert split_text("Ä 12th ☂ snake_case") == ["ä", "12th", "☂", "snake_case"]


def test_frequent_words_have_numbers():
    vocabulary = Vocabulary.of(TEXTS)
    assert vocabulary.words == ("card", "my")
    assert len(vocabulary) == 5
    assert vocabulary.encode(TEXTS[:3]).tolist() == [
        [1, 4, 3, 1, 0],
        [4, 3, 1, 1, 1],
        [4, 3, 0, 0, 0],
    ]


def test_long_and_empty_texts():
    vocabulary = Vocabulary.of(TEXTS, least=1, length=2)
    assert vocabulary.encode(["my my card", " "]).tolist() == [
        [vocabulary.encode(["my"]).item()] * 2,
        [1, 0],
    ]
    assert vocabulary.encode([]).shape == (0, 1)
    with pytest.raises(ValueError, match="`length`"):
        Vocabulary((), 0)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_have_every_row_once_and_little_padding(shuffle):
    lengths = torch.arange(100) % 9 + 1
    tokens = (torch.arange(9) < lengths[:, None]) * (torch.arange(100) + 3)[:, None]
    batches = TokenBatches(tokens, torch.arange(100), 8, shuffle=shuffle)
    found = list(batches)
    assert sorted(torch.cat([y for _, y in found]).tolist()) == list(range(100))
    for words, y in found:
        assert torch.equal(words, cropped(tokens[y]))
        assert words.shape[1] == lengths[y].max()
    again = torch.cat([y for _, y in batches])
    assert torch.equal(again, torch.cat([y for _, y in found])) != shuffle
    if shuffle:
        padding = sum(int((words == 0).sum()) for words, _ in found)
        assert padding < 0.15 * tokens.count_nonzero()
