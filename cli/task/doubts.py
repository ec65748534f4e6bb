"""Reasons to doubt that files and labels belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.task.load import Report
from ensemble.agreement import label_doubts, member_doubts
from ensemble.members import Members
from postproc.evaluation.agreement import chance_doubts, is_chance, unlabelled_doubts
from postproc.files.paths import resolve_path
from postproc.reports.report import AccuracyReport
from postproc.scores.codes import coded
from postproc.scores.multilabel import two_class
from postproc.scores.predictions import Predictions


def fit_doubts(members: Sequence[Predictions], y: Any, target: Members | None = None) -> list[str]:
    """Warn if labels y agree with members only by chance, or members differ more on the target."""
    if y.ndim == 2:
        members, y = [two_class(member) for member in members], y.reshape(-1)
        target = None if target is None else target.two_class()
    doubts = label_doubts(members, y, "the labels of the rows fitted to")
    if target is not None:
        doubts += member_doubts(Members(tuple(members)), target)
    return doubts


def same_rows(paths: Sequence[str], fit_paths: Sequence[str]) -> list[str]:
    """Warn if a file to fit to is also one that the result is for."""
    if {_place(path) for path in paths}.isdisjoint(_place(path) for path in fit_paths):
        return []
    said = (
        "PREDS are also fitted to: a gain on them does not carry over to other rows; fit to other "
        "labelled rows"
    )
    return [coded("same-rows", said)]


def _place(path: str) -> Path:
    try:
        return resolve_path(path).resolve()
    except (OSError, ValueError):  # a folder, or shards in one
        return Path(path).resolve()


def report_doubts(report: Report | None) -> list[str]:
    """Warn of models in a report that agree with the labels no better than by chance."""
    if not isinstance(report, AccuracyReport):
        return []
    poor = {
        model.name: model.metrics.accuracy
        for model in report.models
        if is_chance(model.confusions.z_of_order(), report.rows)
    }
    first = report.models[0]
    found = first.confusions.class_metrics()
    counts = (found.support, found.predicted, found.correct)
    return [
        *chance_doubts(poor, "the labels"),
        *unlabelled_doubts(first.name, report.classes, *counts),
    ]
