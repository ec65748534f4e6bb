"""Tuning of CAN: a whole grid on held-out rows, sharing what settings have in common."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.can.model import stratified_sample
from postproc.can.options import CANOptions
from postproc.can.reference import Reference
from postproc.evaluation.choice import (
    Decided,
    Evaluate,
    Progress,
    Rows,
    TuningResult,
    check_grid,
    cross_validate,
    make_plan,
)
from postproc.evaluation.registry import TaskName, label_metric
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.checks import check_labels
from postproc.scores.codes import coded
from postproc.scores.confidence import TopK, top_k_entropy
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind, check_scores, probabilities, two_class_rows
from postproc.scores.multilabel import label_log_odds
from postproc.scores.prior import check_multilabels, class_prior
from postproc.scores.threads import available_cores, one_blas_thread

#: The default grid.
GRID: Mapping[str, tuple[Any, ...]] = {
    "alpha": (0.5, 1.0, 1.5, 2.0),
    "iterations": (1, 2, 3, 4, 5),
    "top_k": (None, "max"),
    "threshold": (0.5, 0.7, 0.9),
    "smoothing": (0.0, 1.0),
    "reference_sample": ("all", "stratified"),
}

#: Grids by name. The second has the size of the authors' released search: 18 α, 3 τ, 5 depths.
GRIDS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "default": GRID,
    "paper-code": {
        "alpha": tuple(a / 10 for a in range(3, 21)),
        "iterations": (1, 2, 3, 4, 5),
        "top_k": ("max",),
        "threshold": (0.5, 0.7, 0.9),
        "smoothing": (0.0,),
        "reference_sample": ("stratified",),
    },
}

#: The class of an entry of a multi-label row that has the label: CAN's first of two.
PRESENT = 0

#: Rows of two classes, evenly by their rank among those not yet known, that are adjusted at once.
KNOTS = 16

#: Pseudo-rows of each class in the prior of training rows that lack some class.
PSEUDO_ROWS = 0.5


@takes_frames("scores", labels={"labels": "scores"}, priors=("prior",))
def tune_can(
    scores: Array,
    labels: Any,
    *,
    grid: Mapping[str, Any] | None = None,
    prior: Any = None,
    n_folds: int = 5,
    n_repeats: int = 1,
    seed: int = 0,
    kind: Kind | None = None,
    multilabel: bool = False,
    metric: str | None = None,
    progress: Progress | None = None,
) -> TuningResult:
    """Choose the options of CAN by repeated stratified cross-validation on a fit split.

    In each fold the confident rows of the training part are the reference, and the ambiguous
    held-out rows are adjusted. Doing nothing is a candidate: it wins unless the best setting gains
    more than one standard error, and the 95 % interval of the gain on outer folds lies above zero.
    Of the settings within one standard error of the best, the simplest is chosen: the one with the
    fewest iterations; then with the least smoothing, with all confident rows rather than a sample,
    with α nearest to 1, with the highest threshold, with the smallest k.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Predictions for labelled rows that the classifier was not trained on.
    labels : array_like of shape (n,)
        Classes 0..C-1; (n, C) zeros and ones with `multilabel`.
    grid : mapping of str to list, optional
        Values to try of `alpha`, `iterations`, `top_k`, `threshold`, `smoothing` and
        `reference_sample`; the others have the values of `GRID`.
    prior : array_like of shape (C,), labels, counts or "uniform", optional
        Class prior q; with `multilabel` of positives and negatives, shape (2,). By default the
        class distribution of the labels of the training part, with half a row more for each class
        if one is missing.
    n_folds : int
        Number of outer and of inner folds, >= 3.
    n_repeats : int in 1..100
        How often the rows are split into folds.
    seed : int
        Seed of the folds and of samples.
    kind : {"logits", "probs"}, optional
        What the scores are; None detects it.
    multilabel : bool
        Whether every column is a label of its own, and each entry a row of two classes.
    metric : str, optional
        What settings are judged by: a metric of predicted classes, such as accuracy, macro_f1,
        balanced_accuracy, mcc or kappa; with `multilabel` accuracy (of whole rows), macro_f1,
        micro_f1 or hamming_loss. The default is accuracy, or micro_f1 with `multilabel`.
    progress : callable, optional
        Called with the share of the work done, in [0, 1].

    Returns
    -------
    TuningResult
        The chosen `CANOptions` or None, all settings with their gains and standard errors, and the
        nested gain with its interval.

    Raises
    ------
    TypeError, ValueError
        If scores, labels, prior, grid or a count are not valid.

    Warns
    -----
    UserWarning
        If a class has no label and no prior is given.

    References
    ----------
    Jia et al. (2021), section 3. Hastie, Tibshirani, Friedman (2009). The Elements of Statistical
    Learning, section 7.10 (the one-standard-error rule). Varma, Simon (2006). Bias in error
    estimation when using cross-validation for model selection. BMC Bioinformatics 7 (nested
    folds).

    Examples
    --------
    >>> probs = [[0.96, 0.04], [0.52, 0.48], [0.02, 0.98], [0.03, 0.97]] * 25
    >>> result = tune_can(probs, [0, 1, 1, 1] * 25, grid={"alpha": [1.0], "iterations": [1]})
    >>> result.accuracy, result.nested_gain, result.options.threshold
    (0.75, 0.25, 0.9)
    """
    values, found = check_scores(scores, kind=kind, multilabel=multilabel)
    n_rows, n_columns = values.shape
    n_classes = 2 if multilabel else n_columns
    task: TaskName = "multilabel" if multilabel else "binary" if n_classes == 2 else "multiclass"
    judge = label_metric(metric or ("micro_f1" if multilabel else "accuracy"), task)
    settings = grid_settings(check_grid(grid, GRID), n_classes)
    truth: NDArray[Any]
    if multilabel:
        truth = check_multilabels(as_numpy(labels), shape=(n_rows, n_columns))
        y = np.where(truth.reshape(-1), PRESENT, 1 - PRESENT)
        probs = as_numpy(two_class_rows(values, found))
        features = as_numpy(label_log_odds(values, found))
    else:
        truth = y = check_labels(as_numpy(labels), n_classes=n_classes, n_rows=n_rows)
        features = probs = as_numpy(probabilities(values, found))
    fixed = None if prior is None else class_prior(prior, n_classes=n_classes)
    bare = np.flatnonzero(np.bincount(y, minlength=n_classes) == 0)
    if fixed is None and n_rows and len(bare) and not multilabel:
        msg = (
            f"{len(bare)} of {n_classes} classes have no label, class {bare[0]} first: they keep "
            "a small prior; pass the prior if it is known"
        )
        warnings.warn(coded("unseen-classes", msg), UserWarning, stacklevel=3)
    plan = make_plan(
        features,
        truth,
        n_folds=n_folds,
        n_repeats=n_repeats,
        seed=seed,
        learns_labels=fixed is None,
    )

    evaluate: Evaluate = _Grid(probs, y, settings, fixed, seed, progress, plan.n_evaluations)
    base: NDArray[Any] = probs.argmax(axis=1)
    if multilabel:
        evaluate, base = _by_row(evaluate, n_columns), _label_matrix(base, n_columns)
    # The chains keep all cores busy; threads inside products would only wait for them.
    with one_blas_thread():
        return cross_validate(
            evaluate,
            base,
            truth,
            plan,
            settings,
            method="can",
            n_classes=n_columns,
            seed=seed,
            metric=judge,
        )


def _by_row(evaluate: Evaluate, n_labels: int) -> Evaluate:
    """An evaluation of n·m rows of two classes as one of n rows of m labels."""

    def entries(rows: Rows) -> Rows:
        each: Rows = rows[:, None] * n_labels + np.arange(n_labels)
        return each.reshape(-1)

    def evaluated(train: Rows, held: Rows) -> Decided:
        return _label_matrix(evaluate(entries(train), entries(held)), n_labels)

    return evaluated


def _label_matrix(decided: Decided, n_labels: int) -> NDArray[np.bool_]:
    """Classes (..., n·m) as labels (..., n, m)."""
    return np.asarray((decided == PRESENT).reshape(*decided.shape[:-1], -1, n_labels))


def grid_settings(grid: Mapping[str, tuple[Any, ...]], n_classes: int) -> list[CANOptions]:
    """The distinct points of a grid as checked options, the simplest first."""
    options = [
        CANOptions(**dict(zip(grid, point, strict=True))).check(n_classes)
        for point in product(*grid.values())
    ]
    if n_classes == 2:  # there is no other k
        options = [replace(each, top_k=2) for each in options]
    return sorted(dict.fromkeys(options), key=_complexity)


def label_prior(y: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Class frequencies of labels, (C,); with half a row more for each class if one has none."""
    counts = np.bincount(y, minlength=n_classes).astype(np.float64)
    if not counts.all():
        counts += PSEUDO_ROWS
    return np.asarray(counts / counts.sum())


