"""One column of a binary task in every Python function and estimator."""

import numpy as np
import pytest
from scipy.special import expit

import ensemble
import postproc
from postproc.scores.binary import TwoColumns, two_columns, winners
from postproc.scores.binary_labels import binary_labels
from postproc.scores.blocks import Sizes
from postproc.scores.predictions import Predictions
from postproc.scores.sources import NpySource

N = 200


@pytest.fixture(scope="module")
def data():
    """Labels, and logits of two members of a fit and a target split, shape (N,)."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, N)
    z = [[s * (2 * y - 1) + rng.standard_normal(N) for s in (1.5, 1.0)] for _ in range(2)]
    return y, z[0], z[1]


def both(z):
    return np.stack([np.zeros_like(z), z], axis=1)


def test_one_column_is_the_second_of_two():
    p = np.array([[0.25], [1.0]])
    np.testing.assert_array_equal(two_columns(p, "probs"), [[0.75, 0.25], [0, 1]])
    np.testing.assert_array_equal(two_columns(np.array([[-2.0]]), "logits"), [[0, -2]])
    found = Predictions.check([-2.0, 3.0])
    assert (found.kind, found.task, found.n_classes) == ("logits", "binary", 2)
    np.testing.assert_allclose(found.probabilities()[:, 1], expit([-2, 3]))
    assert Predictions.check(np.eye(3)).task == "multiclass"
    assert Predictions.check([[0.2], [0.4]], multilabel=True).task == "multilabel"


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_comes_in_one_column_goes_out_in_one(shape, dtype):
    p = np.linspace(0.05, 0.9, 7).astype(dtype).reshape(shape)
    out = ensemble.soft_vote([p, p])
    assert out.shape == p.shape
    assert out.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(out, p, atol=1e-3 if dtype == np.float16 else 1e-6)


FUNCTIONS = {
    "soft_vote": lambda z, y: ensemble.soft_vote(z),
    "hard_vote": lambda z, y: ensemble.hard_vote(z),
    "log_pool": lambda z, y: ensemble.log_pool(z),
    "median_vote": lambda z, y: ensemble.median_vote(z),
    "rank_vote": lambda z, y: ensemble.rank_vote(z),
    "CAN": lambda z, y: postproc.CAN(prior=[0.5, 0.5], top_k=2).fit(z[0]).predict_proba(z[1]),
    "temperature": lambda z, y: postproc.TemperatureScaling().fit(z[0], y).predict_proba(z[1]),
    "bcts": lambda z, y: (
        postproc.BiasCorrectedTemperatureScaling().fit(z[0], y).predict_proba(z[1])
    ),
    "matrix": lambda z, y: postproc.ResidualMatrixScaling().fit(z[0], y).predict_proba(z[1]),
    "structured": lambda z, y: postproc.StructuredScaling().fit(z[0], y).predict_proba(z[1]),
    "adapter": lambda z, y: (
        postproc.LabelShiftAdapter(calibration="bcts").fit(z[0], y).predict_proba(z[1][y == 1])
    ),
    "weights": lambda z, y: ensemble.LearnedLogPool().fit(z, y).predict_proba(z),
    "calibrated": lambda z, y: ensemble.CalibratedVoting().fit(z, y).predict_proba(z),
    "greedy": lambda z, y: ensemble.GreedySelection().fit(z, y).predict_proba(z),
    "discriminants": lambda z, y: ensemble.DiscriminantPool().fit(z, y).predict_proba(z),
    "operation": lambda z, y: postproc.alternating_normalization(
        expit(z[0]), expit(z[1]), [0.4, 0.6]
    ),
    "loop": lambda z, y: postproc.can.alternating_normalization_loop(
        expit(z[0][:9]), expit(z[1]), [0.4, 0.6]
    ),
    "reweight": lambda z, y: postproc.reweight(expit(z[0]), [0.5, 0.5], [0.2, 0.8]),
    "joint": lambda z, y: postproc.joint_normalization(expit(z[0]), [0.4, 0.6]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_estimators_take_one_column_like_two(data, name):
    y, z, _ = data
    call = FUNCTIONS[name]
    on_probs = name in ("operation", "loop", "reweight", "joint")
    two = [np.stack([-a, a], axis=1) if on_probs else both(a) for a in z]  # expit(-z) = 1 - p
    expected = call(two, y)[:, 1]
    for form in (lambda a: a, lambda a: a[:, None]):
        out = call([form(a) for a in z], y)
        assert out.shape == form(expected).shape
        np.testing.assert_allclose(out.reshape(-1), expected, atol=1e-12)


def test_predictions_of_classes_and_labels_of_signs(data):
    y, z, target = data
    model = postproc.TemperatureScaling().fit(z[0], 2 * y - 1)
    np.testing.assert_array_equal(model.predict(target[0]), target[0] > 0)
    votes = ensemble.Voting("soft").fit(z)
    np.testing.assert_array_equal(votes.predict(z), votes.predict([both(a) for a in z]))
    np.testing.assert_array_equal(winners(np.array([0.2, 0.5, 0.7])), [0, 0, 1])


def test_figures_of_one_column_are_those_of_two(data):
    y, z, _ = data
    p = expit(z[0])
    two = np.stack([1 - p, p], axis=1)
    assert postproc.evaluate(p, y) == postproc.evaluate(two, y)
    np.testing.assert_array_equal(postproc.top_k_entropy(p, 2), postproc.top_k_entropy(two, 2))
    one, other = (postproc.em_prior(x, [0.5, 0.5]) for x in (p, two))
    np.testing.assert_array_equal(one.prior, other.prior)
    assert postproc.no_shift_test(p[:50], p) == postproc.no_shift_test(two[:50], two)
    report = postproc.accuracy_report({"one": p[:, None], "two": two}, y)
    assert report["two"].metrics == report["one"].metrics


def test_one_column_of_probabilities_and_their_logarithms(data):
    z = data[1][0]
    for given, kind in ((z, "logits"), (expit(z), "probs")):
        for form in (given, given[:, None]):
            p = postproc.probabilities(form, kind)
            np.testing.assert_allclose(p, expit(z).reshape(form.shape))
            np.testing.assert_allclose(postproc.log_probabilities(form, kind), np.log(p))


def test_pooled_rows_keep_the_form():
    pooled = ensemble.pool_rows(Predictions.check([0.2, 0.4, 0.9]), ids=["a", "a", "b"])
    assert (pooled.task, pooled.column.flat) == ("binary", True)
    np.testing.assert_allclose(pooled.as_given(pooled.scores), [0.3, 0.9])


def test_tuning_and_diversity_take_one_column(data):
    y, z, _ = data
    few = {"alpha": [1.0], "iterations": [1]}
    one, two = (postproc.tune_can(x, y, grid=few, n_folds=3) for x in (z[0], both(z[0])))
    assert one.to_dict() == two.to_dict()
    one, two = (ensemble.pairwise_diversity(x, y) for x in (z, [both(a) for a in z]))
    assert one.to_dict() == two.to_dict()


def test_tensors_come_back_as_tensors(data):
    torch = pytest.importorskip("torch")
    z = torch.tensor(data[1][0], dtype=torch.float32)
    out = postproc.CAN(prior=[0.5, 0.5], top_k=2).fit(z).predict_proba(z)
    assert isinstance(out, torch.Tensor)
    assert out.shape == z.shape
    assert ensemble.soft_vote([z, z]).shape == z.shape


@pytest.mark.parametrize("form", ["series", "frame", "ids"])
def test_tables_of_one_column_come_back_as_they_were(data, form):
    pd = pytest.importorskip("pandas")
    y, z, _ = data
    p, index = expit(z[0]), [f"r{row}" for row in range(N)]
    given = {
        "series": pd.Series(p, index=index, name="claim"),
        "frame": pd.DataFrame({"claim": p}, index=index),
        "ids": pd.DataFrame({"id": index, "target": p}),
    }[form]
    fitted = postproc.BetaCalibration().fit(given, y)
    for out in (ensemble.soft_vote([given, given]), fitted.predict_proba(given)):
        assert type(out) is type(given)
        assert out.shape == given.shape
        assert (out.name if form == "series" else list(out)[-1]) in ("claim", "target")
    column = ensemble.soft_vote([given, given])
    column = column if form == "series" else column.iloc[:, -1]
    np.testing.assert_allclose(column, p)
    np.testing.assert_array_equal(fitted.predict(given), fitted.predict(p))


def test_a_source_of_one_column_is_read_like_an_array(tmp_path):
    p = np.linspace(0.01, 0.99, 50)
    np.save(tmp_path / "p.npy", p)
    source = NpySource.open(tmp_path / "p.npy")
    two = TwoColumns(source, "probs")
    whole = np.stack([1 - p, p], axis=1)
    for index in (slice(3, 9), np.array([4, 1, 1]), whole[:, 0] > 0.5, slice(None, None, -1)):
        np.testing.assert_array_equal(two[index], whole[index])
    assert two.signature() != source.signature()
    loaded = postproc.load_predictions(tmp_path / "p.npy", mapped=False, sizes=Sizes(block=64))
    np.testing.assert_array_equal(loaded.scores[:], whole)


def test_columns_keep_their_class_when_they_are_aligned():
    named = Predictions.check([0.2, 0.7], classes=["ham", "spam"])
    turned = named.align(classes=["spam", "ham"])
    np.testing.assert_allclose(turned.scores[:], [[0.2, 0.8], [0.7, 0.3]])
    np.testing.assert_allclose(turned.as_given(turned.scores[:]), [0.2, 0.7])
    bare = Predictions.check([0.2, 0.7]).align(classes=["ham", "spam"])
    np.testing.assert_allclose(bare.align(classes=["spam", "ham"]).scores[:, 0], [0.2, 0.7])


@pytest.mark.parametrize(
    ("scores", "kind"),
    [
        ([0.0, 0.5, 1.0], "probs"),
        ([0.2, 1.5, 0.4], "logits"),
        ([-1.5, 0.5], "logits"),
        ([-np.inf, 0.5, 2.5], "logits"),
        ([0.1, 12.5], "logits"),
    ],
)
def test_the_kind_of_one_column(scores, kind):
    assert Predictions.check(scores).kind == kind


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([0, 1, 1], "labels"),
        ([0.0, 1.0], "labels"),
        ([-1, 1], "labels"),
        ([3, 0, 2], "labels"),
        ([0.5, 1.0000001], "clip"),
        ([0.5, -1e-9], "clip"),
        ([7.5, 99.5], "percentages"),
        ([0.5, np.nan], "skip_unpredicted"),
        ([0.5, np.inf], "finite"),
    ],
)
def test_doubts_about_one_column_are_errors(scores, says):
    with pytest.raises(ValueError, match=says):
        Predictions.check(scores)


def test_a_declared_kind_settles_doubts():
    assert Predictions.check([0.0, 1.0], kind="probs").kind == "probs"
    assert Predictions.check([0.2, 0.4], kind="logits").kind == "logits"
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        Predictions.check([0.2, 1.4], kind="probs")
    with pytest.raises(ValueError, match="a column for each class"):
        Predictions.check([3, 1], kind="votes")


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (["True", "false"], {}, [1, 0]),
        (["no", "YES", "no"], {}, [0, 1, 0]),
        (["-1", "1"], {}, [0, 1]),
        ([-1.0, 1.0], {}, [0, 1]),
        ([0, 1], {"positive": "0"}, [1, 0]),
        ([1.0, 2.0], {"positive": "2"}, [0, 1]),
        (["a", "b", "c"], {"positive": "b"}, [0, 1, 0]),
        (["ham", "spam"], {"heading": "ham"}, [1, 0]),
        (["yes", "no"], {"positive": "claim"}, [1, 0]),
    ],
)
def test_labels_of_two_classes(values, options, expected):
    options = {"positive": None, "heading": None, **options}
    labels = binary_labels(np.array(values), name="y", **options)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("options", [{}, {"heading": "claim"}, {"positive": "claim"}])
def test_names_without_a_positive_one_are_an_error(options):
    options = {"positive": None, "heading": None, **options}
    with pytest.raises(ValueError, match="--positive NAME"):
        binary_labels(np.array(["ham", "spam"]), name="y", **options)
