"""From models to the numbers of a report: passes over their rows, estimates, tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.influence import Estimate, Spread, corrected
from postproc.evaluation.metrics import MeasureRows
from postproc.evaluation.moments import Moments, Units
from postproc.evaluation.paired import Comparison, holm
from postproc.evaluation.rank_counts import (
    KEPT_ROWS,
    ConfidenceRows,
    HeldInfluences,
    Ranking,
    RankRows,
    in_a_grid,
    rank,
)
from postproc.evaluation.registry import CALIBRATION_IN_THE_LARGE, METRICS, Metric, find_metric
from postproc.evaluation.reliability import ReliabilityBins
from postproc.evaluation.sums import Metrics
from postproc.reports.measure import Entry, Found, MeasuredRows, RankedRows, pass_over
from postproc.reports.numbers import MetricResult, ModelReport, PositiveShare
from postproc.scores.blocks import MapBlocks, Sizes, in_order
from postproc.scores.checks import fail
from postproc.scores.kinds import Kind

#: Metrics that every report shows, so that they are weighted where rows are.
SHOWN = ("accuracy", "macro_f1", "log_loss", "brier", "top5")


@dataclass(frozen=True)
class Aligned:
    """Scores of a model with columns in order; labels and units are in the order of its rows."""

    scores: Any
    kind: Kind
    name: str
    labels: Any  # array of shape (n,), or source of shape (n, 1)
    units: Units
    rows: NDArray[np.int64] | None  # position of each row in its file, if in another order
    labels_only: bool = False


class _Ranks(NamedTuple):
    """A ranking, where it was asked for, and the sums of its influences."""

    ranking: Ranking | None = None
    found: Found = Found(None)


@dataclass(frozen=True)
class _Judged:
    """The sums of one model."""

    found: Found
    metrics: Metrics
    ranks: _Ranks  # of classes, or of two for their curves
    trust: _Ranks  # of the confidence


def model_reports(
    models: Sequence[Aligned],
    labels: Any,
    asked: Sequence[Metric],
    units: Units,
    map_blocks: MapBlocks,
    sizes: Sizes,
) -> tuple[ModelReport, ...]:
    """Measure checked models, the baseline first, and compare each with it.

    `labels`, shape (n,) or a source of shape (n, 1), are in the order of the baseline's rows.
    """
    only = [model.name for model in models if model.labels_only]
    metrics = {metric.name: metric for metric in (METRICS["accuracy"], *asked)}
    if units.weights is not None:
        shown = map(find_metric, SHOWN)
        metrics = {m.name: m for m in shown if m.needs == "labels" or not only} | metrics
    for metric in metrics.values():
        if only and metric.needs != "labels" and metric.of_labels is None:
            rule = f"one of predicted classes, as {only[0]} has only these"
            mend = "if it holds scores, declare --logits or --probs (kinds=)"
            fail("metric", rule, metric.name, mend)
    of_rows, of_ranks, of_trust = (
        [metric for metric in metrics.values() if metric.needs == needs]
        for needs in ("probabilities", "scores", "confidence")
    )
    shape = models[0].scores.shape
    if shape[1] == 2 and not only:
        of_rows += CALIBRATION_IN_THE_LARGE
    counts = bool(of_ranks) and in_a_grid(shape) and shape[1] > 2 and shape[0] <= KEPT_ROWS
    measures = [
        MeasureRows(
            m.scores, m.labels, m.kind, m.name, sizes,
            tuple(map(_of_predicted, of_rows)) if m.labels_only else tuple(of_rows), counts,
        )
        for m in models
    ]  # fmt: skip
    found = pass_over(
        [Entry(MeasuredRows(part), m.rows) for part, m in zip(measures, models, strict=True)],
        labels, shape, units, map_blocks, sizes,
        tallies=not units.are_rows
        or any(m.needs == "labels" for m in metrics.values() if m.name != "accuracy"),
    )  # fmt: skip
    _check_labels(found[0], asked)
    ranks = trust = [_Ranks()] * len(models)
    if of_ranks or (shape[1] == 2 and not only):
        norms = [np.concatenate(each.norms) if each.norms else None for each in found]
        ranks = _rank_all(RankRows, models, of_ranks, labels, units, map_blocks, sizes, norms)
    if of_trust:
        none = [None] * len(models)
        trust = _rank_all(ConfidenceRows, models, of_trust, labels, units, map_blocks, sizes, none)
    metrics_of = [each.sums.result() for each in found if each.sums is not None]  # all have rows
    judged = list(map(_Judged, found, metrics_of, ranks, trust))
    comparisons = [
        None if each.found.switches is None else each.found.switches.compare(shape[0])
        for each in judged
    ]
    results: list[dict[str, MetricResult]] = [{} for _ in models]
    for metric in metrics.values():
        if metric.name == "accuracy" and units.are_rows:
            of_metric = _accuracies(judged, comparisons, metric)
        else:
            of_metric = _estimates(judged, metric, of_rows, of_ranks, of_trust)
        for own, result in zip(results, of_metric, strict=True):
            own[metric.name] = result
    return tuple(
        _report(model, each, comparison, own, _positive(each, of_rows))
        for model, each, comparison, own in zip(models, judged, comparisons, results, strict=True)
    )


def _of_predicted(metric: Metric) -> Metric:
    """A metric of the rows of predicted labels; only those with `of_labels` come here."""
    assert metric.of_labels is not None
    return replace(metric, function=metric.of_labels)


def _rank_all(
    make: type[RankRows],
    models: Sequence[Aligned],
    metrics: Sequence[Metric],
    labels: Any,
    units: Units,
    map_blocks: MapBlocks,
    sizes: Sizes,
    norms: Sequence[NDArray[Any] | None],
) -> list[_Ranks]:
    """Rank all models, and sum the influences on some metrics, the baseline first."""
    functions = [metric.function for metric in metrics]
    every = [
        rank(make(m.scores, m.labels, m.kind, sizes), functions, m.units, map_blocks, norms=known)
        for m, known in zip(models, norms, strict=True)
    ]
    if not metrics:
        return [_Ranks(ranking) for ranking in every]
    entries = [Entry(RankedRows(r), m.rows) for r, m in zip(every, models, strict=True)]
    larger = replace(sizes, block=4 * sizes.block)  # several rows for each cell
    held = all(isinstance(ranking.influences, HeldInfluences) for ranking in every)
    where = in_order if held else map_blocks  # what is held is sent nowhere
    found = pass_over(entries, labels, models[0].scores.shape, units, where, larger)
    return list(map(_Ranks, every, found))


def _report(
    model: Aligned,
    judged: _Judged,
    comparison: Comparison | None,
    results: Mapping[str, MetricResult],
    positive: PositiveShare | None,
) -> ModelReport:
    found, ranking = judged.found, judged.ranks.ranking
    assert found.sums is not None  # there is at least one row
    metrics = judged.metrics
    if model.labels_only:
        nothing = ReliabilityBins(np.array([metrics.rows]), np.full(1, np.nan), np.full(1, np.nan))
        unknown: dict[str, Any] = {
            "reliability": nothing,
            "positive": None,
            "risk": metrics.risk._replace(area=np.nan),
        }
        metrics = replace(metrics, top5=np.nan, log_loss=np.nan, brier=np.nan, **unknown)
    return ModelReport(
        name=model.name,
        metrics=metrics,
        comparison=comparison,
        results=results,
        confusions=found.sums.confusions,
        switches=found.switches,
        curves=None if ranking is None else ranking.curves,
        positive=positive,
        labels_only=model.labels_only,
    )


def _positive(judged: _Judged, of_rows: Sequence[Metric]) -> PositiveShare | None:
    """Calibration in the large, where it was measured."""
    own = judged.found.own
    if own is None or CALIBRATION_IN_THE_LARGE[0] not in of_rows:
        return None
    found = (own.spread(of_rows.index(m)).estimate(m.bounds) for m in CALIBRATION_IN_THE_LARGE)
    return PositiveShare(*found)


def _check_labels(baseline: Found, asked: Sequence[Metric]) -> None:
    """Refuse metrics that say nothing where all labels are of one class."""
    assert baseline.sums is not None  # there is at least one row
    if np.count_nonzero(baseline.sums.confusions.class_metrics().support) > 1:
        return
    for metric in asked:
        if metric.several:
            fail("labels", f"of two classes or more for {metric.name}", "one class")


def _accuracies(
    judged: Sequence[_Judged], comparisons: Sequence[Comparison | None], metric: Metric
) -> list[MetricResult]:
    """Accuracy with Wilson's and Tango's intervals and McNemar's test, all from counts."""
    corrected_p = iter(holm([each.p_value for each in comparisons if each is not None]))
    results = []
    for each, comparison in zip(judged, comparisons, strict=True):
        metrics = each.metrics
        if comparison is None:
            results.append(MetricResult(metric, metrics.accuracy, metrics.accuracy_ci))
            continue
        changed, n = comparison.fixed + comparison.broken, comparison.rows
        error = math.sqrt(max(changed / n - comparison.gain**2, 0) / n)
        results.append(
            MetricResult(
                metric, metrics.accuracy, metrics.accuracy_ci, comparison.gain, comparison.gain_ci,
                comparison.p_value, next(corrected_p), Estimate(0.0, error, n).detectable,
                is_same=changed == 0,
            )
        )  # fmt: skip
    return results


