"""CAN whose reference stays in its file is CAN in memory, whatever is read at once."""

import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from distributed import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from postproc.can.bounds import TOLERANCE, Condensed
from postproc.can.iterates import RowsInMemory
from postproc.can.options import CANOptions
from postproc.can.streaming.adjust import AdjustRows
from postproc.can.streaming.fit import fit_can
from postproc.can.streaming.reference import RowsInFile
from postproc.can.streaming.rows import ProbabilityRows
from postproc.jobs.dask import DaskEngine
from postproc.jobs.engine import LocalEngine, map_blocks
from postproc.scores.blocks import Sizes, in_order
from postproc.scores.predictions import Predictions
from tests.oracles import alternating_normalization_loop
from tests.postproc.shuffled import Shuffled


def predictions(n=300, n_classes=5, dtype=np.float64, seed=0, concentration=0.2):
    rows = np.random.default_rng(seed).dirichlet(np.full(n_classes, concentration), n)
    rows[rows < 1e-5] = 0.0
    rows = (rows / rows.sum(axis=1, keepdims=True)).astype(dtype)
    return ProbabilityRows(Predictions.check(rows, kind="probs"))


def in_file(rows, *, block=30, task=100, together=2**26, shared=100, at_once=40):
    """The same rows with sizes that keep every reference in its file; in rows of five classes."""
    sizes = Sizes(
        reference_in_memory=0, block=40 * block, reference_task=40 * task, rows_a_pass=at_once,
        rows_a_task=at_once, exact_together=together, exact_shared=40 * shared,
    )  # fmt: skip
    return replace(rows, sizes=sizes)


def adjust(rows, model, labels=None, map_blocks=in_order):
    """What the command writes, and the sum of what it counts."""
    part = AdjustRows(rows, model, labels).prepared(map_blocks)
    blocks, counts = zip(*map(part, part.cuts()), strict=True)
    total = {name: sum(count[name] for count in counts) for name in counts[0]}
    return np.concatenate(blocks), total


def both(rows, prior, options, **sizes):
    """The model in memory and the one that is streamed, and what each makes of the rows."""
    labels = np.arange(rows.predictions.n_rows * rows.per_row) % len(prior)
    held = fit_can(rows, prior, options, in_order)
    wanted = adjust(rows, held, labels)
    rows = in_file(rows, **sizes)
    streamed = fit_can(rows, prior, options, in_order)
    return held, wanted, streamed, adjust(rows, streamed, labels)


def is_in_file(model):
    return isinstance(model.reference.exact.rows, RowsInFile)


