"""Ensembles read block by block: alike by blocks, in any process, and in any order of columns."""

import pickle

import numpy as np
import pytest

import ensemble
from ensemble import align_members
from ensemble.base import solo_accuracy
from ensemble.streaming import CombineRows, MemberSource, member_cuts, streamed
from postproc import Predictions, load_predictions
from postproc.scores.sources import NpySource

N, C = 200, 4


@pytest.fixture
def members(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(N, C)).astype(np.float32))
    return align_members([load_predictions(tmp_path / f"{name}.npy") for name in "abc"])


@pytest.mark.parametrize("method", ["soft", "hard", "log", "median", "rank"])
def test_by_blocks_and_pickled_is_as_in_one_piece(members, method):
    voting = ensemble.Voting(method, tie="random") if method == "hard" else ensemble.Voting(method)
    wanted = voting.fit(members).predict_proba(members)
    handles = streamed(members)
    assert all(isinstance(member.scores, NpySource) for member in handles)
    labels = np.arange(N) % C
    pickled = pickle.dumps(CombineRows(voting, handles, labels))
    assert len(pickled) < 10_000
    part = pickle.loads(pickled)
    cuts = [slice(start, min(start + 33, N)) for start in range(0, N, 33)]
    blocks, counts = zip(*map(part, cuts), strict=True)
    np.testing.assert_array_equal(np.concatenate(blocks), wanted)
    assert blocks[0].dtype == np.float32
    right = np.sum([count["right"] for count in counts], axis=0)
    np.testing.assert_array_equal(right / N, solo_accuracy(members, labels))


def test_cuts_grow_no_smaller_with_many_members(members):
    wide = ensemble.Members(members.items * 20)
    assert member_cuts(wide) == member_cuts(ensemble.Members(members.items * 3))


def test_a_member_whose_columns_move_is_read_by_blocks():
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(3), 10)
    a = Predictions.check(probs, classes=["x", "y", "z"], ids=[str(i) for i in range(10)], name="a")
    b = Predictions.check(
        probs[::-1, [2, 0]] / probs[::-1, [2, 0]].sum(axis=1, keepdims=True),
        classes=["z", "x"],
        ids=[str(i) for i in range(10)][::-1],
        name="b",
    )
    aligned = align_members([a, b], missing_class="zero")
    source = MemberSource(aligned[1])
    assert (source.shape, source.dtype) == ((10, 3), np.float64)
    np.testing.assert_allclose(source[2:9], aligned[1].probabilities(slice(2, 9)))
    assert (source[:, 1] == 0).all()
    assert source.signature()["shape"] == [10, 2]
