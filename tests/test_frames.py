"""DataFrames and labels by name in every public function: the results of arrays, by name."""

from dataclasses import asdict, is_dataclass

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

import ensemble
import postproc

CLASSES = ("cat", "dog", "owl")
ORDERS = ([0, 1, 2], [2, 0, 1], [1, 0, 2])
N_ROWS = 60

RNG = np.random.default_rng(5)
Y = np.arange(N_ROWS) % 3
TARGET_Y = RNG.permutation(Y)
NAMES = np.array(CLASSES)


def scores(y):
    return postproc.softmax(1.5 * np.eye(3)[y] + RNG.standard_normal((N_ROWS, 3)))


FIT, TARGET = ([scores(y) for _ in range(3)] for y in (Y, TARGET_Y))
IDS = [f"row {i}" for i in range(N_ROWS)]
PRIOR = np.array([0.5, 0.3, 0.2])


class Arrays:
    """Arguments as NumPy arrays and class numbers."""

    y, target_y = Y, TARGET_Y
    prior = PRIOR

    def __init__(self):
        self.fit, self.target = FIT, TARGET

    def labels(self, numbers):
        return numbers


class Frames(Arrays):
    """The same as DataFrames with columns in other orders, and names."""

    def __init__(self, library):
        self.library = library
        self.fit, self.target = (
            [self.table(p, order) for p, order in zip(each, ORDERS, strict=True)]
            for each in (FIT, TARGET)
        )
        self.target[0] = self.table(TARGET[0], ORDERS[1])
        self.y, self.target_y = self.labels(Y), self.labels(TARGET_Y)
        self.prior = dict(zip(CLASSES[::-1], PRIOR[::-1], strict=True))

    def table(self, values, order):
        columns = {CLASSES[j]: values[:, j] for j in order}
        if self.library is pd:
            return pd.DataFrame(columns, index=IDS)
        return pl.DataFrame(columns) if self.library is pl else pa.table(columns)

    def labels(self, numbers):
        names = NAMES[numbers].tolist()
        if self.library is pd:
            return pd.Series(names, index=IDS)
        return pl.Series(names) if self.library is pl else pa.chunked_array([names])


def estimator(make, *, members=False, adapt=False):
    """Fits an estimator and asks it for everything it can say of a target."""

    def case(given):
        fit, target = (each if members else each[0] for each in (given.fit, given.target))
        model = clone(make()).fit(fit, given.y)
        if adapt:
            model = model.adapt_to(target)
        return model.predict_proba(target), model.predict(target)

    return case


def decider(make, *methods):
    """Fits a decider and asks it for its decisions."""

    def case(given):
        model = clone(make()).fit(given.fit[0], given.y)
        return tuple(getattr(model, name)(given.target[0]) for name in ("predict", *methods))

    return case


def vote(function):
    return lambda given: function(given.target)


def each_class(prior_estimate):
    return prior_estimate.prior


