"""Values of saved models as JSON's own types and arrays, and back."""

from __future__ import annotations

import importlib
import inspect
import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.declared import check_declared
from postproc.files.json_arrays import decode_array, encode_array
from postproc.scores.checks import fail, fail_type

#: Modules of the classes that can be saved. Estimators are restored from their parameters and the
#: attributes that end in "_", dataclasses from their fields.
HOMES = {
    "Bagging": "ensemble.learned.stacking",
    "Blend": "ensemble.learned.blend",
    "CalibratedVoting": "ensemble.learned.calibrated",
    "DevilHeads": "ensemble.devil.heads",
    "DevilsAdvocate": "ensemble.devil.estimator",
    "DiscriminantPool": "ensemble.learned.discriminant_pool",
    "GreedySelection": "ensemble.learned.greedy",
    "GumbelSelection": "ensemble.learned.gumbel",
    "LabelEmbeddings": "ensemble.learned.label_embeddings",
    "LabelMaps": "postproc.calibration.labelwise",
    "LabelPool": "ensemble.learned.label_pool",
    "LearnedLogPool": "ensemble.learned.log_pool",
    "LinearHead": "ensemble.learned.heads",
    "Stacking": "ensemble.learned.stacking",
    "Voting": "ensemble.voting",
    "YTuning": "ensemble.learned.ytuning",
    # The pipeline of `auto`, calibrators, deciders, and their parts.
    "AffineMap": "postproc.calibration.affine",
    "AutoPostprocessor": "ensemble.auto.pipeline",
    "BetaCalibration": "postproc.calibration.binary",
    "BetaFeatures": "postproc.calibration.log_odds",
    "BinaryCalibration": "postproc.calibration.binary",
    "BiasCorrectedTemperatureScaling": "postproc.calibration.temperature",
    "Candidate": "ensemble.auto.combination",
    "ClassWeights": "postproc.decisions.thresholds",
    "ClassMoments": "postproc.shift.misfit",
    "ConformalSets": "postproc.decisions.sets",
    "DiscriminantPoolMap": "postproc.calibration.discriminant_pool",
    "KernelScores": "postproc.calibration.kernel",
    "LabelCandidate": "ensemble.auto.multilabel",
    "LabelShiftAdapter": "postproc.shift.adapter",
    "LabelThresholds": "postproc.decisions.label_thresholds",
    "LinearPoolMap": "postproc.calibration.binary",
    "LogOddsMap": "postproc.calibration.log_odds",
    "LinearScores": "postproc.calibration.discriminant_pool",
    "MatrixMap": "postproc.calibration.matrix",
    "MixedMap": "postproc.calibration.mixing",
    "MultilabelCalibration": "postproc.calibration.multilabel",
    "MultilabelPostprocessor": "ensemble.auto.multilabel",
    "MultilabelShiftAdapter": "postproc.shift.multilabel",
    "OverCalibrated": "ensemble.auto.combination",
    "PairedGain": "ensemble.auto.rehearsal",
    "Policy": "ensemble.auto.policy",
    "PooledMap": "postproc.calibration.pooled",
    "PooledScaling": "postproc.calibration.pooled",
    "PredictionMoments": "postproc.shift.evidence",
    "QuadraticFeatures": "postproc.calibration.log_odds",
    "QuadraticScaling": "postproc.calibration.binary",
    "Rehearsals": "ensemble.auto.rehearsal",
    "ResidualMatrixScaling": "postproc.calibration.matrix",
    "SelectiveClassifier": "postproc.decisions.abstention",
    "StructuredMap": "postproc.calibration.structured",
    "StructuredScaling": "postproc.calibration.structured",
    "TemperatureScaling": "postproc.calibration.temperature",
    "VennAbersCalibration": "postproc.calibration.venn_abers",
    "VennAbersMap": "postproc.calibration.venn_abers",
}

#: Names in saved models, of attributes that have other names.
SAVED_AS = {"class_names_": "classes_"}

#: Numbers of a model are smaller.
LARGEST = 1e100

Arrays = dict[str, NDArray[Any]]


