"""Doubts about the kind: logits that look like probabilities, and nothing where they do not."""

import numpy as np
import pytest
import torch

from postproc import load_predictions, softmax
from postproc.files.doubts import SAMPLE_BLOCKS, SAMPLE_ROWS, kind_doubts, order_doubts
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Source

N_ROWS, N_CLASSES = 5000, 4
DECLARED = "a.npy: declared logits, but every row sampled is a probability vector; declare --probs"


def doubts(scores, kind=None, **options):
    return kind_doubts(Predictions.check(scores, kind=kind, name="a.npy"), **options)


@pytest.fixture
def many():
    return np.random.default_rng(0).dirichlet([0.5] * N_CLASSES, N_ROWS)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("at", "row", "value"),
    [
        (0, [-1e-7, 1, 0, 0], -1e-7),
        (3333, [0.2, 0.8, 0, -1e-7], -1e-7),
        (4999, [1.000001, -2e-6, 0, 0], 1.000001),
    ],
)
def test_one_cell_outside_is_named(many, dtype, at, row, value):
    many[at] = row
    shown = str(dtype(value))
    assert doubts(many.astype(dtype)) == [
        f"a.npy is read as logits since {shown} lies outside [0, 1], but its rows sum to 1: "
        "declare --probs (after clipping) or --logits [PP202]"
    ]


def test_percentages_with_a_negative_one_are_votes_once_it_is_mended(many):
    percentages = 100 * many
    percentages[0] = [-1e-3, 100, 0, 0]
    assert doubts(percentages) == [
        "a.npy is read as logits since -0.001 lies outside [0, 1], but its rows sum to 100: "
        "declare --votes [PP202]"
    ]


@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
def test_probabilities_declared_to_be_logits(many, library):
    assert doubts(library(many), "logits", declared=True) == [DECLARED + " if they are [PP202]"]
    # A key has declared it.
    assert doubts(library(many), "logits") == [DECLARED + " if they are [PP202]"]


@pytest.mark.parametrize(
    "change",
    [
        lambda probs: probs,
        lambda probs: np.log(probs + 1e-6),
        lambda probs: probs - 0.25,
        lambda probs: 2 * probs * np.linspace(1, 2, N_ROWS)[:, None],
        lambda probs: np.where(np.arange(N_ROWS)[:, None] % 10 == 0, 3 * probs, probs),
        lambda probs: 1.02 * probs - 0.005,  # sums to 1, but further below 0 than rounding
    ],
)
def test_no_doubt_where_there_is_none(many, change):
    assert doubts(change(many)) == []


def test_independent_labels_declared_to_be_logits(many):
    assert doubts(np.sqrt(many), "logits", declared=True) == [
        "a.npy: declared logits, but every score sampled lies in [0, 1]; declare --multilabel or "
        "--probs if they are [PP202]"
    ]


def test_what_is_declared_and_outside_is_no_matter(many):
    many[0, 0] = -1e-7
    assert doubts(many, "logits", declared=True) == []
    assert doubts(100 * abs(many), "logits", declared=True) == []
    assert len(doubts(many)) == 1


