"""Percentages that are declared probabilities: read as such, aloud, or refused."""

import numpy as np
import pytest
import torch

from postproc import load_predictions, save_predictions
from postproc.scores.kinds import check_scores
from postproc.scores.predictions import Predictions
from postproc.scores.sources import as_source

LIBRARIES = [np.asarray, torch.as_tensor]
COLUMN = np.array([2.8, 0.4, 46.8, 12.5, 99.0])
LABELS = np.array([[2.5, 80.0], [0.5, 100.0], [30.0, 0.0]])
CLASSES = np.array([[20.5, 30.0, 49.5], [1.0, 0.0, 99.0], [33.3, 33.3, 33.3]])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("percent", "multilabel"), [(COLUMN, False), (COLUMN[:, None], False), (LABELS, True),
                                (CLASSES, False)]
)  # fmt: skip
def test_declared_percentages_are_divided_by_100(library, dtype, percent, multilabel):
    given = percent.astype(dtype)
    with pytest.warns(UserWarning, match=r"percentages, from .* divided by 100 \[PP201\]$"):
        found, kind = check_scores(library(given), kind="probs", multilabel=multilabel)
    wanted = given / 100
    if percent.size == len(percent):
        wanted = np.stack([1 - wanted.reshape(-1), wanted.reshape(-1)], axis=1)
    assert kind == "probs"
    assert np.asarray(found).dtype == dtype
    np.testing.assert_array_equal(np.asarray(found), wanted)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize(("percent", "multilabel"), [(COLUMN, False), (LABELS, True)])
def test_files_of_percentages_are_read_alike(tmp_path, mapped, percent, multilabel):
    with pytest.warns(UserWarning, match="PP201"):
        wanted = Predictions.check(percent, kind="probs", multilabel=multilabel)
    np.save(tmp_path / "p.npy", percent)
    names = "abcd"[: percent.size // len(percent)]
    head = ["id," + ",".join(names)]
    rows = [f"r{i}," + ",".join(map(str, np.ravel(r).tolist())) for i, r in enumerate(percent)]
    (tmp_path / "p.csv").write_text("\n".join(head + rows) + "\n")
    for name in ("p.npy", "p.csv"):
        with pytest.warns(UserWarning, match=r"percentages, from 0.* divided by 100 \[PP201\]$"):
            loaded = load_predictions(
                tmp_path / name, kind="probs", multilabel=multilabel, mapped=mapped
            )
        for part in (slice(None), slice(1, 3)):
            np.testing.assert_array_equal(
                np.asarray(loaded.probabilities(part)), np.asarray(wanted.probabilities(part))
            )
        assert as_source(loaded.scores).shape == wanted.scores.shape
    save_predictions(tmp_path / "again.npy", np.asarray(loaded.scores))


@pytest.mark.parametrize(
    ("scores", "multilabel"),
    [
        ([0.5, 1.4], False),  # a slip just above 1
        ([0.2] * 20 + [37.0], False),  # one wrong value
        ([0.0, 2.0, 1.0], False),  # labels
        ([-0.1, 40.0], False),
        ([3.0, 101.0], False),
        ([[0.2, 1.2], [0.9, 0.1]], True),
        ([[20.0, 80.0], [0.5, 0.5]], False),  # rows of both
    ],
)
def test_what_may_be_no_percentages_is_refused(scores, multilabel):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\] for probabilities"):
        check_scores(scores, kind="probs", multilabel=multilabel)


def test_what_is_advised_works():
    with pytest.raises(ValueError, match=r'declare kind="probs" .*, which divides them by 100'):
        check_scores(COLUMN)
    with pytest.raises(ValueError, match=r'; divide them by 100, or declare kind="logits"'):
        check_scores([0.2] * 20 + [37.0])
