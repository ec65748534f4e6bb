"""Inspection: figures against a naive count, and every suspicion raised and not raised."""

import json
import re
from functools import partial

import numpy as np
import pytest

from postproc import Predictions, inspect_predictions, softmax, top_k_entropy
from postproc.files.inspection import least_undone
from postproc.jobs.engine import map_blocks
from postproc.scores.blocks import DEFAULT_SIZES, Sizes
from tests.postproc.shuffled import Shuffled


def _inspect(scores, prior=None, sizes=DEFAULT_SIZES, **options):
    checked = Predictions.check(scores, sizes=sizes, **options)
    return inspect_predictions(checked, prior=prior, sizes=sizes)


def _histogram(values):
    counts = [0] * 10
    for value in values:
        counts[min(int(value * 10), 9)] += 1
    return counts


@pytest.mark.parametrize("block_bytes", [32, 1000, 10**7])
def test_figures_are_those_of_a_naive_count(block_bytes):
    probs = np.random.default_rng(1).dirichlet([0.3] * 5, 300)
    prior = np.array([0.1, 0.2, 0.3, 0.4, 0.0])
    found = _inspect(probs, prior, name="p", sizes=Sizes(block=block_bytes))
    assert (found.rows, found.classes, found.kind, found.dtype) == (300, 5, "probs", "float64")
    assert found.name == "p"
    assert found.class_names == ["0", "1", "2", "3", "4"]
    assert found.entropy_histogram == _histogram(top_k_entropy(probs, 3))
    assert found.confidence_histogram == _histogram(probs.max(1))
    assert found.mean_entropy == pytest.approx(top_k_entropy(probs, 3).mean())
    assert found.mean_confidence == pytest.approx(probs.max(1).mean())
    assert found.mean_prediction == pytest.approx(probs.mean(0).tolist())
    assert found.predicted == [int((probs.argmax(1) == j).sum()) for j in range(5)]
    assert found.prior == prior.tolist()
    assert found.prior_distance == pytest.approx(abs(probs.mean(0) - prior).sum() / 2)
    assert found.suspicions == []


def test_everything_goes_into_json():
    found = _inspect(np.eye(3, dtype=np.float32) * 9 - 1, classes="abc").to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["kind"] == "logits"
    assert found["prior"] is found["prior_distance"] is None


def test_one_row_of_two_classes():
    found = _inspect([[0.25, 0.75]])
    assert (sum(found.entropy_histogram), sum(found.confidence_histogram)) == (1, 1)
    assert found.suspicions == []


def test_prior_of_another_length():
    with pytest.raises(ValueError) as caught:
        _inspect(np.eye(3), np.array([0.5, 0.5]))
    assert str(caught.value) == "`prior` must be of shape (3,), got shape (2,)"


@pytest.mark.parametrize("n_classes", [2, 5, 77])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_softmax_is_suspected(n_classes, dtype):
    logits = np.random.default_rng(0).normal(size=(200, n_classes)) * 20
    once = softmax(logits.astype(dtype))
    twice = _inspect(softmax(once)).suspicions
    assert [s.startswith("softmaxed twice?") for s in twice].count(True) == 1
    assert re.search(r"no row has an entry below 0, and \d+ of 200 have one just above", twice[0])
    assert not any("softmaxed twice" in s for s in _inspect(once).suspicions)
    assert not any("softmaxed twice" in s for s in _inspect(logits).suspicions)


