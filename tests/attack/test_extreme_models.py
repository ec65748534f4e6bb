"""Saved models with extreme numbers: refused by the name of their file, or they predict."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ensemble
import postproc
from ensemble.declared import is_of
from tests.attack.fuzz import places
from tests.attack.models import KINDS, check_use

#: What is put in the place of a number or of an array, as JSON: some are not valid, but read.
EXTREME = ["1e308", "-1e308", "1e99", "-1e99", "1e-308", "5e-324", "-0.0", "1e999", "NaN", "true"]
EXTREME += [f"1{'0' * 30}", f"1{'0' * 400}", "-1", "0", "1.5", '{"float": "inf"}']
EXTREME += ['{"float": "-inf"}', '{"float": "nan"}']


def changed(text, path, value):
    """A saved model with JSON in one place."""
    content = json.loads(text)
    node = content["model"]
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = "<here>"
    return json.dumps(content).replace('"<here>"', value)


def numbers_of(text):
    """Places of numbers and of arrays in a saved model; within arrays, the first and the last."""
    content, found = json.loads(text)["model"], []
    for path in places(content):
        node = content
        for key in path[:-1]:
            node = node[key]
        value = node[path[-1]]
        is_inside = isinstance(node, list) and path[-1] not in (0, len(node) - 1)
        is_array = isinstance(value, dict) and "array" in value
        if (isinstance(value, int | float) and not is_inside) or is_array:
            found.append(path)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("most", [40, pytest.param(10**6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", KINDS)
def test_extreme_numbers_are_refused_or_predict(name, most, tmp_path):
    file, kind = tmp_path / "m.json", KINDS[name]
    ensemble.save_model(kind.fitted(), file, most_inline=10**6)
    text = file.read_text()
    check_use(ensemble.load_model(file), kind)
    cases = [(path, value) for path in numbers_of(text) for value in EXTREME]
    for at in np.random.default_rng(0).permutation(len(cases))[:most]:
        file.write_text(changed(text, *cases[at]))
        try:
            model = ensemble.load_model(file)
        except ValueError as error:
            assert type(error) is ValueError, cases[at]  # noqa: PT017
            assert str(file) in str(error), cases[at]  # noqa: PT017
            continue
        check_use(model, kind)


@pytest.mark.parametrize(
    ("name", "path", "value", "said"),
    [
        # Infinite log-odds of both signs: the singular value decomposition failed on prediction.
        ("label auto", "maps_.state.weights", "1e308", "made of numbers below 1e"),
        ("label auto", "maps_.state.weights", "1e99", "LabelMaps.weights. must be of the type"),
        ("label auto", "labels_.array.1.0", "2", "`labels_` must be an array of numbers in"),
        ("label auto", "best_", "7", r"`best_` must be an integer in 0\.\.3, got 7"),
        ("label auto", "candidates_", "{}", "damaged: KeyError"),
        ("bbse", "class_moments_.state.counts.array.0", "0", "`counts` must be an array"),
        ("bbse", "labels_.array.0", "3", r"`labels_\[0\]` must be an integer in 0\.\.2"),
        ("map", "moments_.state.n_rows", "0", "`n_rows` must be an integer >= 1"),
        ("map", "moments_.state.scatter.array.0.0", "-1", "`scatter` must be an array"),
        ("beta", "model_.state.log_zero", "1.5", "`log_zero` must be a finite"),
        ("beta", "model_.state.mix", "1.5", "`mix` must be in"),
        ("label soft", "member_weights_.array.0", "0.9", "`weights` must be a vector that sums to"),
        ("auto", "policy_.state.labels.array.0", "3", r"`labels\[0\]` must be an integer"),
        ("auto", "policy_.state.rehearsals.state.fit_rows", "0", "`fit_rows` must be an integer"),
        ("auto", "policy_.state.min_z", '{"float": "nan"}', "`Policy.min_z` must be a finite"),
        ("auto", "candidates_", "1.5", "`AutoPostprocessor.candidates_` must be of the type dict"),
    ],
)
def test_what_a_model_declares_is_checked(name, path, value, said, tmp_path):
    file = tmp_path / "m.json"
    ensemble.save_model(KINDS[name].fitted(), file, most_inline=10**6)
    keys = [int(key) if key.isdigit() else key for key in f"state.{path}".split(".")]
    file.write_text(changed(file.read_text(), keys, value))
    with pytest.raises(ValueError, match=rf"m\.json: .*{said}"):
        ensemble.load_model(file)


def test_arrays_of_other_numbers_are_refused(tmp_path):
    file = tmp_path / "m.json"
    ensemble.save_model(KINDS["label auto"].fitted(), file, most_inline=10**6)
    file.write_text(file.read_text().replace('"<f8"', '"<f16"'))
    with pytest.raises(ValueError, match=r"m\.json: `model` must be made of numbers of 64 bits"):
        ensemble.load_model(file)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_gains_without_a_bound_are_loaded(metric, tmp_path):
    file = tmp_path / "m.json"
    members, y = KINDS["auto"].targets()[0], np.arange(30) % 3
    model = ensemble.AutoPostprocessor(metric=metric, n_rehearsals=2).fit(members, y)
    ensemble.save_model(model, file)
    again = ensemble.load_model(file)
    np.testing.assert_array_equal(again.predict_proba(members), model.predict_proba(members))


@dataclass
class Map:
    """A map."""

    def __call__(self):
        """Nothing."""


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, True),
        (True, int, False),
        (True, bool, True),
        (1, float, True),
        (False, float, False),
        ("x", float, False),
        (None, float | None, True),
        ("x", float | None, False),
        ([1, 2], list[int], True),
        ([1, "x"], list[int], False),
        (["x"], tuple[str, ...], True),
        (3, tuple[int, ...], False),
        ({"a": 1}, dict[str, float], True),
        ({1: 1}, dict[str, float], False),
        ({"a": None}, dict[str, float], False),
        ([], dict[str, float], False),
        (np.ones(2), NDArray[np.float64], True),
        (np.ones(2, int), NDArray[np.float64], False),
        (np.ones(2, np.uint8), NDArray[np.int64], True),
        (np.ones(2, int), NDArray[np.bool_], False),
        (np.ones(2, int), NDArray[Any], True),
        ([1.0], NDArray[np.float64], False),
        (Map(), Callable[[Any], Any], True),
        (len, Callable[[Any], Any], False),
        (postproc.TemperatureScaling(), postproc.TemperatureScaling, True),
        (object(), Any, True),
    ],
)
def test_values_are_of_types(value, hint, expected):
    assert is_of(value, hint) == expected


def test_integers_beyond_all_floats_are_refused():
    with pytest.raises(ValueError, match="`mix` must be in"):
        postproc.scores.checks.check_number(10**400, "mix", low=0.0, high=1.0)