class Counted(Source):
    """Rows in memory that count how many of them are read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.n_read = values, values.shape, values.dtype, 0

    def read(self, rows):
        self.n_read += rows.stop - rows.start
        return self.values[rows].copy()


@pytest.mark.parametrize("n_classes", [4, 2000])
def test_few_rows_are_read(n_classes):
    rows = Counted(np.random.default_rng(0).normal(size=(3000, n_classes)))
    assert kind_doubts(Predictions(rows, "logits")) == []
    assert 0 < rows.n_read <= SAMPLE_BLOCKS * min(SAMPLE_ROWS, 2**20 // (8 * n_classes))


def shards(folder, parts):
    folder.mkdir()
    for number, part in enumerate(parts):
        np.save(folder / f"part-{number:05d}.npy", part)
    return folder


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ([1], "part-00001.npy looks like probabilities, the others like logits"),
        ([1, 4], "part-00001.npy, part-00004.npy look like probabilities, the others like logits"),
        ([0, 1, 2, 4], "part-00003.npy looks like logits, the others like probabilities"),
    ],
)
@pytest.mark.parametrize("mapped", [True, False])
def test_odd_shards_are_named(tmp_path, many, odd, message, mapped):
    logits = np.log(many + 1e-6)
    cuts = [slice(0, 7), slice(7, 100), slice(100, 100), slice(100, 4000), slice(4000, None)]
    parts = [many[cut] if number in odd else logits[cut] for number, cut in enumerate(cuts)]
    path = shards(tmp_path / "folder", parts)
    loaded = load_predictions(path, mapped=mapped)
    assert kind_doubts(loaded) == [f"{path}: {message}; all are read as logits [PP202]"]


def test_shards_of_one_kind(tmp_path, many):
    logits = shards(tmp_path / "logits", np.split(np.log(many + 1e-6), [10, 20]))
    assert kind_doubts(load_predictions(logits)) == []
    assert kind_doubts(load_predictions(shards(tmp_path / "p", np.split(many, [10, 20])))) == []
    many[15] = [-1e-7, 1, 0, 0]
    (said,) = kind_doubts(load_predictions(shards(tmp_path / "cell", np.split(many, [10, 20]))))
    assert said.startswith(f"{tmp_path / 'cell'} is read as logits since -1e-07 lies outside")


def test_real_predictions_give_no_doubt(shared_data):
    files = sorted(shared_data.glob("*/*.t*.npy"))
    models = [file for file in files if not file.name.startswith("labels")]
    assert len(models) > 20
    for path in models:
        loaded = load_predictions(path)
        assert kind_doubts(loaded) == []
        probs = softmax(loaded.scores[:50])
        assert kind_doubts(Predictions.check(probs)) == []
        assert len(kind_doubts(Predictions.check(probs, kind="logits"))) == 1


@pytest.mark.parametrize("n_last", [0, 30])
def test_scores_that_fall_in_every_row_are_told(many, n_last):
    scores = np.log(-np.sort(-many[:30], axis=1))
    scores[:n_last, 2:] = -np.inf  # of questions with fewer answers
    found = Predictions.check(scores, name="a.npy")
    assert any("top-k lists" in told for told in order_doubts(found))
    scores[-1] = scores[-1, ::-1]
    assert order_doubts(Predictions.check(scores, name="a.npy")) == []


@pytest.mark.parametrize(("lowest", "told"), [(0.5, 1), (0.49, 0)])
def test_one_column_of_the_highest_probabilities_is_told(lowest, told):
    column = np.r_[lowest, np.random.default_rng(0).uniform(0.5, 1, N_ROWS)]
    assert len(doubts(column)) == told
    assert doubts(column[:10]) == []  # by chance


def score_sheet(n_rows=500, seed=0):
    return np.random.default_rng(seed).integers(308, 794, n_rows)


@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
def test_scores_on_another_scale_declared_to_be_logits(library):
    scores = score_sheet()
    scores[:2] = 308, 793
    (said,) = doubts(library(scores), "logits", declared=True)
    assert said.startswith(
        "a.npy: scores from 308 to 793 read as logits give probability 1 for all rows sampled, "
        "so log-loss and the like say nothing if they are on another scale; "
        "metrics of their order (auc, average_precision) hold; postproc calibrate"
    )
    assert said.endswith("[PP219]")
    assert "probability 0 for all" in doubts(-scores, "logits")[0]
    mixed = np.where(np.arange(len(scores)) < 150, scores / 1000, scores - 550)
    assert "give probability 0 and 1 for 59 %" in doubts(mixed, "logits")[0]


def test_logits_far_apart_in_most_rows_of_many_classes_and_of_labels():
    scores = 200 * np.random.default_rng(1).normal(size=(500, N_CLASSES))
    (said,) = doubts(scores)
    assert "read as logits give probability 0 and 1 for" in said
    assert "metrics of their order" not in said  # rows tie in them
    (said,) = kind_doubts(Predictions.check(scores, name="a.npy", multilabel=True))
    assert "[PP219]" in said


def test_no_saturation_where_few_rows_are_certain_or_all_are_alike():
    rng = np.random.default_rng(2)
    scores = 5 * rng.normal(size=(500, N_CLASSES))
    scores[::3] *= 100  # a third of the rows
    assert doubts(scores) == []
    with np.errstate(divide="ignore"):
        assert doubts(np.log(np.eye(N_CLASSES)[rng.integers(0, N_CLASSES, 500)])) == []  # votes
    assert doubts(np.where(rng.random(500) < 0.5, 100.0, -100.0), "logits") == []  # nothing is lost
    assert doubts(score_sheet(10), "logits") == []
