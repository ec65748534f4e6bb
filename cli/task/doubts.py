"""Reasons to doubt that files and labels belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.task.load import Report
from ensemble.agreement import label_doubts, member_doubts
from ensemble.members import Members
from ensemble.saved import fitted_rows
from postproc.evaluation.agreement import (
    chance_doubts,
    is_chance,
    order_doubts,
    reversed_doubts,
    unlabelled_doubts,
)
from postproc.evaluation.alike import confidence_doubts
from postproc.reports.report import AccuracyReport
from postproc.scores.arrays import as_numpy
from postproc.scores.binary_labels import POSITIVE
from postproc.scores.codes import coded
from postproc.scores.multilabel import two_class
from postproc.scores.predictions import Predictions

#: Rows of which files are compared.
COMPARED = 1000


def fit_doubts(members: Sequence[Predictions], y: Any, target: Members | None = None) -> list[str]:
    """Warn if labels y agree with members only by chance, or members differ more on the target."""
    if y.ndim == 2:
        members, y = [two_class(member) for member in members], y.reshape(-1)
        target = None if target is None else target.two_class()
    doubts = label_doubts(members, y, "the labels of the rows fitted to")
    if target is not None:
        doubts += member_doubts(Members(tuple(members)), target)
    return doubts


#: Commands that write honest predictions of rows that they are fitted to.
CROSS_FITTING = "calibrate, ensemble and auto write honest predictions of such rows with --oof"


def unlike_doubts(fitted: Predictions, y: Any, target: Predictions) -> list[str]:
    """Warn if rows fitted to are not scored as the target is."""
    if y.ndim == 2:
        fitted, target, y = two_class(fitted), two_class(target), y.reshape(-1)
    return confidence_doubts(fitted, y, target)


def same_rows(
    target: Sequence[Predictions], fitted: Sequence[Predictions], mend: str = CROSS_FITTING
) -> list[str]:
    """Warn if rows that the result is for are also fitted to."""
    n_rows = target[0].n_rows
    return _fitted_too(max(map(_in_common, target, fitted), default=0), n_rows, mend)


def seen_rows(model: Path, target: Sequence[Predictions]) -> list[str]:
    """Warn if a saved model was fitted to the rows that it is applied to."""
    is_seen = not {digest_of(member) for member in target}.isdisjoint(fitted_rows(model))
    n_rows = target[0].n_rows
    return _fitted_too(n_rows if is_seen else 0, n_rows)


def _fitted_too(count: int, n_rows: int, mend: str = CROSS_FITTING) -> list[str]:
    if not count:
        return []
    which = "PREDS are" if count == n_rows else f"{count:,} of the {n_rows:,} rows of PREDS are"
    said = f"{which} also fitted to: a gain on them does not carry over to other rows; {mend}"
    return [coded("same-rows", said)]


def _in_common(target: Predictions, fitted: Predictions) -> int:
    """How many rows of a file are also in another, by their ids or places, and their scores."""
    if target.n_classes != fitted.n_classes:
        return 0
    if target.ids is not None and fitted.ids is not None:
        place = {name: row for row, name in enumerate(fitted.ids.tolist())}
        own = [row for row, name in enumerate(target.ids.tolist()) if name in place]
        other = [place[name] for name in target.ids[own].tolist()]
    else:
        own = other = list(range(target.n_rows if target.n_rows == fitted.n_rows else 0))
    one, two = _head(target, own), _head(fitted, other)
    return len(own) if np.array_equal(one, two) else 0


def digest_of(member: Predictions) -> str:
    """What tells rows of scores from others: their number and the first of them."""
    head = _head(member, range(member.n_rows))
    said = f"{member.n_rows} {member.n_classes} ".encode() + head.tobytes()
    return hashlib.sha256(said).hexdigest()[:16]


def _head(member: Predictions, rows: Sequence[int]) -> NDArray[np.float64]:
    """The scores of the first of some rows, as 64-bit floats."""
    first = np.asarray(rows[:COMPARED], dtype=np.int64)
    return np.asarray(as_numpy(member.scores[first]), dtype=np.float64)


def report_doubts(report: Report | None, mends: Mapping[str, str] | None = None) -> list[str]:
    """Warn of models in a report that agree with the labels no better than by chance.

    `mends` has what names the columns of models as scores of the other class.
    """
    if not isinstance(report, AccuracyReport):
        return []
    turned = {
        model.name: reversed_doubts(
            model.name,
            area.value,
            area.ci[1],
            report.classes[POSITIVE],
            (mends or {}).get(model.name),
        )
        for model in report.models
        if len(report.classes) == 2 and (area := model.results.get("auc"))
    }
    poor = {
        model.name: model.metrics.accuracy
        for model in report.models
        if not turned.get(model.name) and is_chance(model.confusions.z_of_order(), report.rows)
    }
    first = report.models[0]
    found = first.confusions.class_metrics()
    counts = (found.support, found.predicted, found.correct)
    return [
        *chance_doubts(poor, "the labels"),
        *unlabelled_doubts(first.name, report.classes, *counts),
        *chain(*turned.values()),
        *order_doubts(report.asked, report.classes),
    ]
