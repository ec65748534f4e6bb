"""Roles of words: scores and edits against naive loops, and what edits may never do."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from math import log, sqrt

import numpy as np
import pytest

from ensemble import WordRoles
from ensemble.augmentation.edits import ROLES, Word, edits_of, parts_of
from ensemble.augmentation.word_roles import (
    _correlations,
    _similarities,
    _words_of_names,
    count_words,
    roles_of,
)

TEXTS = [
    "My card is lost!", "the card was lost, help", "card (new) please: when?", "lost my purse",
    "send money home", "send the money now; please", "money? transfer", "please transfer it",
    "is it open", "open at nine?", "when is it open", "closed now...",
]  # fmt: skip
LABELS = ["lost_card"] * 4 + ["transfer"] * 4 + ["hours"] * 4
NAMES = sorted(set(LABELS))


def naive_words(text):
    """What is left of what blanks separate, without marks around it."""
    stripped = (word.strip("!,.?;:()").lower() for word in text.split())
    return [word for word in stripped if word]


def naive_correlation(word, label):
    inside = [word in naive_words(t) for t, y in zip(TEXTS, LABELS, strict=True) if y == label]
    outside = [word in naive_words(t) for t, y in zip(TEXTS, LABELS, strict=True) if y != label]
    p = (sum(inside) + 1) / (len(inside) + 2)
    return p * log(p / ((sum(outside) + 1) / (len(outside) + 2)))


def naive_vectors():
    """Tf-idf of each text as scikit-learn's default has it, as dictionaries of length 1."""
    counts = [Counter(naive_words(text)) for text in TEXTS]
    n_texts_with = Counter(word for own in counts for word in own)
    vectors = []
    for own in counts:
        v = {w: c * (log((1 + len(TEXTS)) / (1 + n_texts_with[w])) + 1) for w, c in own.items()}
        length = sqrt(sum(x * x for x in v.values()))
        vectors.append({w: x / length for w, x in v.items()})
    return vectors


def mean_of(vectors):
    words = set(chain(*vectors))
    return {w: sum(v.get(w, 0.0) for v in vectors) / len(vectors) for w in words}


def less(a, b):
    return {w: a.get(w, 0.0) - b.get(w, 0.0) for w in a.keys() | b.keys()}


def cosine(a, b):
    def dot(u, v):
        return sum(u.get(w, 0.0) * v.get(w, 0.0) for w in u.keys() | v.keys())

    return dot(a, b) / sqrt(dot(a, a) * dot(b, b))


def naive_similarity(word, label):
    vectors = naive_vectors()

    def of_word(w):
        return mean_of([v for v, t in zip(vectors, TEXTS, strict=True) if w in naive_words(t)])

    known = set(chain(*map(naive_words, TEXTS)))
    named = [w for w in label.split("_") if w in known]
    if named:
        near = mean_of([of_word(w) for w in named])
    else:
        near = mean_of([v for v, y in zip(vectors, LABELS, strict=True) if y == label])
    middle = mean_of(vectors)
    return cosine(less(of_word(word), middle), less(near, middle))


def test_words_are_counted_without_the_marks_around_them():
    words, counts = count_words(TEXTS)
    assert words == sorted(set(chain(*map(naive_words, TEXTS))))
    for row, text in zip(counts.toarray(), TEXTS, strict=True):
        assert {w: c for w, c in zip(words, row, strict=True) if c} == Counter(naive_words(text))
    assert parts_of('"Rock-n-roll"...') == ('"', "Rock-n-roll", '"...')
    assert parts_of("?!") == ("?!", "", "")


@pytest.mark.parametrize("at_once", [1, 4])
def test_scores_are_those_of_naive_loops(at_once):
    words, counts = count_words(TEXTS)
    y = np.array([NAMES.index(label) for label in LABELS])
    named = _words_of_names(NAMES, words)
    assert [[words[w] for w in own] for own in named] == [[], ["lost", "card"], ["transfer"]]
    correlations = list(_correlations(counts, y, 3))
    similarities = list(_similarities(counts, y, named, words_at_once=at_once))
    for label, name in enumerate(NAMES):
        for w, word in enumerate(words):
            expected = naive_correlation(word, name)
            assert correlations[label][w] == pytest.approx(expected, abs=1e-12)
            expected = naive_similarity(word, name)
            assert similarities[label][w] == pytest.approx(expected, abs=1e-9)


def test_high_is_above_the_median():
    tells, near = np.array([3.0, 3.0, 1.0, 1.0, 2.0]), np.array([3.0, 1.0, 3.0, 1.0, 2.0])
    assert roles_of(tells, near) == ["gold", "venture", "bonus", "trivial", "trivial"]


def test_roles_and_the_label_that_a_word_tells_most_of():
    roles = WordRoles().fit(TEXTS, LABELS)
    for name in NAMES:
        own = sorted(
            set(chain(*(naive_words(t) for t, y in zip(TEXTS, LABELS, strict=True) if y == name)))
        )
        tells = np.array([naive_correlation(word, name) for word in own])
        near = np.array([naive_similarity(word, name) for word in own])
        assert roles.roles_[name] == dict(zip(own, roles_of(tells, near), strict=True))
    for word, label in roles.best_.items():
        having = [name for name in NAMES if word in roles.roles_[name]]
        best = max(naive_correlation(word, name) for name in having)
        assert naive_correlation(word, label) == pytest.approx(best, abs=1e-12)
    assert roles.roles_["lost_card"]["lost"] == "gold"


