"""Checks of what reports are made from: models, weights and groups of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail, fail_type
from postproc.scores.kinds import Kind
from postproc.scores.predictions import Predictions


def check_models(
    predictions: object,
    baseline: str | None,
    kinds: Kind | Mapping[str, Kind] | None,
    *,
    multilabel: bool = False,
) -> list[Predictions]:
    """The models of a report by name, the baseline first."""
    names = _check_names(predictions, baseline)
    given: Any = predictions  # a mapping, as the names have shown
    return [_check_model(name, given[name], kinds, names, multilabel) for name in names]


def check_weights(weights: Any, n_rows: int, name: str = "row_weights") -> NDArray[np.float64]:
    """Weights of rows, (n,): finite, >= 0, and not all 0."""
    array = np.asarray(weights)
    if array.shape != (n_rows,):
        fail(name, f"one number a row, shape ({n_rows},)", f"shape {array.shape}")
    if array.dtype.kind not in "iubf":
        fail_type(name, "numbers", f"dtype {array.dtype}")
    wide = array.astype(np.float64)
    bad = ~(np.isfinite(wide) & (wide >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        fail(f"{name}[{row}]", "a finite number >= 0", array[row].item())
    if not wide.any():
        fail(name, "above 0 in a row or more", "only zeros")
    return wide


def _check_names(predictions: object, baseline: str | None) -> list[str]:
    """Names of the models, the baseline's first."""
    if not isinstance(predictions, Mapping):
        rule = "a mapping of names to predictions"
        fail_type("predictions", rule, type(predictions).__name__)
    if not predictions:
        fail("predictions", "one model or more", "none")
    for name in predictions:
        if not isinstance(name, str):
            fail_type("predictions", "named by strings", repr(name))
    names = list(predictions)
    if baseline is None:
        return names
    if baseline not in names:
        fail("baseline", "one of " + ", ".join(map(repr, names)), repr(baseline))
    return [baseline, *(name for name in names if name != baseline)]


def _check_model(
    name: str,
    scores: Any,
    kinds: Kind | Mapping[str, Kind] | None,
    names: list[str],
    multilabel: bool,
) -> Predictions:
    """One model, named as in the report."""
    if isinstance(kinds, Mapping):
        for known in kinds:
            if known not in names:
                fail("kinds", "of " + ", ".join(map(repr, names)), repr(known))
        kind = kinds.get(name)
    else:
        kind = kinds
    if not isinstance(scores, Predictions):
        return Predictions.check(scores, kind=kind, name=name, multilabel=multilabel)
    if kind is not None and kind != scores.kind:
        fail("kinds", f"{scores.kind} for {name!r}, as its predictions are", repr(kind))
    if scores.multilabel != multilabel:
        other = "multilabel_report" if scores.multilabel else "accuracy_report"
        task = "multi-label" if multilabel else "of classes that exclude each other"
        fail(name, f"predictions {task}", f"a {scores.task} task", f"use {other}")
    return replace(scores, name=name)