class Encoder:
    """Turns values into JSON's own types and collects large arrays, by name."""

    def __init__(self, most_inline: int) -> None:
        self.most_inline = most_inline
        self.arrays: Arrays = {}

    def encode(self, value: Any, where: str) -> Any:
        """Encode a value; `where` is its name in messages and among the arrays."""
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, float | np.floating):
            number = float(value)
            return number if math.isfinite(number) else {"float": repr(number)}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, list | tuple):
            return [self.encode(item, f"{where}.{at}") for at, item in enumerate(value)]
        if isinstance(value, dict):
            return {"dict": self.encode(list(value.items()), where)}
        return self._object(value, where)

    def _array(self, array: NDArray[Any], where: str) -> dict[str, Any]:
        if array.dtype.kind not in "fiubU":
            fail_type(where, "an array of numbers or text", f"dtype {array.dtype}")
        if array.size > self.most_inline:
            self.arrays[where] = array
            return {"npz": where}
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            fail(where, "an array of finite numbers", "NaN or infinity")
        return encode_array(array)

    def _object(self, value: Any, where: str) -> dict[str, Any]:
        name = type(value).__name__
        if HOMES.get(name) != type(value).__module__:
            fail_type(where, f"one of {', '.join(HOMES)}", name)
        if is_dataclass(value):
            state = {field.name: getattr(value, field.name) for field in fields(value)}
            parameters: dict[str, Any] = {}
        else:
            parameters = value.get_params(deep=False)
            left_out, infinite = getattr(value, "unsaved", ()), getattr(value, "infinite", ())
            state = {
                key: item.tolist() if key in infinite else item
                for key, item in vars(value).items()
                if key.endswith("_") and key not in left_out
            }
        return {
            "type": name,
            "parameters": {k: self.encode(v, f"{where}.{k}") for k, v in parameters.items()},
            "state": {SAVED_AS.get(k, k): self.encode(v, f"{where}.{k}") for k, v in state.items()},
        }


def decode(value: Any, arrays: Arrays) -> Any:
    """The value that `Encoder` has encoded."""
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        if isinstance(value, int | float) and not abs(value) < LARGEST:
            fail("model", f"made of numbers below {LARGEST:g}", "NaN or a larger one")
        return value
    if "type" in value:
        return _decode_object(value, arrays)
    if "dict" in value:
        return {key: decode(item, arrays) for key, item in value["dict"]}
    if "float" in value:
        return float(value["float"])
    array = arrays[value["npz"]] if "npz" in value else decode_array(value)
    if array.dtype.kind not in "fiubU" or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
        fail("model", "made of numbers of 64 bits or fewer, and text", f"dtype {array.dtype}")
    if array.dtype.kind == "f" and not (np.abs(array) < LARGEST).all():
        fail("model", f"made of numbers below {LARGEST:g}", "NaN or larger ones")
    return array


def _decode_object(value: dict[str, Any], arrays: Arrays) -> Any:
    name = value["type"]
    if name not in HOMES:
        fail("type", f"one of {', '.join(HOMES)}", repr(name), "a later version may know it")
    kind: Any = getattr(importlib.import_module(HOMES[name]), name)
    known = inspect.signature(kind).parameters
    parameters = {
        key: decode(item, arrays)
        for key, item in value["parameters"].items()
        if key in known  # or an earlier version had it
    }
    names = {saved: name for name, saved in SAVED_AS.items()}
    state = {names.get(key, key): decode(item, arrays) for key, item in value["state"].items()}
    check_declared(kind, state)
    plain = is_dataclass(kind)  # in a variable, as mypy takes its kind for an instance
    model = kind(**state) if plain else kind(**parameters)
    for key, item in () if plain else state.items():
        if not key.endswith("_") or key.startswith("_"):
            fail("state", 'names that end in "_"', repr(key))
        infinite = key in getattr(kind, "infinite", ())
        setattr(model, key, np.asarray(item, dtype=np.float64) if infinite else item)
    if state and hasattr(model, "check_saved"):
        model.check_saved()
    return model