@settings(max_examples=50)
@given(
    n=st.integers(20, 150),
    alpha=st.sampled_from([0.5, 1.0, 2.0]),
    iterations=st.sampled_from([2, 3, 5]),
    smoothing=st.sampled_from([0.0, 0.5, 2.0]),
    threshold=st.sampled_from([0.3, 0.7, 0.9, 1.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    barred=st.booleans(),
    bare=st.booleans(),
    size=st.sampled_from(["exact", 1]),
    block=st.sampled_from([7, 1000]),
    task=st.sampled_from([30, 1000]),
    together=st.sampled_from([0, 2**26]),
    seed=st.integers(0, 50),
)
def test_is_as_in_memory(
    n, alpha, iterations, smoothing, threshold, dtype, barred, bare, size, block, task, together,
    seed,
):  # fmt: skip
    rows = predictions(n, dtype=dtype, seed=seed)
    scores = rows.predictions.scores
    if bare:  # a class that no confident row has
        scores[np.ix_(scores.max(axis=1) > 0.5, [1])] = 0
        scores /= scores.sum(axis=1, keepdims=True)
    prior = np.array([2.0, 1, 1, 0 if barred else 3, 1])
    options = CANOptions(
        alpha=alpha, iterations=iterations, smoothing=smoothing, threshold=threshold,
        reference_size=size,
    )  # fmt: skip
    held, (wanted, counts), streamed, (got, found) = both(
        rows, prior / prior.sum(), options, block=block, task=task, together=together
    )
    assert is_in_file(streamed) or held.reference.exact.rows.shape[0] <= 5
    assert isinstance(streamed.reference, Condensed) == isinstance(held.reference, Condensed)
    assert streamed.n_confident == held.n_confident
    np.testing.assert_allclose(streamed.confident_mass, held.confident_mass, rtol=1e-6)
    tolerance = 2e-6 if dtype == np.float32 else 1e-11
    if size == "exact":
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE + 1e-5)
    assert (found["rows"], found["ambiguous"]) == (counts["rows"], counts["ambiguous"])
    first, second = np.sort(wanted, axis=1)[:, :-3:-1].T
    if (first - second > tolerance).all():  # rounding breaks ties
        for name in ("changed", "fixed", "broken", "right_after"):
            assert found[name] == counts[name]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_is_as_the_loop(alpha):
    rows = in_file(predictions(150))
    prior = np.array([0.4, 0.1, 0.1, 0.3, 0.1])
    model = fit_can(rows, prior, CANOptions(alpha=alpha, iterations=4, threshold=0.6), in_order)
    assert is_in_file(model)
    got = adjust(rows, model)[0]
    probs = rows(slice(0, 150))
    ambiguous = model.adjust(probs)[1]
    assert 30 < ambiguous.sum() < 120
    wanted = probs.copy()
    wanted[ambiguous] = alternating_normalization_loop(
        probs[ambiguous], probs[~ambiguous], prior, alpha, 4
    )[-1]
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("together", [0, 2**26])
@pytest.mark.parametrize(("alpha", "concentration"), [(1.0, 0.1), (2.0, 0.3)])
def test_condensed_is_as_exact(alpha, concentration, together):
    rows = predictions(60, concentration=concentration)
    options = CANOptions(alpha=alpha, iterations=3, threshold=0.5, reference_size=1)
    held, (wanted, _), streamed, (got, _) = both(rows, np.full(5, 0.2), options, together=together)
    assert isinstance(streamed.reference, Condensed)
    for mine, theirs in zip(streamed.reference.moments, held.reference.moments, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11)
    probs = rows(slice(0, 60))
    exactly, ambiguous = held.reference.exact.adjust(probs), held.adjust(probs)[1]
    unclear = held.reference.undecided(probs) & ambiguous
    assert 0 < unclear.sum() < ambiguous.sum()
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(got[unclear], exactly[unclear], rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(got[ambiguous].argmax(1), exactly[ambiguous].argmax(1))


@pytest.mark.parametrize("together", [0, 2**26])
@pytest.mark.parametrize("size", ["exact", 1])
def test_multilabel_rows_are_two_class_rows(size, together):
    probs = np.random.default_rng(1).beta(0.2, 0.3, (300, 5))
    rows = ProbabilityRows(Predictions.check(probs, kind="probs", multilabel=True), multilabel=True)
    options = CANOptions(iterations=3, threshold=0.5, reference_size=size)
    _, (wanted, counts), streamed, (got, found) = both(
        rows, np.array([0.3, 0.7]), options, together=together
    )
    assert is_in_file(streamed)
    np.testing.assert_allclose(got, wanted, rtol=1e-10)
    assert (found["ambiguous"], found["broken"]) == (counts["ambiguous"], counts["broken"])


@pytest.mark.parametrize("together", [0, 2**26])
@pytest.mark.parametrize(
    ("alpha", "smoothing"), [(1.0, 0.0), (2.0, 0.0), (40.0, 1e-300), (1000.0, 0.0)]
)
def test_rows_beyond_the_range_of_floats_are_computed_in_logs(
    monkeypatch, alpha, smoothing, together
):
    tiny = np.array([[1, 1e-300, 0.0], [0.1, 0.0, 0.9], [0.8, 1e-305, 0.2]] * 20)
    doubtful = np.array([[0.4, 0.3, 0.3], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    rows = ProbabilityRows(Predictions.check(np.vstack([tiny, doubtful]), kind="probs"))
    options = CANOptions(alpha=alpha, iterations=3, threshold=0.6, smoothing=smoothing)
    called = []
    plain = RowsInFile.adjust_row
    monkeypatch.setattr(
        RowsInFile, "adjust_row", lambda *args: called.append(args[-1]) or plain(*args)
    )
    _, (wanted, _), _, (got, _) = both(rows, np.array([0.5, 0.3, 0.2]), options, together=together)
    assert called
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("dtype", "iterations"), [("f8", 50), ("f4", 50)])
def test_factors_that_leave_their_range_give_way_to_matrices(dtype, iterations):
    """The zeros leave no reference of these sums, so that its factors grow without end."""
    probs = np.array([[1, 0]] * 40 + [[0.6, 0.4]] * 20 + [[0.5, 0.5], [0.49, 0.51]], dtype)
    rows = ProbabilityRows(Predictions.check(probs, kind="probs"))
    options = CANOptions(iterations=iterations, threshold=0.98)
    held, (wanted, _), streamed, (got, _) = both(rows, np.array([0.1, 0.9]), options)
    iterates = streamed.reference.iterates
    assert iterates.plain == held.reference.iterates.plain == (dtype == "f8")
    assert iterates.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-5 if dtype == "f4" else 1e-9)


def test_no_confident_row_has_mass_in_the_classes_of_the_prior():
    probs = np.array([[1.0, 0, 0]] * 9 + [[0.2, 0.3, 0.5]])
    rows = ProbabilityRows(Predictions.check(probs, kind="probs"))
    prior = np.array([0.0, 0.6, 0.4])
    _, (wanted, _), streamed, (got, _) = both(rows, prior, CANOptions(iterations=3))
    assert streamed.n_confident == 9
    np.testing.assert_allclose(got, wanted)
    np.testing.assert_allclose(got[9], prior)  # alone, a row becomes the prior


@pytest.fixture(scope="module")
def dask():
    """An engine whose parts and results travel, if only to other threads."""
    with Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
    ) as client:
        yield DaskEngine(client)


@pytest.mark.parametrize("together", [0, 2**26])
@pytest.mark.parametrize(("alpha", "size"), [(1.0, "auto"), (1.5, "exact")])
def test_the_engine_does_not_matter(dask, alpha, size, together):
    rows = in_file(predictions(250, concentration=0.1), together=together)
    prior = np.full(5, 0.2)
    options = CANOptions(alpha=alpha, iterations=3, threshold=0.5, reference_size=size)

    def run(engine):
        model = fit_can(rows, prior, options, partial(map_blocks, engine))
        return adjust(rows, model, map_blocks=partial(map_blocks, engine))[0]

    local = run(LocalEngine())
    np.testing.assert_array_equal(run(Shuffled(0)), local)
    np.testing.assert_array_equal(run(dask), local)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("together", [0, 2**26])
def test_what_travels_does_not_grow_with_the_rows(tmp_path, alpha, together):
    small = partial(in_file, together=together, block=100, task=100)
    sizes = []
    for n in (1000, 5000):
        path = tmp_path / f"{n:06d}.npy"
        np.save(path, predictions(n, concentration=0.05).predictions.scores)
        scores = np.load(path, mmap_mode="r")
        target = small(ProbabilityRows(Predictions.check(scores[:50], kind="probs")))
        reference = small(ProbabilityRows(Predictions.check(scores, kind="probs").streamed()))
        options = CANOptions(alpha=alpha, iterations=3, threshold=0.5)
        model = fit_can(reference, np.full(5, 0.2), options, in_order)
        part = AdjustRows(target, model).prepared(in_order)
        sizes.append(len(pickle.dumps(part)) - n // 8)
        again = pickle.loads(pickle.dumps(part))
        np.testing.assert_array_equal(again(slice(0, 50))[0], part(slice(0, 50))[0])
    assert sizes[1] - sizes[0] < 50 * (5000 - 1000) / 100  # a task has 100 rows


def test_few_rows_share_passes_through_the_reference(monkeypatch):
    """Rows to be computed exactly are joined over all blocks of the target."""
    rows = in_file(predictions(3000, concentration=0.05), block=1000, at_once=1000, task=1000)
    prior = np.full(5, 0.2)
    options = CANOptions(iterations=3, threshold=0.9)
    model = fit_can(rows, prior, options, in_order)
    passes = []
    plain = RowsInFile.matrices
    monkeypatch.setattr(
        RowsInFile, "matrices", lambda *args: passes.append(args[-1]) or plain(*args)
    )
    part = AdjustRows(rows, model).prepared(in_order)
    assert 0 < len(part.exact.where) < 1000
    assert passes == [0, 1]
    assert part.cuts() == rows.cuts()
    for cut in part.cuts():
        part(cut)
    assert passes == [0, 1]


def test_small_references_stay_in_memory():
    rows = predictions(300)
    model = fit_can(rows, np.full(5, 0.2), CANOptions(iterations=2), in_order)
    assert isinstance(model.reference.rows, RowsInMemory)
    part = AdjustRows(rows, model)
    assert part.prepared(in_order) is part