def is_subsequence(few, many):
    rest = iter(many)
    return all(word in rest for word in few)


def kind_of(variant, text, roles, inserted):
    """The edit that made a variant, or an error: each is known by what it may do."""
    new, old = variant.split(), text.split()
    bound = 3 * len(old) // 10 + 1
    role = [roles.get(parts_of(word)[1].lower()) for word in old]
    if len(new) > len(old):
        assert is_subsequence(old, new)
        added = Counter(new) - Counter(old)
        assert 1 <= added.total() <= bound
        assert set(added) <= set(inserted)
        return "insert"
    if len(new) == len(old):
        changed = [at for at, pair in enumerate(zip(old, new, strict=True)) if len(set(pair)) == 2]
        assert 1 <= len(changed) <= bound
        for at in changed:
            before, word, after = parts_of(new[at])
            assert (before, after) == (parts_of(old[at])[0], parts_of(old[at])[2])
            assert role[at] in ("venture", "bonus", "trivial")
            assert roles[word] == role[at]
        return "replace"
    kept = [w for w, r in zip(old, role, strict=True) if r in (None, "gold", "trivial")]
    if new == kept:
        return "select"
    assert is_subsequence(new, old)
    assert 1 <= len(old) - len(new) <= bound
    gone = Counter(old) - Counter(new)
    by_word = dict(zip(old, role, strict=True))
    assert all(by_word[word] in ("venture", "bonus", "trivial") for word in gone)
    return "delete"


LONG = " ".join(TEXTS[:4]) + " ... !? unheard"


def test_edits_with_a_label_change_only_what_they_may():
    roles = WordRoles().fit(TEXTS, LABELS)
    own = roles.roles_["lost_card"]
    inserted = [word for word, role in own.items() if role != "venture"]
    made = roles.variants(LONG, 400, label="lost_card", text_id="x")
    kinds = Counter(kind_of(variant, LONG, own, inserted) for variant in made)
    assert set(kinds) == {"insert", "replace", "select", "delete"}
    share = np.array(list(kinds.values())) / 400
    assert np.abs(share - 0.25).max() < 4 * sqrt(0.25 * 0.75 / 400)


def test_edits_without_a_label_insert_what_is_trivial_for_most_labels():
    roles = WordRoles().fit(TEXTS, LABELS)
    best = {word: roles.roles_[label][word] for word, label in roles.best_.items()}
    neutral = []
    for word in best:
        found = [own[word] for own in roles.roles_.values() if word in own]
        if found.count("trivial") > len(found) / 2:
            neutral.append(word)
    assert neutral
    for variant in roles.variants(LONG, 200):
        kind_of(variant, LONG, best, neutral)


def test_positive_selection_keeps_gold_trivial_and_punctuation():
    words = [Word(role, role) for role in ROLES] + [Word("..."), Word("unknown")]
    assert edits_of(words, [])[-1](np.random.default_rng(0)) == "gold trivial ... unknown"


@pytest.mark.parametrize("label", [None, "transfer"])
@pytest.mark.parametrize("text", ["money", "is", "?", "never heard", "send is", "  ", ""])
def test_a_text_is_never_empty(text, label):
    roles = WordRoles().fit(TEXTS, LABELS)
    made = roles.variants(text, 60, label=label)
    assert len(made) == 60
    assert all(variant.split() for variant in made) == bool(text.split())


def test_seed_and_id_decide():
    roles = WordRoles().fit(TEXTS, LABELS)
    made = roles.variants(LONG, 6, seed=1, text_id="a")
    assert made == WordRoles().fit(TEXTS, LABELS).variants(LONG, 6, seed=1, text_id="a")
    assert made[:2] == roles.variants(LONG, 2, seed=1, text_id="a")
    assert made != roles.variants(LONG, 6, seed=2, text_id="a")
    assert made != roles.variants(LONG, 6, seed=1, text_id="b")


def test_roles_do_not_depend_on_the_order_of_the_texts():
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = WordRoles().fit([TEXTS[i] for i in order], [LABELS[i] for i in order])
    assert shuffled.roles_ == WordRoles().fit(TEXTS, LABELS).roles_


@pytest.mark.parametrize(
    ("texts", "labels", "error", "message"),
    [
        (["a"], ["x", "y"], ValueError, "`labels` must be one for each of 1 texts, got 2"),
        (["a", 3], ["x", "y"], TypeError, "`texts` must be strings, got int"),
        (["a", "b"], [0, 1], TypeError, "`labels` must be strings, got int"),
        (["a", "b"], ["x", "x"], ValueError, "`labels` must be two labels or more, got 'x'"),
        (["!", ""], ["x", "y"], ValueError, "`texts` must be texts with words, got none"),
    ],
)
def test_errors_of_fit(texts, labels, error, message):
    with pytest.raises(error, match=message):
        WordRoles().fit(texts, labels)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"text": 1}, TypeError, "`text` must be a string, got int"),
        ({"k": 0}, ValueError, "`k` must be an integer >= 1, got 0"),
        ({"seed": -1}, ValueError, "`seed` must be an integer >= 0, got -1"),
        ({"label": "x"}, ValueError, "`label` must be one of the labels that roles were learned"),
    ],
)
def test_errors_of_variants(arguments, error, message):
    with pytest.raises(error, match=message):
        WordRoles().fit(TEXTS, LABELS).variants(**{"text": "a", **arguments})