def _complexity(options: CANOptions) -> tuple[Any, ...]:
    """Simple settings sort first."""
    width = math.inf if options.top_k == "max" else options.top_k
    return (
        options.iterations,
        options.smoothing,
        options.reference_sample != "all",
        abs(math.log(options.alpha)),
        options.alpha,
        -options.threshold,
        width,
    )


def _of_two(
    classes_of: Callable[[NDArray[Any]], NDArray[np.int64]], rows: NDArray[Any]
) -> NDArray[np.int64]:
    """Classes (d, k) of rows of two classes, which CAN leaves in the order of their probability.

    So all rows between two that agree at every depth agree with them, and few must be computed.
    """
    values, first, back = np.unique(rows[:, 0], return_index=True, return_inverse=True)
    known, cells = np.arange(0), [(0, len(values) - 1)]
    found = np.zeros((0, len(values)), np.int64)
    while cells:
        between = [np.linspace(*ends, KNOTS).astype(np.int64) for ends in cells]
        new = np.setdiff1d(np.concatenate(between), known)
        decided = classes_of(rows[first[new]])
        found = found if len(found) else np.zeros((len(decided), len(values)), np.int64)
        found[:, new] = decided
        known = np.union1d(known, new)
        turns = (found[:, known[1:]] != found[:, known[:-1]]).any(axis=0) & (np.diff(known) > 1)
        cells = [(int(known[at]), int(known[at + 1])) for at in np.flatnonzero(turns)]
    left = known[np.searchsorted(known, np.arange(len(values)), side="right") - 1]
    return found[:, left][:, back.reshape(-1)]


