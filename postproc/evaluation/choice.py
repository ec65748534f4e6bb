"""Choice of hyperparameters, including "do nothing", by nested cross-validation.

Every method is tuned in the same way. Each row of the fit split is held out once per repeat, and
each setting predicts it. The gain of a setting is the share of rows it fixed less the share it
broke or, for another metric, the mean of what each row adds to the gain to first order. `choose`
picks a setting from these differences. The reported gain is that of the whole procedure, on outer
folds whose labels took no part in the choice. Rows whose labels do not exclude each other are right
if all their labels are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.folds import label_folds, stratified_folds
from postproc.evaluation.influence import Estimate, spread_of
from postproc.evaluation.label_metrics import Measured
from postproc.evaluation.paired import Comparison
from postproc.evaluation.registry import METRICS, Metric, TaskName, find_metric
from postproc.scores.checks import check_count, fail

Rows = NDArray[np.int64]
#: Classes (n,), or probabilities (n, C); of m labels (n, m): booleans, or probabilities.
Decided = NDArray[Any]
Progress = Callable[[float], None]

#: Fewest folds: one is the outer fold, one is held out, and one must be left for training.
FEWEST_FOLDS = 3

#: Most repeats; differences are summed in 8 bits.
MOST_REPEATS = 100


class Evaluate(Protocol):
    """What each setting makes of held-out rows after a fit on the training rows."""

    def __call__(self, train: Rows, held: Rows) -> Decided:
        """Classes (settings, held rows), or `Decided` of more axes.

        Labels of held-out rows have no part in them.
        """


@dataclass(frozen=True)
class Setting:
    """One point of the grid and its effect on held-out rows."""

    options: Any  # the hyperparameters
    gain: float  # mean gain over the rows of the fit split, as a fraction
    standard_error: float  # of that mean, with repeats of a row averaged first

    def to_dict(self) -> dict[str, Any]:
        """Return numbers and words for JSON."""
        return {
            "options": options_to_dict(self.options),
            "gain": self.gain,
            "standard_error": self.standard_error,
        }


@dataclass(frozen=True)
class TuningResult:
    """The chosen hyperparameters, the grid, and the expected gain.

    Attributes
    ----------
    method : str
        The tuned method.
    options : object or None
        The chosen hyperparameters; None if doing nothing is best.
    settings : tuple of Setting
        The whole grid, the simplest settings first.
    candidate : int or None
        Index in `settings` of the choice of the one-standard-error rule; None for doing nothing. It
        is adopted if the interval of the nested gain lies above zero.
    fold_candidates : tuple of (int or None)
        Choice of the rule without each outer fold, one repeat after another; shows its stability.
    rows, classes : int
        Size of the fit split; of multi-label rows the number of labels.
    accuracy : float
        Accuracy of doing nothing; of multi-label rows the share whose labels are all right.
    nested : Comparison
        Rows that the procedure fixed and broke on outer folds. Counts are averaged over repeats, so
        the interval is that of one repeat.
    n_folds, n_repeats, seed : int
        The folds.
    metric : str
        The metric that settings are judged by.
    judged : Estimate or None
        The nested gain in a metric other than accuracy, averaged over repeats.
    multilabel : bool
        Whether rows have labels that do not exclude each other.
    """

    method: str
    options: Any
    settings: tuple[Setting, ...]
    candidate: int | None
    fold_candidates: tuple[int | None, ...]
    rows: int
    classes: int
    accuracy: float
    nested: Comparison
    n_folds: int
    n_repeats: int
    seed: int
    metric: str = "accuracy"
    judged: Estimate | None = None
    multilabel: bool = False

    @property
    def nested_gain(self) -> float:
        """Gain of the whole procedure on outer folds, as a fraction."""
        return self.nested.gain if self.judged is None else self.judged.value

    @property
    def nested_gain_ci(self) -> tuple[float, float]:
        """The 95 % interval of the nested gain."""
        return self.nested.gain_ci if self.judged is None else self.judged.interval

    @property
    def task(self) -> TaskName:
        """What the columns are: classes that exclude each other, two of them, or labels."""
        if self.multilabel:
            return "multilabel"
        return "binary" if self.classes == 2 else "multiclass"

    @property
    def reason(self) -> str:
        """One sentence on the choice."""
        limits = self.nested_gain_ci
        unit = " points" if find_metric(self.metric).is_share else f" in {self.metric}"
        within = " to ".join(map(self.gain_text, limits))
        gain = f"{self.gain_text(self.nested_gain)}{unit} ({within})"
        if self.candidate is None:
            return "no setting gains more than one standard error over doing nothing"
        if self.options is None:
            return f"the gain on outer folds, {gain}, is not clearly above zero"
        return f"the gain on outer folds, {gain}, is above zero"

    def gain_text(self, gain: float) -> str:
        """A gain: in points, or as it is where the metric is no share."""
        is_share = find_metric(self.metric).is_share
        return f"{100 * gain:+z.2f}" if is_share else f"{gain:+z.4f}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and words for JSON; gains are fractions."""
        candidate = None if self.candidate is None else self.settings[self.candidate]
        return {
            "method": self.method,
            "options": None if self.options is None else options_to_dict(self.options),
            "reason": self.reason,
            "task": self.task,
            "rows": self.rows,
            "classes": self.classes,
            "accuracy": self.accuracy,
            "metric": self.metric,
            "nested_gain": self.nested_gain,
            "nested_gain_ci": list(self.nested_gain_ci),
            "nested_fixed": self.nested.fixed,
            "nested_broken": self.nested.broken,
            "candidate": None if candidate is None else candidate.to_dict(),
            "fold_candidates": list(self.fold_candidates),
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "seed": self.seed,
            "settings": [setting.to_dict() for setting in self.settings],
        }


