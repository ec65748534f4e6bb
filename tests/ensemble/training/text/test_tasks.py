"""Pre-training tasks: targets by hand, on what was drawn."""

import pytest
import torch

from ensemble.training.text import Vocabulary, tasks
from ensemble.training.text.tasks import (
    IGNORED,
    TASKS,
    corrupt,
    first_character,
    masked,
    n_targets,
    replaced,
    shuffled,
    shuffled_or_replaced,
    target_table,
    word_type,
)
from ensemble.training.text.vocabulary import MASK

WORDS = ("!", "12", "apple", "the", "zebra", "ä")
VOCABULARY = Vocabulary(WORDS)
LENGTHS = [20, 10, 2, 1]
TOKENS = torch.zeros(4, 20, dtype=torch.long)
for row, length in enumerate(LENGTHS):
    TOKENS[row, :length] = torch.arange(3, 3 + length)  # all words of a text are unlike
PADDING = TOKENS == 0


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", TASKS)
def test_padding_is_left_alone_and_seeds_decide(task):
    tokens = TOKENS.clamp(max=len(VOCABULARY) - 1)
    inputs, targets = corrupt(task, tokens, VOCABULARY, generator())
    assert (inputs[PADDING] == 0).all()
    assert (targets[PADDING] == IGNORED).all()
    assert (inputs[~PADDING] > 0).all()
    assert targets[targets != IGNORED].max() < n_targets(task, VOCABULARY)
    again = corrupt(task, tokens, VOCABULARY, generator())
    other = corrupt(task, tokens, VOCABULARY, generator(1))
    assert torch.equal(again[0], inputs)
    assert not torch.equal(other[0], inputs)


def test_shuffled():
    inputs, targets = shuffled(TOKENS, 0.3, generator())
    assert torch.equal(inputs.sort(dim=1)[0], TOKENS.sort(dim=1)[0])  # the same words
    assert (targets == 1).sum(dim=1).tolist() == [6, 3, 2, 0]  # all chosen words move
    moved = (inputs != TOKENS) & ~PADDING
    assert torch.equal(targets[~PADDING], moved[~PADDING].long())


def test_equal_words_that_change_places_are_no_others():
    _, targets = shuffled(torch.full((1, 10), 7), 0.5, generator())
    assert targets.tolist() == [[0] * 10]


def test_replaced():
    inputs, targets = replaced(TOKENS, 100_000, 0.3, generator())
    assert (targets == 1).sum(dim=1).tolist() == [6, 3, 1, 1]
    assert torch.equal(targets[~PADDING], (inputs != TOKENS)[~PADDING].long())
    same, none = replaced(TOKENS[:1, :1], 4, 1.0, generator())  # the only word there is
    assert (same.item(), none.item()) == (3, 0)


def test_shuffled_or_replaced():
    inputs, targets = shuffled_or_replaced(TOKENS, 100_000, 0.3, generator())
    assert (targets == 1).sum(dim=1).tolist() == [6, 3, 2, 0]
    assert (targets == 2).sum(dim=1).tolist() == [6, 3, 0, 0]
    assert torch.equal(inputs[targets == 0], TOKENS[targets == 0])
    assert ((inputs != TOKENS)[~PADDING] == (targets > 0)[~PADDING]).all()
    for row in range(4):  # shuffled words are words of their own text
        own = set(TOKENS[row].tolist())
        assert set(inputs[row][targets[row] == 1].tolist()) <= own


def test_masked():
    table = torch.arange(40) * 10
    inputs, targets = masked(TOKENS, table, 0.3, generator())
    hidden = targets != IGNORED
    assert hidden.sum(dim=1).tolist() == [6, 3, 1, 1]
    assert torch.equal(targets[hidden], TOKENS[hidden] * 10)
    assert (inputs[hidden] == 2).all()
    assert torch.equal(inputs[~hidden], TOKENS[~hidden])


def test_every_place_is_chosen_alike():
    tokens = torch.arange(3, 13).repeat(20_000, 1)
    _, targets = masked(tokens, torch.zeros(20, dtype=torch.long), 0.3, generator())
    shares = (targets == 0).double().mean(dim=0)
    assert (shares - 0.3).abs().max() < 4 * (0.3 * 0.7 / 20_000) ** 0.5


def test_tables_by_hand():
    types = target_table("token-type", VOCABULARY).tolist()
    assert types == [3, 3, 3, 2, 1, 3, 0, 3, 3]  # three that are no words, then WORDS
    first = target_table("first-character", VOCABULARY).tolist()
    assert first == [28, 28, 28, 27, 26, 0, 19, 25, 28]
    assert target_table("masked", VOCABULARY).tolist() == list(range(9))
    assert (word_type("_"), word_type("☂"), first_character("é")) == (3, 2, 28)


#: For one text, "the cat sat on 12 mats": which words are chosen first, which words are drawn.
BY_HAND = {
    "shuffle": (["mats", "cat", "sat", "on", "12", "the"], [1, 0, 0, 0, 0, 1]),
    "random": (["the", "cat", "sat", "on", "12", "on"], [0, 0, 0, 0, 0, 1]),
    "shuffle-random": (["mats", "cat", "cat", "on", "12", "the"], [1, 0, 2, 0, 0, 1]),
    "token-type": (["the", "cat", "sat", "on", "12", None], [IGNORED] * 5 + [3]),
    "first-character": (["the", "cat", "sat", "on", "12", None], [IGNORED] * 5 + [12]),
    "masked": (["the", "cat", "sat", "on", "12", None], [IGNORED] * 5 + ["mats"]),
}


@pytest.mark.parametrize("task", TASKS)
def test_inputs_and_targets_by_hand(task, monkeypatch):
    words = ["the", "cat", "sat", "on", "12", "mats"]
    vocabulary = Vocabulary.of([" ".join(words)], least=1)
    number = {word: vocabulary.encode([word]).item() for word in words} | {None: MASK}
    drawn = torch.tensor([[number[word] for word in ["12", "12", "cat", "12", "12", "on"]]])
    order = torch.tensor([[5, 0, 2, 1, 3, 4]])  # "mats" first, then "the", then "sat"
    monkeypatch.setattr(tasks, "_random_order", lambda *_: order)
    monkeypatch.setattr(tasks, "_drawn", lambda *_: drawn)
    inputs, targets = corrupt(task, vocabulary.encode([" ".join(words)]), vocabulary, generator())
    wanted_inputs, wanted_targets = BY_HAND[task]
    assert inputs.tolist() == [[number[word] for word in wanted_inputs]]
    assert targets.tolist() == [[number.get(target, target) for target in wanted_targets]]
