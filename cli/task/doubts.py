"""What speaks against files and labels belonging together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ensemble.members import Members
    from postproc.reports.report import AccuracyReport
    from postproc.scores.predictions import Predictions


def fit_doubts(members: Sequence[Predictions], y: Any, target: Members | None = None) -> list[str]:
    """Say where labels agree with members by chance alone, or members with each other no longer.

    Parameters
    ----------
    members : Members or sequence of Predictions
        What is fitted to.
    y : array of shape (n,)
        Its labels, as columns of the members.
    target : Members, optional
        The same members on the rows that it is fitted for.
    """
    from ensemble.agreement import label_doubts, member_doubts
    from ensemble.members import Members

    doubts = label_doubts(members, y, "the labels of the rows fitted to")
    if target is not None and isinstance(members, Members):
        doubts += member_doubts(members, target)
    return doubts


def same_rows(paths: Sequence[str], fit_paths: Sequence[str]) -> list[str]:
    """Say where what is fitted to is also what the result is for."""
    from pathlib import Path

    from postproc.files.paths import resolve_path

    def place(path: str) -> Path:
        try:
            return resolve_path(path).resolve()
        except (OSError, ValueError):  # a folder, or shards in one
            return Path(path).resolve()

    if not {place(path) for path in paths}.isdisjoint(place(path) for path in fit_paths):
        return [
            "PREDS are rows fitted to: what is gained on them says nothing of other rows; fit to "
            "labelled rows of their own"
        ]
    return []


def report_doubts(report: AccuracyReport | None) -> list[str]:
    """Say which models of a report agree with the labels no better than by chance."""
    from postproc.evaluation.agreement import chance_doubts, is_chance

    if report is None:
        return []
    poor = {
        model.name: model.metrics.accuracy
        for model in report.models
        if is_chance(model.confusions.z_of_order(), report.rows)
    }
    return chance_doubts(poor, "the labels")