@dataclass(frozen=True)
class Plan:
    """Folds of a cross-validation, and whether they are nested in pairs."""

    folds: NDArray[np.int64]  # (n_repeats, n), fold of each row in each repeat
    n_folds: int
    #: Whether a fit depends on the labels of the training rows. If not, labels of the outer fold
    #: enter no inner evaluation, and one evaluation serves as inner and outer.
    learns_labels: bool

    @property
    def n_evaluations(self) -> int:
        """Number of evaluations of the grid."""
        pairs = math.comb(self.n_folds, 2) if self.learns_labels else 0
        return len(self.folds) * (self.n_folds + pairs)


def make_plan(
    features: NDArray[Any],
    labels: NDArray[Any],
    *,
    n_folds: int,
    n_repeats: int,
    seed: int,
    learns_labels: bool,
) -> Plan:
    """Assign rows to folds that do not depend on the order of the rows, stratified by class.

    Labels are classes (n,), or zeros and ones (n, m).
    """
    n_folds = check_count(n_folds, "n_folds", low=FEWEST_FOLDS)
    n_repeats = check_count(n_repeats, "n_repeats", low=1, high=MOST_REPEATS)
    seed = check_count(seed, "seed", low=0)
    if len(labels) < n_folds:
        fail("labels", f"as many as folds ({n_folds}) or more", f"{len(labels)} rows")
    deal = stratified_folds if labels.ndim == 1 else label_folds
    folds = [deal(features, labels, n_folds, seed + r) for r in range(n_repeats)]
    return Plan(np.stack(folds), n_folds, learns_labels)


def cross_validate(
    evaluate: Evaluate,
    base: Decided,
    labels: NDArray[Any],
    plan: Plan,
    settings: list[Any],
    *,
    method: str,
    n_classes: int,
    seed: int,
    metric: Metric = METRICS["accuracy"],
) -> TuningResult:
    """Evaluate a grid, the simplest settings first, and choose from it by a metric.

    `evaluate` is called with the numbers of training and held-out rows; `base` is what doing
    nothing decides: classes (n,), or probabilities where the metric needs more than these. Labels
    are classes (n,), or zeros and ones (n, m). For the outer fold o, the inner evaluation of fold j
    trains on all other folds. It also serves the outer fold j with o held out, so each pair of
    folds is evaluated once.
    """
    gains_of = partial(_gains, metric, labels, base, n_classes)
    n_rows, everyone, n_repeats = len(labels), np.arange(len(labels)), len(plan.folds)
    total: Any = 0
    nested = []
    candidates: list[int | None] = []
    for folds in plan.folds:
        members = [np.flatnonzero(folds == fold) for fold in range(plan.n_folds)]
        kind = np.min_scalar_type(n_classes) if base.dtype.kind == "i" else base.dtype
        after = np.empty((len(settings), *base.shape), kind)
        for fold, held in enumerate(members):
            after[:, held] = evaluate(np.flatnonzero(folds != fold), held)
        inner = [after] * plan.n_folds
        if plan.learns_labels:
            inner = [np.empty_like(after) for _ in members]
            for a, b in combinations(range(plan.n_folds), 2):
                train = np.flatnonzero((folds != a) & (folds != b))
                both = evaluate(train, np.concatenate([members[a], members[b]]))
                inner[b][:, members[a]] = both[:, : len(members[a])]
                inner[a][:, members[b]] = both[:, len(members[a]) :]
        total += gains_of(after, everyone)
        own = np.array(base)
        for fold, held in enumerate(members):
            others = np.flatnonzero(folds != fold)
            chosen = choose(gains_of(inner[fold][:, others], others))
            candidates.append(chosen)
            if chosen is not None:
                own[held] = after[chosen, held]
        nested.append(own)
    was_right, is_right = (_right(each, labels) for each in (base, np.stack(nested)))
    fixed, broken = np.sum(is_right & ~was_right), np.sum(~is_right & was_right)
    counts = Comparison(n_rows, round(fixed / n_repeats), round(broken / n_repeats))
    candidate = choose(total)
    gains, errors = _mean_and_error(total / n_repeats)
    judged = None
    if metric.name != "accuracy":
        of_rows = gains_of(np.stack(nested), everyone).mean(axis=0)
        gain = float(of_rows.mean())
        judged = spread_of(gain, of_rows - gain).estimate()
    low = counts.gain_ci[0] if judged is None else judged.interval[0]
    return TuningResult(
        method=method,
        options=settings[candidate] if candidate is not None and low > 0 else None,
        settings=tuple(map(Setting, settings, gains.tolist(), errors.tolist())),
        candidate=candidate,
        fold_candidates=tuple(candidates),
        rows=n_rows,
        classes=n_classes,
        accuracy=float(was_right.mean()),
        nested=counts,
        n_folds=plan.n_folds,
        n_repeats=n_repeats,
        seed=seed,
        metric=metric.name,
        judged=judged,
        multilabel=labels.ndim == 2,
    )