#: What is done with every public name.
CASES = {
    "CAN": estimator(lambda: postproc.CAN(iterations=2)),
    "BiasCorrectedTemperatureScaling": estimator(postproc.BiasCorrectedTemperatureScaling),
    "TemperatureScaling": estimator(postproc.TemperatureScaling),
    "ResidualMatrixScaling": estimator(lambda: postproc.ResidualMatrixScaling(n_folds=2)),
    "StructuredScaling": estimator(postproc.StructuredScaling),
    "PooledScaling": estimator(lambda: postproc.PooledScaling(n_folds=2)),
    "LabelShiftAdapter": estimator(lambda: postproc.LabelShiftAdapter(calibration="temperature")),
    "ClassWeights": decider(lambda: postproc.ClassWeights(metric="macro_f1")),
    "SelectiveClassifier": decider(lambda: postproc.SelectiveClassifier(max_error=0.4)),
    "ConformalSets": decider(postproc.ConformalSets, "predict_set"),
    "decide": lambda g: postproc.decide(g.target[0]),
    "accuracy_report": lambda g: postproc.accuracy_report(
        {"a": g.target[1], "b": g.target[0]}, g.target_y, classes=CLASSES
    ).to_dict(),
    "alternating_normalization": lambda g: postproc.alternating_normalization(
        g.fit[0], g.target[0], g.prior, iterations=2
    ),
    "bbse_prior": lambda g: each_class(
        postproc.bbse_prior(g.fit[0], g.target[0], g.labels(TARGET_Y))
    ),
    "check_scores": lambda g: postproc.check_scores(g.fit[0])[0],
    "class_prior": lambda g: (
        postproc.class_prior(g.y, n_classes=3, classes=CLASSES),
        postproc.class_prior(g.prior, n_classes=3, classes=CLASSES),
    ),
    "compare": lambda g: postproc.compare(g.y, g.y, g.target_y),
    "em_prior": lambda g: each_class(postproc.em_prior(g.fit[0], g.prior)),
    "evaluate": lambda g: postproc.evaluate(g.fit[0], g.y),
    "inspect_predictions": lambda g: postproc.inspect_predictions(
        g.fit[0] if hasattr(g, "library") else postproc.Predictions.check(FIT[0], classes=NAMES),
        prior=g.prior,
    ).to_dict(),
    "joint_normalization": lambda g: postproc.joint_normalization(g.fit[0], g.prior),
    "log_probabilities": lambda g: postproc.log_probabilities(g.fit[0], "probs"),
    "log_softmax": lambda g: postproc.log_softmax(g.fit[0]),
    "map_prior": lambda g: each_class(postproc.map_prior(g.fit[0], g.prior, fit_probs=g.target[0])),
    "no_shift_test": lambda g: postproc.no_shift_test(g.fit[0], g.target[0]),
    "Predictions": lambda g: postproc.Predictions.check(g.fit[0]).scores,
    "probabilities": lambda g: postproc.probabilities(g.fit[0], "probs"),
    "reweight": lambda g: postproc.reweight(g.fit[0], g.prior, g.prior),
    "softmax": lambda g: postproc.softmax(g.fit[0]),
    "top_k_entropy": lambda g: postproc.top_k_entropy(g.fit[0]),
    "tune_can": lambda g: postproc.tune_can(
        g.fit[0], g.y, grid={"alpha": [1.0, 2.0], "iterations": [1]}, prior=g.prior, n_folds=3
    ),
    "gumbel_softmax": lambda g: postproc.gumbel_softmax(g.fit[0]),
    "undo_softmax": lambda g: postproc.undo_softmax(postproc.softmax(g.fit[0])),
    "AutoPostprocessor": estimator(
        lambda: ensemble.AutoPostprocessor(n_rehearsals=2, n_folds=2), members=True
    ),
    "AdaptedPipeline": estimator(
        lambda: ensemble.AutoPostprocessor(n_rehearsals=2, n_folds=2), members=True, adapt=True
    ),
    "Bagging": estimator(lambda: ensemble.Bagging(n_estimators=2), members=True),
    "Blend": estimator(ensemble.Blend, members=True),
    "CalibratedVoting": estimator(ensemble.CalibratedVoting, members=True),
    "DevilsAdvocate": estimator(
        lambda: ensemble.DevilsAdvocate(n_folds=2, seeds=1, controls=False), members=True
    ),
    "DiscriminantPool": estimator(ensemble.DiscriminantPool, members=True),
    "GreedySelection": estimator(ensemble.GreedySelection, members=True),
    "GumbelSelection": estimator(ensemble.GumbelSelection, members=True),
    "LearnedLogPool": estimator(ensemble.LearnedLogPool, members=True),
    "Stacking": estimator(ensemble.Stacking, members=True),
    "YTuning": estimator(lambda: ensemble.YTuning(seeds=1), members=True),
    "Voting": estimator(ensemble.Voting, members=True),
    "align_members": lambda g: [
        p.scores[:] for p in ensemble.align_members(g.target, classes=CLASSES)
    ],
    "check_members": lambda g: [p.scores for p in ensemble.check_members(g.fit)],
    "hard_vote": vote(ensemble.hard_vote),
    "log_pool": vote(ensemble.log_pool),
    "median_vote": vote(ensemble.median_vote),
    "out_of_fold": lambda g: ensemble.out_of_fold(ensemble.CalibratedVoting(), g.fit, g.y),
    "pairwise_diversity": lambda g: ensemble.pairwise_diversity(g.fit, g.y).to_dict(),
    "pool_rows": lambda g: ensemble.pool_rows(g.fit[0], ids=[i // 2 for i in range(N_ROWS)]).scores,
    "rank_vote": vote(ensemble.rank_vote),
    "soft_vote": vote(ensemble.soft_vote),
    "tune_greedy": lambda g: ensemble.tune_greedy(
        g.fit, g.y, grid={"n_bags": [1], "metric": ["accuracy"]}, n_folds=3
    ),
}

#: Public names without scores or labels by name, and why.
OTHERS = {
    **dict.fromkeys(
        ("AccuracyReport", "NoShiftTest", "PriorEstimate", "TuningResult", "Diversity", "Members"),
        "a result",
    ),
    **dict.fromkeys(("AdaptedLabels", "LabelPriors", "MultilabelReport"), "a result"),
    **dict.fromkeys(
        (
            *("LabelPool", "LabelThresholds", "MultilabelCalibration", "MultilabelPostprocessor"),
            *("MultilabelShiftAdapter", "multilabel_report"),
        ),
        "tested below",
    ),
    **dict.fromkeys(
        ("holm", "mcnemar_exact", "paired_gain_interval", "wilson_interval"), "counts or p-values"
    ),
    **dict.fromkeys(
        (
            *("Reading", "ReadingWarning", "load_labels", "load_members", "load_predictions"),
            *("benchmark", "load_model", "save_model"),
        ),
        "files",
    ),
    **dict.fromkeys(
        ("BinaryCalibration", "BetaCalibration", "QuadraticScaling", "VennAbersCalibration"),
        "two classes, tested below",
    ),
    "save_predictions": "tested below",
    "multilabel_prior": "tested below",
    "reliability_bins": "tested below",
    "class_metrics": "tested below",
    "draw_target": "tested below",
    **dict.fromkeys(
        (
            *("Adversarial", "ChildTuning", "Contrastive"),
            *("DevilsAdvocateTrainer", "LabelDenoising", "TrainingOptions", "VirtualAugmentation"),
        ),
        "torch modules",
    ),
    **dict.fromkeys(
        ("accordance_plot", "temperature_plot", "tolerance", "uniformity"), "no predictions"
    ),
    **dict.fromkeys(("TextClassifier", "WordRoles", "aeda"), "texts"),
    "embedding_dimension": "a number",
}


def test_every_public_name_is_here():
    public = {*postproc.__all__, *ensemble.__all__}
    assert public == CASES.keys() | OTHERS.keys()


@pytest.mark.parametrize("name", [name for name in OTHERS if "two classes" in OTHERS[name]])
def test_calibrators_of_two_classes_match_columns_by_name(name):
    y = Y % 2
    probs = postproc.softmax(1.5 * np.eye(2)[y] + RNG.standard_normal((N_ROWS, 2)))
    table = pd.DataFrame(probs, columns=["no", "yes"])
    by_array = getattr(postproc, name)().fit(probs, y)
    by_name = getattr(postproc, name)().fit(table, np.array(["no", "yes"])[y])
    found = by_name.predict_proba(table[["yes", "no"]])
    wanted = by_array.predict_proba(probs)
    np.testing.assert_allclose(found[["no", "yes"]], wanted, rtol=1e-9)
    assert list(by_name.predict(table)) == list(np.array(["no", "yes"])[by_array.predict(probs)])


def plain(result, order=CLASSES):
    """A result as arrays of class numbers and numbers, columns in the order of CLASSES."""
    if isinstance(result, tuple | list):
        return [plain(each) for each in result]
    if isinstance(result, pd.DataFrame | pl.DataFrame | pa.Table):
        return nw.from_native(result).select(order).to_numpy()
    if isinstance(result, pd.Series | pl.Series | pa.ChunkedArray):
        values = np.asarray(result)
        return np.searchsorted(NAMES, values) if values.dtype.kind in "OUT" else values
    return asdict(result) if is_dataclass(result) else result


def assert_same(found, wanted):
    if isinstance(wanted, list):
        for a, b in zip(found, wanted, strict=True):
            assert_same(a, b)
    elif isinstance(wanted, np.ndarray):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    else:
        assert repr(found) == repr(wanted)


#: Fits that take a while; one library shows that names reach them.
LONG = ("AdaptedPipeline", "AutoPostprocessor", "Bagging", "DevilsAdvocate", "Stacking")

EACH = [
    pytest.param(
        name,
        library,
        id=f"{name}-{library.__name__}",
        marks=pytest.mark.slow if name in LONG and library is not pd else (),
    )
    for name in CASES
    for library in (pd, pl, pa)
]


@pytest.fixture(scope="module")
def wanted():
    return {}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "library"), EACH)
