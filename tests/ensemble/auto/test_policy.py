"""Decisions on a target that is read block by block: those of the whole, on every engine."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone

from ensemble import AutoPostprocessor
from ensemble.auto.policy import SurveyRows
from ensemble.base import Ensemble
from ensemble.members import align_members
from ensemble.streaming import streamed
from postproc import Predictions, softmax
from postproc.jobs.cuda import DeviceEngine
from postproc.jobs.engine import LocalEngine, map_blocks
from postproc.jobs.write import write
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import in_order
from postproc.shift.evidence import PredictionMoments
from postproc.shift.streaming import beside_output, in_memory, in_temporary_file

EVEN, SHIFTED = np.full(4, 0.25), np.array([0.7, 0.1, 0.1, 0.1])


def scores(n, prior, seed, n_members):
    """Noisy views of unit Gaussians at orthogonal means, and the classes."""
    rng = np.random.default_rng(seed)
    y = rng.choice(4, n, p=prior)
    x = 2 * (rng.normal(size=(n, 4)) + 2 * np.eye(4)[y])
    return [(x + 4 * rng.normal(size=x.shape)).astype(np.float32) for _ in range(n_members)], y


@pytest.fixture(scope="module", params=[1, 3], ids=["one member", "three members"])
def fitted(request):
    x, y = scores(400, EVEN, 0, request.param)
    auto = AutoPostprocessor(n_rehearsals=6).fit(x, y)
    assert (auto.combiner_ is not None) == (request.param == 3)
    return auto


@pytest.fixture
def target(fitted, tmp_path):
    """The members of a target in their files, as the command line reads them."""

    def make(n, prior, device="cpu"):
        loaded = []
        for m, member in enumerate(scores(n, prior, 1, fitted.n_members_)[0]):
            np.save(tmp_path / f"{m}.npy", member)
            rows = np.load(tmp_path / f"{m}.npy", mmap_mode="r")
            loaded.append(Predictions.check(rows, name=f"members[{m}]"))
        return streamed(align_members(loaded), device)

    return make


def cut(n, step):
    return [slice(at, min(at + step, n)) for at in range(0, n, step)]


@pytest.mark.parametrize("prior", [EVEN, SHIFTED], ids=["no shift", "shift"])
@pytest.mark.parametrize("device", ["cpu", "cpu:0"])  # torch on the CPU stands in for CUDA
def test_blocks_decide_as_the_whole(fitted, target, tmp_path, prior, device):
    read = fitted.combined(target(500, prior))
    whole = fitted.policy_.decide(read, [slice(0, 500)])
    assert (whole.action == "adapt") == (prior is SHIFTED)
    expected = whole.probabilities(read(slice(0, 500)))
    engine = LocalEngine(3) if device == "cpu" else DeviceEngine(device)
    read, over = fitted.combined(target(500, prior, device)), partial(map_blocks, engine)
    keep = partial(
        beside_output, shape=(500, 4), dtype=np.float64, output=tmp_path / "out.npy",
        write=partial(write, engine, signature={}), device=device,
    )  # fmt: skip
    tol = 1e-12 if device == "cpu" else 1e-6  # torch rounds softmax in float32 its own way
    for step in (500, 77, 9):
        found = fitted.policy_.decide(read, cut(500, step), keep=keep, map_blocks=over)
        assert found.action == whole.action
        assert found.test.p_value == pytest.approx(whole.test.p_value, rel=100 * tol)
        assert found.expected.gain == pytest.approx(whole.expected.gain, abs=tol)
        assert found.expected.std_error == pytest.approx(whole.expected.std_error, abs=tol)
        adapted = as_numpy(found.probabilities(read(slice(0, 500))))
        np.testing.assert_allclose(adapted, expected, atol=tol)
        assert not list(tmp_path.glob(".*"))  # what was kept is gone


def test_a_narrow_target_is_kept_as_such(fitted, target):
    members = target(500, SHIFTED)
    read, cuts = fitted.combined(members), cut(500, 100)
    for dtype, exact in ((np.float32, 1e-6), (np.float64, 1e-12)):
        keep = partial(in_temporary_file, shape=(500, 4), dtype=dtype)
        with keep(lambda rows: (softmax(read(rows)), {}), cuts) as kept:
            assert kept.calibrated.scores.dtype == dtype
            np.testing.assert_allclose(kept(cuts[1]), softmax(read(cuts[1])), atol=exact)


def test_the_survey_is_the_moments_of_tempered_rows(fitted, target):
    members = target(300, SHIFTED)
    policy, logs = fitted.policy_, fitted.combined(members)(slice(0, 300))
    found, confidence = policy._survey(lambda rows: logs[rows], cut(300, 70), in_order)
    tempered = np.exp(policy.tempered(logs))
    expected = PredictionMoments.of(tempered)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-14)
    np.testing.assert_allclose(found.scatter, expected.scatter, atol=1e-11)
    highest = max(np.exp(logs).max(axis=1).mean(), tempered.max(axis=1).mean())
    assert confidence == pytest.approx(highest, rel=1e-12)
    part = SurveyRows(lambda rows: logs[rows], policy.tempered, policy.moments.mean)
    assert [each.shape for each in part(slice(0, 9))] == [(4,), (4, 4), (2,)]


@pytest.fixture(scope="module")
def dask():
    pytest.importorskip("distributed")
    from postproc.jobs.dask import dask_engine

    with dask_engine(workers=2) as engine:
        yield engine


def test_dask_decides_bit_for_bit_as_the_local_engine(fitted, target, tmp_path, dask):
    members = target(600, SHIFTED)
    read, cuts = fitted.combined(members), cut(600, 150)
    decisions = []
    for engine in (LocalEngine(), dask):
        keep = partial(
            beside_output, shape=(600, 4), dtype=np.float32, output=tmp_path / "out.npy",
            write=partial(write, engine, signature={}),
        )  # fmt: skip
        over = partial(map_blocks, engine)
        decisions.append(fitted.policy_.decide(read, cuts, keep=keep, map_blocks=over))
    local, there = decisions
    assert local.action == "adapt"
    assert there.to_dict() == local.to_dict()
    np.testing.assert_array_equal(*(d.probabilities(read(cuts[3])) for d in decisions))


def test_memory_does_not_grow_with_the_rows(fitted, target):
    peaks = []
    for n in (40_000, 320_000):  # as many as 10 MB of float64, in blocks of 32 kB
        members = target(n, SHIFTED)
        keep = partial(in_temporary_file, shape=(n, 4), dtype=np.float32)
        tracemalloc.start()
        decision = fitted.policy_.decide(fitted.combined(members), cut(n, 1000), keep=keep)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert decision.action == "adapt"
    assert peaks[1] < peaks[0] + 9e6  # threads that write may hold blocks on a busy machine


def test_a_target_in_memory_is_kept_as_it_is(fitted, target):
    members = target(90, SHIFTED)
    read = fitted.combined(members)
    with in_memory(lambda rows: (softmax(read(rows)), {}), cut(90, 40)) as kept:
        np.testing.assert_allclose(kept(slice(0, 90)), softmax(read(slice(0, 90))), atol=1e-15)


def test_what_hangs_together_is_no_ensemble(fitted, target):
    members = target(200, SHIFTED)
    assert not isinstance(fitted, Ensemble)
    assert not hasattr(fitted, "combine")
    adapted = fitted.adapt_to(members)
    assert isinstance(adapted, Ensemble)
    assert adapted.fit(members) is adapted
    assert clone(adapted) is adapted
    probs = fitted.predict_proba(members)
    assert probs.dtype == np.float32
    np.testing.assert_array_equal(adapted.predict_proba(members), probs)
    np.testing.assert_array_equal(fitted.predict(members), probs.argmax(axis=1))
    np.testing.assert_array_equal(
        adapted.combine(members, slice(7, 50)).astype(np.float32), probs[7:50]
    )