def _right(decided: Decided, labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether rows are right, of several labels all of them; (..., n) of decisions (..., n)."""
    if decided.dtype.kind == "f":
        decided = decided.argmax(axis=-1) if labels.ndim == 1 else decided >= 0.5
    right = decided == labels
    return np.asarray(right if labels.ndim == 1 else right.all(axis=-1))


def _gains(
    metric: Metric, labels: NDArray[Any], base: Decided, n_classes: int, new: Decided, rows: Rows
) -> NDArray[Any]:
    """What each row adds to the gain of S settings over the base, to first order; (S, k)."""
    y, old = labels[rows], base[rows]
    if metric.name == "accuracy":
        return np.asarray(_right(new, y).view(np.int8) - _right(old, y).view(np.int8))

    def measure(each: Decided) -> Measured:
        if metric.needs != "labels":
            return metric.measure(y, each)
        return metric.measure_decided(y, each, n_classes)

    sign, before = (1 if metric.higher else -1), measure(old)
    lines = []
    for each in new:
        found = measure(each)
        moved = found.influence - before.influence
        lines.append(sign * (found.value - before.value + moved))
    return np.nan_to_num(np.stack(lines), nan=-1.0)  # a gain that is not defined is the worst


def choose(differences: NDArray[Any]) -> int | None:
    """Choose a setting by the one-standard-error rule; None for doing nothing.

    The simplest setting is chosen whose mean gain is within one standard error of the best. The
    error is that of the paired difference of the two, row by row, so settings that agree on nearly
    all rows are compared precisely. Doing nothing has gain 0 and is the simplest. `differences`,
    shape (S, n), the simplest setting first, are 1 for fixed rows, -1 for broken ones, else 0; or
    sums of that over repeats.
    """
    whole = differences.dtype.kind == "i"
    best = int(np.argmax(differences.sum(axis=1, dtype=np.int64 if whole else np.float64)))
    if _within_one_error(differences[best : best + 1])[0]:
        return None
    ahead = differences[best].astype(np.int16) if whole else differences[best]
    return int(np.argmax(_within_one_error(ahead - differences)))


def _within_one_error(differences: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether the mean of each line is at most its standard error; of integers without rounding."""
    # For n numbers x with sum b the mean is b / n and the squared error is
    # (Σx² / n - b² / n²) / (n - 1), so the rule is b <= 0 or b² <= Σx².
    dtype = np.int64 if differences.dtype.kind == "i" else np.float64
    sums = differences.sum(axis=1, dtype=dtype)
    squares = np.einsum("ij,ij->i", differences, differences, dtype=dtype)
    return np.asarray((sums <= 0) | (sums**2 <= squares))


def options_to_dict(options: Any) -> dict[str, Any]:
    """Hyperparameters by name."""
    return asdict(options) if is_dataclass(options) else dict(options)  # type: ignore[arg-type]


def check_grid(
    grid: Mapping[str, Any] | None, default: Mapping[str, tuple[Any, ...]]
) -> dict[str, tuple[Any, ...]]:
    """The default grid, with the given parameters in place of its own."""
    result = dict(default)
    for name, values in (grid or {}).items():
        if name not in default:
            fail("grid", f"of the parameters {', '.join(default)}", repr(name))
        if isinstance(values, str) or not hasattr(values, "__len__"):
            fail(f"grid[{name!r}]", "a list of values", repr(values))
        if len(values) == 0:
            fail(f"grid[{name!r}]", "one value or more", "none")
        result[name] = tuple(dict.fromkeys(values))
    return result


def _mean_and_error(differences: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of each line and its standard error."""
    mean = differences.mean(axis=1, dtype=np.float64)
    squares = np.einsum("ij,ij->i", differences, differences, dtype=np.float64)
    variance = np.maximum(squares / differences.shape[1] - mean**2, 0.0)
    return mean, np.sqrt(variance / max(1, differences.shape[1] - 1))
