"""From scores to log-probabilities, through fitted maps, and back to the type of the scores."""

from __future__ import annotations

from typing import Any

import array_api_compat as api
import numpy as np
from sklearn.utils.validation import check_is_fitted

from postproc.calibration.affine import Floats
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.binary import like_given
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks
from postproc.scores.checks import fail
from postproc.scores.kinds import Kind, check_scores, log_probabilities


def as_logs(scores: Array, kind: Kind) -> Floats:
    """Log-probabilities of checked scores, computed in float64."""
    values = as_numpy(scores)
    out = np.empty(values.shape)
    for rows in row_blocks(*out.shape, block_bytes=DEFAULT_SIZES.cached):
        out[rows] = log_probabilities(values[rows].astype(np.float64), kind)
    return out


def apply_map(model: Any, scores: Array, kind: Kind) -> Floats:
    """Calibrated log-probabilities of checked scores (n, C), computed block by block."""
    out = np.empty(tuple(scores.shape))
    for rows in row_blocks(*out.shape):
        out[rows] = as_numpy(map_rows(model, scores[rows, :], kind))
    return out


def map_rows(model: Any, scores: Array, kind: Kind) -> Array:
    """Calibrated log-probabilities of a block of checked scores in float64, on its device."""
    xp = api.array_namespace(scores)
    return model(log_probabilities(xp.astype(scores, xp.float64), kind))


def like_scores(values: Floats, scores: Array) -> Array:
    """Convert to library, device and form of the scores; float32 if they are 32 bits or fewer."""
    values = like_given(values, scores)
    if not api.is_array_api_obj(scores):
        return values
    return as_type_of(values, scores)


def as_type_of(values: Any, scores: Array) -> Array:
    """Convert to library and device of the scores; float32 if they are 32 bits or fewer."""
    xp = api.array_namespace(scores)
    narrow = xp.isdtype(scores.dtype, "real floating") and xp.finfo(scores.dtype).bits <= 32
    dtype = xp.float32 if narrow else xp.float64
    return xp.asarray(values, dtype=dtype, device=api.device(scores))


def check_like_fitted(estimator: Any, scores: Array, *, multilabel: bool = False) -> Array:
    """Checked scores (n, C), which must have the kind and columns that `fit` has seen."""
    check_is_fitted(estimator, ["kind_", "model_"])
    checked, _ = check_scores(scores, kind=estimator.kind_, multilabel=multilabel)
    if checked.shape[1] != estimator.n_features_in_:
        wanted = f"an array of {estimator.n_features_in_} columns like those fitted"
        fail("scores", wanted, f"{checked.shape[1]} columns")
    return checked