def _estimates(
    judged: Sequence[_Judged],
    metric: Metric,
    of_rows: Sequence[Metric],
    of_ranks: Sequence[Metric],
    of_trust: Sequence[Metric],
) -> list[MetricResult]:
    """A metric of all models with intervals and tests from the influence of each row."""
    sign = 1 if metric.higher else -1
    values, gains, slacks = [], [], []
    value: Spread | None
    for each in judged:
        base = None if each is judged[0] else judged[0]
        slack = 0.0
        if metric.needs == "labels":
            value, gain = _of_labels(each, base, metric)
        elif metric.needs == "probabilities":
            k = of_rows.index(metric)
            value, gain = _spread(each.found.own, k), _spread(each.found.gained, k)
        else:
            if metric.needs == "confidence":
                k, own, other = of_trust.index(metric), each.trust, base.trust if base else None
            else:
                k, own, other = of_ranks.index(metric), each.ranks, base.ranks if base else None
            value, gain = _of_ranks(own, other, k)
            assert own.ranking is not None  # rank metrics are asked for
            slack = own.ranking.slacks[k]
        assert value is not None
        values.append(value.estimate(metric.bounds))
        slacks.append(slack)
        if gain is not None:
            gains.append(gain._replace(value=sign * gain.value).estimate())
    paired = zip(values, [None, *corrected(gains)], slacks, strict=True)
    return [MetricResult.of(metric, *each) for each in paired]


def _spread(moments: Moments | None, k: int) -> Spread | None:
    return None if moments is None else moments.spread(k)


def _of_labels(each: _Judged, base: _Judged | None, metric: Metric) -> tuple[Spread, Spread | None]:
    own = each.found.labels
    assert own is not None  # metrics of labels are asked for
    value = own.spread(metric.function)
    if base is None or base.found.labels is None:
        return value, None
    return value, own.gain(metric.function, base.found.labels)


def _of_ranks(each: _Ranks, base: _Ranks | None, k: int) -> tuple[Spread, Spread | None]:
    """Values from counts of ranks, errors from the influences, whose mean is 0."""
    assert each.ranking is not None  # rank metrics are asked for
    own, gained = _spread(each.found.own, k), _spread(each.found.gained, k)
    assert own is not None
    value = own._replace(value=each.ranking.values[k])
    if base is None or base.ranking is None or gained is None:
        return value, None
    return value, gained._replace(value=value.value - base.ranking.values[k])