@dataclass(frozen=True)
class _Job:
    """One chain of iterations against one reference."""

    chain: CANOptions
    sample: Rows  # the reference
    places: Rows  # held-out rows to adjust
    depths: list[tuple[int, int]]  # settings, and the number of iterations of each


class _Grid:
    """Evaluates all settings on a split of the rows.

    Settings that differ only in depth are one chain of iterations. Entropies are computed once for
    each k, and a chain only once for all rules of ambiguity that select the same rows. Labels enter
    through the prior alone.
    """

    def __init__(
        self,
        probs: NDArray[Any],
        y: NDArray[np.int64],
        settings: list[CANOptions],
        prior: NDArray[np.float64] | None,
        seed: int,
        progress: Progress | None,
        n_evaluations: int,
    ) -> None:
        self.probs, self.y, self.prior, self.seed = probs, y, prior, seed
        self.decided = probs.argmax(axis=1)
        self.n_settings = len(settings)
        self.entropies: dict[TopK, NDArray[np.float64]] = {}
        #: Rule of ambiguity -> chain -> places and depths of its settings.
        self.chains: dict[tuple[TopK, float], dict[CANOptions, list[tuple[int, int]]]] = {}
        for place, options in enumerate(settings):
            assert options.top_k is not None
            rule = (options.top_k, options.threshold)
            if options.top_k not in self.entropies:
                self.entropies[options.top_k] = as_numpy(top_k_entropy(probs, options.top_k))
            # k and τ are in the rule; without them equal chains of two rules are equal.
            chain = replace(options, iterations=1, top_k=None, threshold=0.0)
            depths = self.chains.setdefault(rule, {}).setdefault(chain, [])
            depths.append((place, options.iterations))
        self.progress, self.n_evaluations, self._n_done = progress, n_evaluations, 0
        self.n_threads = available_cores()

    def __call__(self, train: Rows, held: Rows) -> Decided:
        decided = np.empty((self.n_settings, len(held)), np.int32)
        decided[:] = self.decided[held]
        n_classes = self.probs.shape[1]
        prior = label_prior(self.y[train], n_classes) if self.prior is None else self.prior
        jobs: dict[Any, _Job] = {}
        for (top_k, threshold), chains in self.chains.items():
            ambiguous = self.entropies[top_k] >= threshold
            confident, places = train[~ambiguous[train]], np.flatnonzero(ambiguous[held])
            samples = {"all": confident, "stratified": confident}
            if len(confident) and any(c.reference_sample == "stratified" for c in chains):
                sample = stratified_sample(self.probs[confident], self.seed)
                samples["stratified"] = confident[sample]
            for chain, depths in chains.items():
                sample = samples[chain.reference_sample]
                key = (chain.alpha, chain.smoothing, *map(bytes, (sample, places)))
                if len(places) and key in jobs:
                    jobs[key].depths.extend(depths)
                elif len(places):
                    jobs[key] = _Job(chain, sample, places, list(depths))
        # The arithmetic releases the interpreter's lock, so threads are enough for all cores.
        with ThreadPoolExecutor(self.n_threads) as pool:
            predicted = pool.map(lambda job: self._predict(job, held, prior), jobs.values())
            for done, (job, classes) in enumerate(zip(jobs.values(), predicted, strict=True)):
                for place, depth in job.depths:
                    decided[place, job.places] = classes[depth - 1]
                self._report(done / len(jobs))
        self._n_done += 1
        self._report(0.0)
        return decided

    def _predict(self, job: _Job, held: Rows, prior: NDArray[Any]) -> NDArray[np.int64]:
        """Predicted classes after each depth, shape (d, k)."""
        reference = Reference.build(
            self.probs[job.sample],
            prior,
            alpha=job.chain.alpha,
            iterations=max(depth for _, depth in job.depths),
            smoothing=job.chain.smoothing,
            weights=None,
            dtype=self.probs.dtype,
        )
        rows = self.probs[held[job.places]]

        def classes_of(some: NDArray[Any]) -> NDArray[np.int64]:
            return np.asarray(reference.adjust(some, all_depths=True).argmax(axis=2))

        return classes_of(rows) if rows.shape[1] > 2 else _of_two(classes_of, rows)

    def _report(self, part: float) -> None:
        if self.progress is not None:
            self.progress((self._n_done + part) / self.n_evaluations)