def test_frames_give_the_results_of_arrays(name, library, wanted):
    if name not in wanted:
        wanted[name] = plain(CASES[name](Arrays()))
    assert_same(plain(CASES[name](Frames(library))), wanted[name])


def multilabel(given):
    """Every estimator of labels that do not exclude each other."""
    fit, target, y, target_y = given
    single = (postproc.MultilabelCalibration, postproc.MultilabelShiftAdapter)
    found = [make(kind="probs").fit(fit[0], y).predict_proba(target[0]) for make in single]
    for make in (ensemble.LabelPool, ensemble.MultilabelPostprocessor, ensemble.Stacking):
        model = make().fit(fit, y, multilabel=True)
        found += [model.predict_proba(target), model.predict(target)]
    decided = postproc.LabelThresholds(kind="probs").fit(fit[0], y).predict(target[0])
    report = postproc.multilabel_report(
        {"a": target[0], "b": target[1]}, target_y, classes=CLASSES, kinds="probs"
    )
    return [*found, decided, report["b"].results["micro_f1"].gain]


@pytest.mark.parametrize("library", [pd, pl, pa], ids=["pandas", "polars", "arrow"])
def test_labels_by_name_give_what_arrays_give(library):
    labels = RNG.permutation(2 * N_ROWS) < 50
    y, target_y = ((RNG.random((N_ROWS, 3)) < 0.4).astype(int) for _ in range(2))
    y[:, 0], target_y[:, 0] = labels[:N_ROWS], labels[N_ROWS:]
    fit, target = (
        [np.clip(0.5 * truth + 0.5 * RNG.random(truth.shape), 0.01, 0.99) for _ in range(2)]
        for truth in (y, target_y)
    )
    frames = Frames(library)
    wanted = multilabel((fit, target, y, target_y))
    tables = [
        [frames.table(p, o) for p, o in zip(each, ORDERS[1:], strict=True)]
        for each in (fit, target)
    ]
    found = multilabel((*tables, frames.table(y, ORDERS[2]), frames.table(target_y, ORDERS[0])))
    assert_same(plain(found), plain(wanted))
