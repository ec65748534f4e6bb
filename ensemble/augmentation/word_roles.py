"""Roles of words (STA): how much they tell of a label, and how near they are to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ensemble.augmentation.edits import (
    BONUS,
    GOLD,
    INSERTED,
    ROLES,
    TRIVIAL,
    VENTURE,
    Word,
    edits_of,
    parts_of,
)
from postproc.scores.checks import check_count, fail, fail_type

Floats = NDArray[np.float64]

#: Words whose vectors are held at once.
WORDS_AT_ONCE = 1000

#: Product of two lengths below which a cosine is a rounding error, and zero.
LEAST = 1e-12


class WordRoles:
    r"""Variants of texts by the roles of their words, learned from labelled texts.

    A word of a label's texts is gold (it tells of the label and is near it), venture (it tells of
    it, but is far), bonus (it is near, but tells little) or trivial (neither). Venture, bonus and
    trivial words are replaced or deleted; gold, bonus and trivial words are inserted; positive
    selection leaves gold and trivial words and punctuation. For each variant one of these four
    edits is drawn among those that change the text, and q ~ U{1..⌊0.3 n⌋ + 1} of its n words.

    How much a word w tells of a label y is the weighted log-likelihood ratio

    .. math:: r(w, y) = p(w | y) \log \frac{p(w | y)}{p(w | \bar y)},

    with p(w | y) the share of the label's texts that have the word and ȳ all other texts, one text
    with and one without it added to each. How near it is, is a cosine: the mean tf-idf vector of
    the texts that have w against the mean of those of the words in the label's name or, where the
    texts have none of these, of the label's texts; both less the mean of all texts. High is above
    the median of the label's words.

    Attributes
    ----------
    roles_ : dict of str to dict of str to str
        For each label, the role of each word of its texts.
    best_ : dict of str to str
        For each word the label that it tells most of.

    Notes
    -----
    The four roles and what is done with them are those of the paper. The scores, the medians and
    the number of words are recalled or chosen here: the paper's similarity is that of word
    vectors trained elsewhere, this one needs no other texts, and a word is replaced by one of the
    same role of the same label, not by a synonym.

    References
    ----------
    Guo, Han, Huang (2022). Selective Text Augmentation with Word Roles for Low-Resource Text
    Classification. arXiv:2209.01560.

    Examples
    --------
    >>> texts = ["my card is lost", "the card was lost", "send money home", "send the money"]
    >>> roles = WordRoles().fit(texts, ["card", "card", "transfer", "transfer"])
    >>> roles.roles_["card"]["lost"]
    'gold'
    """

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Learn the roles.

        Parameters
        ----------
        texts : sequence of n str
            The texts; words are what blanks separate, without punctuation around them.
        labels : sequence of n str
            The name of each text's label: two labels or more.

        Raises
        ------
        TypeError, ValueError
            If texts or labels are no strings, their numbers differ, or there is one label only.
        """
        for name, values in (("texts", texts), ("labels", labels)):
            wrong = [type(value).__name__ for value in values if not isinstance(value, str)]
            if wrong:
                fail_type(name, "strings", wrong[0])
        if len(texts) != len(labels):
            fail("labels", f"one for each of {len(texts)} texts", f"{len(labels)}")
        names, y = np.unique(np.array(labels, dtype=str), return_inverse=True)
        if len(names) < 2:
            fail("labels", "two labels or more", ", ".join(map(repr, names.tolist())) or "none")
        words, counts = count_words(texts)
        if not words:
            fail("texts", "texts with words", "none")
        found = zip(
            _correlations(counts, y, len(names)),
            _similarities(counts, y, _words_of_names(names.tolist(), words)),
            strict=True,
        )
        self.roles_: dict[str, dict[str, str]] = {}
        self.best_: dict[str, str] = {}
        highest = np.full(len(words), -np.inf)
        for label, (correlation, similarity) in enumerate(found):
            own = np.flatnonzero((counts[y == label] > 0).sum(axis=0))
            name = str(names[label])
            roles = roles_of(correlation[own], similarity[own]) if len(own) else []
            self.roles_[name] = {words[w]: role for w, role in zip(own, roles, strict=True)}
            for w in own[correlation[own] > highest[own]].tolist():
                self.best_[words[w]] = name
                highest[w] = correlation[w]
        self._pools = {
            (label, role): [word for word, own in roles.items() if own == role]
            for label, roles in self.roles_.items()
            for role in ROLES
        }
        self._best_pools = {
            (label, role): [word for word in pool if self.best_[word] == label]
            for (label, role), pool in self._pools.items()
        }
        owned = Counter(word for own in self.roles_.values() for word in own)
        trivial = Counter(w for own in self.roles_.values() for w in own if own[w] == TRIVIAL)
        self._neutral = [word for word in words if 2 * trivial[word] > owned[word]]
        return self

    def variants(
        self, text: str, k: int = 8, *, label: str | None = None, seed: int = 0, text_id: str = ""
    ) -> list[str]:
        """Make variants of a text.

        Parameters
        ----------
        text : str
            The text. One that no edit changes has itself as variants.
        k : int
            Number of variants >= 1.
        label : str, optional
            Its label, which decides the roles and what is inserted. Variants with a label are for
            training only: they tell it. Without one, each word has the role that it has for the
            label it tells most of, and what is inserted is trivial for most labels that have it.
        seed : int
            Seed >= 0.
        text_id : str
            Id of the text. Seed and id decide the edits, whatever other texts there are.

        Returns
        -------
        list of k str
            The variants, never empty, their words separated by single blanks.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid, or no text of `fit` had the label.
        """
        if not isinstance(text, str):
            fail_type("text", "a string", type(text).__name__)
        count = check_count(k, "k", low=1)
        rng = np.random.default_rng([check_count(seed, "seed", low=0), *text_id.encode()])
        if label is not None and label not in self.roles_:
            fail("label", "one of the labels that roles were learned of", repr(label))
        words = [self._word(token, label) for token in text.split()]
        inserted = self._neutral
        if label is not None:
            inserted = [word for role in INSERTED for word in self._pools[label, role]]
        edits = edits_of(words, inserted) if words else []
        if not edits:
            return [text] * count
        return [edits[rng.integers(len(edits))](rng) for _ in range(count)]

    def _word(self, token: str, label: str | None) -> Word:
        word = parts_of(token)[1].lower()
        owner = self.best_.get(word) if label is None else label
        role = None if owner is None else self.roles_[owner].get(word)
        if owner is None or role is None:
            return Word(token)
        pools = self._best_pools if label is None else self._pools
        return Word(token, role, pools[owner, role])


