"""Calibrators by the names that options and tables use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postproc.calibration.calibrator import Calibrator

#: Module and class of each name; modules are loaded when needed.
METHODS: Mapping[str, tuple[str, str]] = {
    "temperature": ("postproc.calibration.temperature", "TemperatureScaling"),
    "bcts": ("postproc.calibration.temperature", "BiasCorrectedTemperatureScaling"),
    "matrix": ("postproc.calibration.matrix", "ResidualMatrixScaling"),
    "structured": ("postproc.calibration.structured", "StructuredScaling"),
    "binary": ("postproc.calibration.binary", "BinaryCalibration"),
    "beta": ("postproc.calibration.binary", "BetaCalibration"),
    "quadratic": ("postproc.calibration.binary", "QuadraticScaling"),
    "venn-abers": ("postproc.calibration.venn_abers", "VennAbersCalibration"),
    "pooled": ("postproc.calibration.pooled", "PooledScaling"),
}


def default_method(n_classes: int) -> str:
    """The name of the calibrator that is used where none is asked for."""
    return "binary" if n_classes == 2 else "pooled"


def make_calibrator(name: str, **options: Any) -> Calibrator:
    """An unfitted calibrator of METHODS, with the options of its class."""
    from postproc.scores.checks import check_choice

    module, kind = METHODS[check_choice(name, "calibration", METHODS)]
    made: Calibrator = getattr(import_module(module), kind)(**options)
    return made


def name_of(calibrator: Calibrator) -> str:
    """The name of a calibrator in METHODS, or else that of its class."""
    kind = type(calibrator)
    names = {home: name for name, home in METHODS.items()}
    return names.get((kind.__module__, kind.__name__), kind.__name__)
