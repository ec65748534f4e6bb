"""Tuning of CAN: a whole grid on held-out rows, sharing what settings have in common."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
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
    Progress,
    Rows,
    TuningResult,
    check_grid,
    cross_validate,
    make_plan,
)
from postproc.evaluation.registry import label_metric
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.checks import check_labels
from postproc.scores.codes import coded
from postproc.scores.confidence import TopK, top_k_entropy
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind, check_scores, probabilities
from postproc.scores.prior import class_prior
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
    metric: str = "accuracy",
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
        Classes 0..C-1.
    grid : mapping of str to list, optional
        Values to try of `alpha`, `iterations`, `top_k`, `threshold`, `smoothing` and
        `reference_sample`; the others have the values of `GRID`.
    prior : array_like of shape (C,), labels, counts or "uniform", optional
        Class prior q. By default the class distribution of the labels of the training part, with
        half a row more for each class if one is missing.
    n_folds : int
        Number of outer and of inner folds, >= 3.
    n_repeats : int in 1..100
        How often the rows are split into folds.
    seed : int
        Seed of the folds and of samples.
    kind : {"logits", "probs"}, optional
        What the scores are; None detects it.
    metric : str
        What settings are judged by: a metric of predicted classes, such as accuracy, macro_f1,
        balanced_accuracy, mcc or kappa.
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
    values, found = check_scores(scores, kind=kind)
    n_rows, n_classes = values.shape
    y = check_labels(as_numpy(labels), n_classes=n_classes, n_rows=n_rows)
    settings = grid_settings(check_grid(grid, GRID), n_classes)
    judge = label_metric(metric)
    fixed = None if prior is None else class_prior(prior, n_classes=n_classes)
    bare = np.flatnonzero(np.bincount(y, minlength=n_classes) == 0)
    if fixed is None and n_rows and len(bare):
        msg = (
            f"{len(bare)} of {n_classes} classes have no label, class {bare[0]} first: they keep "
            "a small prior; pass the prior if it is known"
        )
        warnings.warn(coded("unseen-classes", msg), UserWarning, stacklevel=3)
    probs = as_numpy(probabilities(values, found))
    plan = make_plan(
        probs,
        y,
        n_folds=n_folds,
        n_repeats=n_repeats,
        seed=seed,
        learns_labels=fixed is None,
    )

    evaluate = _Grid(probs, y, settings, fixed, seed, progress, plan.n_evaluations)
    # The chains keep all cores busy; threads inside products would only wait for them.
    with one_blas_thread():
        return cross_validate(
            evaluate,
            probs.argmax(axis=1),
            y,
            plan,
            settings,
            method="can",
            n_classes=n_classes,
            seed=seed,
            metric=judge,
        )


def grid_settings(grid: Mapping[str, tuple[Any, ...]], n_classes: int) -> list[CANOptions]:
    """The distinct points of a grid as checked options, the simplest first."""
    options = (
        CANOptions(**dict(zip(grid, point, strict=True))).check(n_classes)
        for point in product(*grid.values())
    )
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
        depths = reference.adjust(self.probs[held[job.places]], all_depths=True)
        return np.asarray(depths.argmax(axis=2))

    def _report(self, part: float) -> None:
        if self.progress is not None:
            self.progress((self._n_done + part) / self.n_evaluations)