@pytest.mark.parametrize("n_classes", [2, 3, 5, 10])
@pytest.mark.parametrize("n_rows", [60, 300])
@pytest.mark.parametrize("shape", ["normal", "uniform", "confident", "calibrated"])
def test_flat_rows_are_not_suspected(n_classes, n_rows, shape):
    """Per-byte scores and outputs of CAN are flat, too: no probability is above e/(e + C - 1)."""
    suspected = tried = flat = 0
    for seed, spread in enumerate((0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.9)):
        rng = np.random.default_rng(seed)
        z = rng.normal(0, spread, (n_rows, n_classes))
        if shape == "uniform":
            z = rng.uniform(-2 * spread, 2 * spread, z.shape)
        if shape == "confident":
            z += spread * 3 * rng.beta(2, 5, (n_rows, 1)) * np.eye(n_classes)[z.argmax(axis=1)]
        p = softmax(z)
        if shape == "calibrated":
            p = rng.dirichlet(np.full(n_classes, 3 / spread), n_rows)
        suspected += any("softmaxed twice" in s for s in _inspect(p).suspicions)
        tried, flat = tried + 1, flat + (p.max() <= np.e / (np.e + n_classes - 1))
    assert suspected == 0
    assert 0 < flat < tried


@pytest.mark.parametrize("n_classes", [3, 5, 10, 100])
def test_weak_models_softmaxed_twice_are_suspected(n_classes):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, n_classes)) + 2 * np.eye(n_classes)[rng.integers(0, n_classes, 300)]
    twice = softmax(softmax(z))
    assert any("softmaxed twice" in s for s in _inspect(twice).suspicions)
    assert any("softmaxed twice" in s for s in _inspect(np.round(twice, 5)).suspicions)
    assert least_undone(twice) == pytest.approx(softmax(z).min(axis=1))


def test_rows_all_alike_are_suspected():
    alike = "all rows are alike: the predictions say nothing about the rows [PP214]"
    assert alike in _inspect([[0.1, 0.9]] * 3).suspicions
    assert alike not in _inspect([[0.1, 0.9]]).suspicions
    assert alike not in _inspect([[0.1, 0.9], [0.1, 0.9], [0.2, 0.8]]).suspicions


def test_ties_are_counted():
    found = _inspect([[0.4, 0.4, 0.2], [0.8, 0.1, 0.1], [0.2, 0.4, 0.4]])
    tied = "2 of 3 rows have ties for the largest score; the lowest class wins them [PP214]"
    assert found.suspicions == [tied]


def test_exact_zeros_are_suspected():
    zeros = "75 % of the probabilities are exact zeros: rounded, or hard votes? [PP214]"
    assert _inspect(np.eye(4)).suspicions == [zeros]
    assert _inspect([[0.5, 0.3, 0.2, 0.0], [0.0, 0.9, 0.1, 0.0]]).suspicions == []


def test_classes_never_predicted_are_named_where_rows_suffice():
    probs = np.tile([0.6, 0.1, 0.1, 0.1, 0.1], (50, 1))
    probs[0] = [0.1, 0.6, 0.1, 0.1, 0.1]
    never = "3 of 5 classes are never predicted (c, d, e) [PP214]"
    assert _inspect(probs, classes="abcde").suspicions == [never]
    assert _inspect(probs[:49], classes="abcde").suspicions == []
    wide = np.full((60, 6), 0.05)
    wide[:, 1] = np.linspace(0.75, 0.75, 60)
    assert "5 of 6 classes are never predicted (0, 2, 3, ...) [PP214]" in _inspect(wide).suspicions


def test_real_predictions_are_not_suspected(shared_data):
    from postproc import load_predictions

    loaded = load_predictions(shared_data / "agnews" / "minilm_lr.test.npy")
    assert inspect_predictions(loaded).suspicions == []


def test_figures_of_blocks_in_any_order_are_those_of_one_piece():
    scores = np.random.default_rng(0).dirichlet(np.ones(5), 400)
    whole = _inspect(scores)
    loaded = Predictions.check(scores, name=whole.name)
    shuffled = partial(map_blocks, Shuffled(4))
    parts = inspect_predictions(loaded, map_blocks=shuffled, sizes=Sizes(block=8 * 5 * 11))
    assert parts.entropy_histogram == whole.entropy_histogram
    assert parts.predicted == whole.predicted
    np.testing.assert_allclose(parts.mean_prediction, whole.mean_prediction, rtol=1e-13)
