"""Greedy selection of AutoGluon, and stacking of scikit-learn, beside the ensembles here."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ensemble
from benchmarks.peers.tasks import Floats, Ints, Task, saved_tasks

#: Probabilities of the pooled target, from members' tasks.
Method = Callable[[Sequence[Task]], Floats]


def _ours(make: Callable[[], ensemble.Ensemble]) -> Method:
    def run(tasks: Sequence[Task]) -> Floats:
        fitted = make().fit([t.fit_probs for t in tasks], tasks[0].fit_labels)
        return np.asarray(fitted.predict_proba([t.test_probs for t in tasks]))

    return run


def _autogluon(tasks: Sequence[Task]) -> Floats:
    from autogluon.core.metrics import log_loss
    from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection

    kind = "multiclass" if tasks[0].fit.shape[1] > 2 else "binary"
    model = EnsembleSelection(ensemble_size=100, problem_type=kind, metric=log_loss)
    model.fit([t.fit_probs for t in tasks], tasks[0].fit_labels)
    return np.asarray(model.predict_proba([t.test_probs for t in tasks]))


def _hillclimbers(tasks: Sequence[Task]) -> Floats:
    """Its columns are flattened probabilities, because it knows of one column a model only."""
    import hillclimbers
    import pandas as pd

    y, shape = tasks[0].fit_labels, tasks[0].fit.shape
    picked = np.arange(len(y)) * shape[1] + y

    def log_loss(_: object, flat: Any) -> float:
        return float(-np.log(np.maximum(flat.to_numpy()[picked], 1e-15)).mean())

    frames = [
        pd.DataFrame({t.name: probs.ravel() for t, probs in zip(tasks, sides, strict=True)})
        for sides in ([t.fit_probs for t in tasks], [t.test_probs for t in tasks])
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it draws a hill
        found = hillclimbers.climb_hill(
            train=pd.DataFrame({"label": np.zeros(y.size * shape[1])}),
            oof_pred_df=frames[0],
            test_pred_df=frames[1],
            target="label",
            objective="minimize",
            eval_metric=hillclimbers.partial(log_loss),
            plot_hill=False,
        )
    return np.asarray(found).reshape(-1, shape[1])


def _stacking(tasks: Sequence[Task]) -> Floats:
    """Logistic regression on log-probabilities, as a StackingClassifier would fit it."""
    from sklearn.linear_model import LogisticRegression

    def side_by_side(logs: Sequence[Floats]) -> Floats:
        return np.hstack([np.maximum(each, -12.0) for each in logs])

    model = LogisticRegression(C=0.1, max_iter=200)
    model.fit(side_by_side([t.fit for t in tasks]), tasks[0].fit_labels)
    out = np.full(tasks[0].test.shape, 1e-12)
    out[:, model.classes_] = model.predict_proba(side_by_side([t.test for t in tasks]))
    return out


METHODS: Mapping[str, Method] = {
    "mean": lambda tasks: np.mean([t.test_probs for t in tasks], axis=0),
    "AutoGluon EnsembleSelection": _autogluon,
    "hillclimbers": _hillclimbers,
    "postproc greedy": _ours(lambda: ensemble.GreedySelection(metric="log_loss")),
    "scikit-learn stacking": _stacking,
    "postproc weights": _ours(ensemble.LearnedLogPool),
    "postproc calibrated": _ours(ensemble.CalibratedVoting),
    "postproc blend": _ours(ensemble.DiscriminantPool),
}


def table(folders: Sequence[Path]) -> str:
    """Accuracy / log-loss / seconds of every method on every run directory."""
    lines = [
        "| method | " + " | ".join(folder.name for folder in folders) + " |",
        "| --- |" + " --- |" * len(folders),
    ]
    members = [list(saved_tasks(folder)) for folder in folders]
    for name, method in METHODS.items():
        try:
            _cell(method, members[0])  # a first call imports
            cells = [_cell(method, tasks) for tasks in members]
        except ImportError as error:
            print(f"{name} is left out: {error}\n")
            continue
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(method: Method, tasks: Sequence[Task]) -> str:
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probs = method(tasks)
    took = time.process_time() - start
    y: Ints = tasks[0].test_labels
    loss = -np.log(np.maximum(probs[np.arange(len(y)), y], 1e-15)).mean()
    return f"{100 * np.mean(probs.argmax(axis=1) == y):.2f} / {loss:.4f} / {took:.1f} s"
