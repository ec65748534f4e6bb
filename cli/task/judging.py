"""What predictions are judged by: metrics, groups and weights of rows, loaded from files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.options import Judging
from cli.task.load import reading_notes
from cli.task.runner import Runner
from postproc.evaluation.registry import Metric, cost_metric, find_metric
from postproc.files.costs import load_costs
from postproc.files.reading import Reading
from postproc.files.row_values import load_row_values, load_row_weights
from postproc.reports.checks import check_weights
from postproc.scores.checks import check_groups
from postproc.scores.predictions import Predictions


def judging_of(
    judging: Judging, members: Sequence[Predictions], classes: Sequence[str] | None, runner: Runner
) -> dict[str, Any]:
    """Arguments of `accuracy_report`; values of rows are in the order of the labels."""
    n_rows = members[0].n_rows
    named = next((member for member in members if member.ids is not None), members[0])
    rows: dict[str, Any] = {
        "n_rows": n_rows,
        "ids": named.ids,
        "predicted": named.predicted,
        "reading": Reading(id_column=runner.inputs.id_column),
    }
    found: dict[str, Any] = {}
    if judging.metric is not None:
        found["metrics"] = [
            metric_of(name, members[0].n_classes, classes) for name in judging.metric
        ]
    with reading_notes(quiet=runner.running.quiet):
        if judging.groups is not None:
            values, name = load_row_values(judging.groups, **rows)
            found["groups"] = check_groups(values, n_rows, name)
        if judging.row_weights is not None:
            values, name = load_row_weights(judging.row_weights, **rows)
            found["row_weights"] = check_weights(values, n_rows, name)
    return found


def groups_of(path: str, own: Predictions, runner: Runner) -> NDArray[np.int64]:
    """Groups of the rows of predictions as numbers, (n,), from a file or a column of one."""
    with reading_notes(quiet=runner.running.quiet):
        values, name = load_row_values(
            path,
            n_rows=own.n_rows,
            ids=own.ids,
            predicted=own.predicted,
            reading=Reading(id_column=runner.inputs.id_column),
        )
    return check_groups(values, own.n_rows, name)


def only_ranks(judging: Judging) -> bool:
    """Whether all metrics asked for depend on the order of the scores alone."""
    names = judging.metric or ()
    ranks = [not n.startswith("cost:") and find_metric(n).needs == "scores" for n in names]
    return bool(ranks) and all(ranks)


def metric_of(name: str, n_classes: int, classes: Sequence[str] | None) -> Metric:
    """The metric of a name that `MetricName` has passed."""
    if not name.startswith("cost:"):
        return find_metric(name)
    table = load_costs(name.removeprefix("cost:"), n_classes=n_classes, classes=classes)
    return cost_metric(table, name=name)
