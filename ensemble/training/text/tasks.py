"""Pre-training tasks on the words of texts: numbers of words in, inputs and targets out.

Five tasks stand in for masked language modelling, whose own form is here, too (Yamaguchi et al.,
EMNLP 2021; shares and classes as recalled). In each text a share of the words is chosen, rounded,
one or more. Targets are `IGNORED` where nothing is to be said.
"""

from __future__ import annotations

import string
from typing import Literal

import torch

from ensemble.training.text.vocabulary import FIRST_WORD, MASK, PADDING, Vocabulary

Task = Literal["shuffle", "random", "shuffle-random", "token-type", "first-character", "masked"]
TASKS = ("shuffle", "random", "shuffle-random", "token-type", "first-character", "masked")

#: The target that cross-entropy leaves out.
IGNORED = -100

#: Share of the words that is chosen; that of each kind where words are shuffled or replaced.
SHARE, SHARE_OF_EACH = 0.15, 0.1

#: Kinds of words, and first characters; digits, marks and all others follow the letters.
STOP_WORD, DIGIT, PUNCTUATION, CONTENT = range(4)
DIGIT_FIRST, PUNCTUATION_FIRST, OTHER_FIRST = 26, 27, 28

Corrupted = tuple[torch.Tensor, torch.Tensor]


def corrupt(
    task: Task, tokens: torch.Tensor, vocabulary: Vocabulary, generator: torch.Generator
) -> Corrupted:
    """Inputs and targets of a task, each of shape (n, L), from numbers of words (n, L)."""
    if task == "shuffle":
        return shuffled(tokens, SHARE, generator)
    if task == "random":
        return replaced(tokens, len(vocabulary), SHARE, generator)
    if task == "shuffle-random":
        return shuffled_or_replaced(tokens, len(vocabulary), SHARE_OF_EACH, generator)
    return masked(tokens, target_table(task, vocabulary), SHARE, generator)


def n_targets(task: Task, vocabulary: Vocabulary) -> int:
    """Number of the classes that a task tells apart."""
    numbers = {"shuffle": 2, "random": 2, "shuffle-random": 3, "token-type": 4}
    return numbers.get(task, 29 if task == "first-character" else len(vocabulary))


def shuffled(tokens: torch.Tensor, share: float, generator: torch.Generator) -> Corrupted:
    """Chosen words, two or more, change places; targets: 1 where the word is another, else 0."""
    order = _random_order(tokens, generator)
    inputs = _cycled(tokens, order, _count(tokens, share, least=2))
    return inputs, _differing(tokens, inputs)


def replaced(
    tokens: torch.Tensor, n_numbers: int, share: float, generator: torch.Generator
) -> Corrupted:
    """Chosen words become words drawn uniformly; targets: 1 where the word is another, else 0."""
    chosen = _rank(_random_order(tokens, generator)) < _count(tokens, share)
    inputs = torch.where(chosen, _drawn(tokens, n_numbers, generator), tokens)
    return inputs, _differing(tokens, inputs)


def shuffled_or_replaced(
    tokens: torch.Tensor, n_numbers: int, share: float, generator: torch.Generator
) -> Corrupted:
    """A share of the words is shuffled, another one replaced; targets: 1 and 2, else 0."""
    order = _random_order(tokens, generator)
    count, rank = _count(tokens, share, least=2), _rank(order)
    inputs = _cycled(tokens, order, count)
    targets = _differing(tokens, inputs)
    chosen = (rank >= count) & (rank < count + _count(tokens, share)) & (tokens != PADDING)
    drawn = _drawn(tokens, n_numbers, generator)
    targets = targets.masked_fill(chosen & (drawn != tokens), 2)
    return torch.where(chosen, drawn, inputs), targets


def masked(
    tokens: torch.Tensor, table: torch.Tensor, share: float, generator: torch.Generator
) -> Corrupted:
    """Chosen words are hidden; targets: what the table (V,) says of them."""
    chosen = _rank(_random_order(tokens, generator)) < _count(tokens, share)
    return tokens.masked_fill(chosen, MASK), table[tokens].masked_fill(~chosen, IGNORED)


def target_table(task: Task, vocabulary: Vocabulary) -> torch.Tensor:
    """What is to be said of each hidden word, shape (V,)."""
    if task == "masked":
        return torch.arange(len(vocabulary))
    tell, rest = (word_type, CONTENT) if task == "token-type" else (first_character, OTHER_FIRST)
    return torch.tensor([rest] * FIRST_WORD + [tell(word) for word in vocabulary.words])


def word_type(word: str) -> int:
    """Whether a word is an English stop word, begins with a digit, is a mark, or is none of it."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    if word in ENGLISH_STOP_WORDS:
        return STOP_WORD
    if word[0].isdigit():
        return DIGIT
    return CONTENT if word[0].isalnum() or word[0] == "_" else PUNCTUATION


def first_character(word: str) -> int:
    """Which of the 26 letters a word begins with; or with a digit, a mark, another letter."""
    letter = string.ascii_lowercase.find(word[0])
    if letter >= 0:
        return letter
    kinds = {DIGIT: DIGIT_FIRST, PUNCTUATION: PUNCTUATION_FIRST}
    return kinds.get(word_type(word), OTHER_FIRST)


def _random_order(tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Places of each text in random order, shape (n, L), those beyond its end last."""
    keys = torch.rand(tokens.shape, generator=generator)
    return keys.masked_fill(tokens == PADDING, 2.0).argsort(dim=1, stable=True)


def _rank(order: torch.Tensor) -> torch.Tensor:
    """Where each place is in the order, shape (n, L)."""
    return order.argsort(dim=1)


def _count(tokens: torch.Tensor, share: float, least: int = 1) -> torch.Tensor:
    """How many words of each text are chosen, shape (n, 1)."""
    n_words = (tokens != PADDING).sum(dim=1, keepdim=True)
    return (share * n_words).round().long().clamp(min=least).minimum(n_words)


def _cycled(tokens: torch.Tensor, order: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The first words of the order, `count` of each text, each at the place of the one before."""
    at = torch.arange(tokens.shape[1]).expand_as(tokens)
    source = torch.where(at < count, (at + 1) % count.clamp(min=1), at)
    return tokens.scatter(1, order, tokens.gather(1, order.gather(1, source)))


def _drawn(tokens: torch.Tensor, n_numbers: int, generator: torch.Generator) -> torch.Tensor:
    """Numbers of words, drawn uniformly."""
    return torch.randint(FIRST_WORD, n_numbers, tokens.shape, generator=generator)


def _differing(tokens: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Targets 1 where a word is another, 0 where it is not."""
    return (inputs != tokens).long().masked_fill(tokens == PADDING, IGNORED)
