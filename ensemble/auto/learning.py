"""What the fit split teaches `auto`: fitted calibrators, and how they do in rehearsed shifts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from ensemble.auto.judge import Judge, Outputs
from ensemble.auto.policy import Policy
from ensemble.auto.rehearsal import rehearse
from postproc.calibration.affine import Floats, Ints, identity_map
from postproc.calibration.binary import BinaryCalibration
from postproc.calibration.calibrator import Calibrator
from postproc.calibration.pooled import PooledScaling
from postproc.calibration.temperature import TemperatureScaling
from postproc.evaluation.folds import canonical_order
from postproc.shift.evidence import PredictionMoments

#: Numbers of pseudo-rows per class that rehearsals choose from.
PSEUDO_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

#: Most rows of a simulated target.
REHEARSAL_ROWS = 2000


def learn_policy(
    logs: Floats,
    y: Ints,
    judge: Judge,
    baseline: Outputs | None = None,
    *,
    min_z: float,
    alpha: float,
    pseudo_rows: Sequence[float],
    n_rehearsals: int,
    n_folds: int,
    seed: int,
) -> Policy:
    """Fit calibrators and rehearse shifts on log-probabilities of the fit split, (m, C).

    These are out of fold, if a combination was fitted on it. Gains are measured against the
    outputs `baseline`, by default those of `logs`; options are those of `AutoPostprocessor`.
    """
    shared: dict[str, Any] = {"kind": "logits", "n_folds": n_folds, "random_state": seed}
    saved = before = judge.log_outputs(logs)
    temperature = TemperatureScaling(**shared).fit(logs, y)
    plain = None
    if judge.reads_probabilities:
        after = judge.log_outputs(temperature.out_of_fold_)
        if judge.gain(after, saved, y).is_credible(min_z):
            before = after
        else:
            plain = identity_map(logs.shape[1])
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*(no row in the fit split|exactly 0)"
        )  # warned of once, above
        pool: Calibrator = PooledScaling(base="temperature", bias_ridge=1.0, **shared).fit(logs, y)
        if judge.reads_probabilities and logs.shape[1] == 2:
            binary = BinaryCalibration(**shared).fit(logs, y)
            pool = min(pool, binary, key=lambda each: each.held_out_log_loss_)
    calibrated = judge.log_outputs(pool.out_of_fold_)
    picked = np.arange(len(y)), y
    better = pool.out_of_fold_[picked] - temperature.out_of_fold_[picked]
    # Adaptation depends on good probabilities, so log-loss chooses those that it starts from.
    error = better.std() / math.sqrt(len(y))
    pooled = bool(better.mean() > NormalDist().inv_cdf(1.0 - alpha) * error)
    held_out = np.exp((pool if pooled else temperature).out_of_fold_)
    tempered = np.exp(temperature.out_of_fold_)
    rows, classes = canonical_order(logs, y, seed)
    rank = np.empty(len(classes), dtype=np.int64)
    rank[classes] = np.arange(len(classes))

    def reordered(outputs: Outputs) -> Outputs:
        return outputs[rows][:, classes] if judge.reads_probabilities else rank[outputs[rows]]

    # Draws are made in a canonical order, so that the order of rows and classes does not matter.
    rehearsals = rehearse(
        np.ascontiguousarray(held_out[rows][:, classes]),
        np.ascontiguousarray(tempered[rows][:, classes]),
        reordered(calibrated),
        reordered(before),
        rank[y[rows]],
        judged=replace(judge, classes=classes).against,
        widest=judge.widest,
        candidates=pseudo_rows,
        n_rehearsals=n_rehearsals,
        max_rows=REHEARSAL_ROWS,
        seed=seed,
    )
    gain = judge.gain(calibrated, before, y)
    missed = rehearsals.unnoticed(alpha)
    return Policy(
        temperature.model_,
        pool.model_,
        pooled,
        gain.is_credible(min_z) and (missed is None or missed.is_credible(min_z)),
        gain,
        held_out,
        np.stack([before, calibrated]),
        saved if baseline is None else baseline,
        y,
        PredictionMoments.of(tempered),
        rehearsals,
        min_z,
        alpha,
        judge.metric.name,
        plain,
    )
