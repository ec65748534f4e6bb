"""Calibrators by the names that options and tables call them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postproc.calibration.temperature import Calibrator

#: For each name the module and the class; modules are loaded when they are needed.
METHODS: Mapping[str, tuple[str, str]] = {
    "temperature": ("postproc.calibration.temperature", "TemperatureScaling"),
    "bcts": ("postproc.calibration.temperature", "BiasCorrectedTemperatureScaling"),
    "matrix": ("postproc.calibration.matrix", "ResidualMatrixScaling"),
}


def make_calibrator(name: str, **options: Any) -> Calibrator:
    """A calibrator that is not fitted yet.

    Parameters
    ----------
    name : str
        One of METHODS.
    **options
        What its class takes.

    Raises
    ------
    ValueError
        If there is no calibrator of that name.

    Examples
    --------
    >>> make_calibrator("bcts", n_folds=3)
    BiasCorrectedTemperatureScaling(n_folds=3)
    """
    from postproc.scores.checks import check_choice

    module, kind = METHODS[check_choice(name, "calibration", METHODS)]
    made: Calibrator = getattr(import_module(module), kind)(**options)
    return made


def name_of(calibrator: Calibrator) -> str:
    """The name of METHODS that a calibrator is called by; that of its class where it has none.

    Examples
    --------
    >>> name_of(make_calibrator("bcts"))
    'bcts'
    """
    kind = type(calibrator)
    names = {home: name for name, home in METHODS.items()}
    return names.get((kind.__module__, kind.__name__), kind.__name__)