def words_in(text: str) -> Iterator[str]:
    """Words in lower case, without punctuation around them."""
    for token in text.split():
        word = parts_of(token)[1].lower()
        if word:
            yield word


def count_words(texts: Sequence[str]) -> tuple[list[str], Any]:
    """The words of some texts, sorted, and how often each is in each text: sparse (n, V)."""
    from scipy.sparse import csr_array

    found = [list(words_in(text)) for text in texts]
    words = sorted({word for own in found for word in own})
    place = {word: at for at, word in enumerate(words)}
    rows = np.repeat(np.arange(len(found)), [len(own) for own in found])
    columns = np.array([place[word] for own in found for word in own], dtype=np.int64)
    ones = np.ones(len(columns))
    return words, csr_array((ones, (rows, columns)), shape=(len(found), len(words)))


def roles_of(correlation: Floats, similarity: Floats) -> list[str]:
    """Role of each word of a label; high is above the median."""
    tells, near = (scores > np.median(scores) for scores in (correlation, similarity))
    names = np.array([[TRIVIAL, BONUS], [VENTURE, GOLD]])
    return [str(role) for role in names[tells.astype(int), near.astype(int)]]


def _correlations(counts: Any, y: NDArray[np.int64], n_labels: int) -> Iterator[Floats]:
    """Weighted log-likelihood ratio of each word (V,), label by label."""
    has = counts > 0
    total, n_rows = np.asarray(has.sum(axis=0)), len(y)
    for label in range(n_labels):
        mine = y == label
        n_mine = int(mine.sum())
        inside = np.asarray(has[mine].sum(axis=0))
        p = (inside + 1) / (n_mine + 2)
        yield p * np.log(p * (n_rows - n_mine + 2) / (total - inside + 1))


def _similarities(
    counts: Any,
    y: NDArray[np.int64],
    named: Sequence[Sequence[int]],
    *,
    words_at_once: int = WORDS_AT_ONCE,
) -> Iterator[Floats]:
    """Cosine of each word's texts (V,) and those of the label or of the words in its name."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import norm
    from sklearn.feature_extraction.text import TfidfTransformer

    weights = csr_array(TfidfTransformer().fit_transform(counts))  # rows of length 1
    has = (counts > 0).astype(np.float64).T.tocsr()
    has = has.multiply(1 / has.sum(axis=1)[:, None]).tocsr()  # means over the texts of a word
    squares = np.concatenate(
        [
            norm(has[first : first + words_at_once] @ weights, axis=1) ** 2
            for first in range(0, has.shape[0], words_at_once)
        ]
    )
    middle = np.asarray(weights.mean(axis=0))
    along = has @ (weights @ middle)
    lengths = np.sqrt(np.maximum(squares - 2 * along + middle @ middle, 0))
    for label, own in enumerate(named):
        rows = has[own].mean(axis=0) if len(own) else (y == label) / np.count_nonzero(y == label)
        centre = weights.T @ rows - middle
        reach = has @ (weights @ centre) - middle @ centre
        product = lengths * np.linalg.norm(centre)
        yield np.divide(reach, product, out=np.zeros_like(reach), where=product > LEAST)


def _words_of_names(names: Sequence[str], words: Sequence[str]) -> list[list[int]]:
    """Numbers of the words that occur in the name of each label."""
    place = {word: at for at, word in enumerate(words)}
    separated = ("".join(c if c.isalnum() else " " for c in name) for name in names)
    return [[place[word] for word in words_in(name) if word in place] for name in separated]
