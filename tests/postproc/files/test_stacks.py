"""Arrays of three dimensions: members, or both classes of each of several labels."""

import re

import numpy as np
import pytest

from postproc.files import ReadingWarning, load_members, load_predictions

PROBS = np.random.default_rng(0).dirichlet(np.ones(3), size=8)


@pytest.mark.parametrize(
    ("scores", "mend"),
    [
        (PROBS[:, None], "save scores.squeeze(axis=1)"),
        (PROBS[:, :, None], "save scores.squeeze(axis=2)"),
        (np.stack([PROBS, PROBS], axis=1), "put rows second, with numpy.moveaxis"),
    ],
)
def test_more_members_than_rows_are_refused(tmp_path, scores, mend):
    np.save(tmp_path / "a.npy", scores)
    with pytest.raises(ValueError, match=f"no more members than rows.*{re.escape(mend)}"):
        load_members(tmp_path / "a.npy")


def test_pairs_of_several_outputs_are_labels(tmp_path):
    positive = PROBS[:, :2]
    np.save(tmp_path / "a.npy", [np.c_[1 - p, p] for p in positive.T])
    with pytest.warns(ReadingWarning, match="each of its 2 arrays"):
        loaded = load_predictions(tmp_path / "a.npy", multilabel=True)
    np.testing.assert_array_equal(loaded.scores, positive)


def test_negative_log_probabilities_are_refused_unless_declared(tmp_path):
    np.save(tmp_path / "a.npy", -np.log(PROBS))
    with pytest.raises(ValueError, match=r"higher is likelier.*save -scores"):
        load_predictions(tmp_path / "a.npy")
    assert load_predictions(tmp_path / "a.npy", kind="logits").kind == "logits"


def test_complements_of_probabilities_are_named(tmp_path):
    np.save(tmp_path / "a.npy", 1 - PROBS)
    with pytest.raises(ValueError, match="rows that all sum to 2, like 1 - probability"):
        load_predictions(tmp_path / "a.npy")
