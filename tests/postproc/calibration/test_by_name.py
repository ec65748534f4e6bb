"""Calibrators by name."""

import pytest

from postproc.calibration.by_name import METHODS, make_calibrator, name_of
from postproc.calibration.calibrator import Calibrator
from postproc.calibration.pooled import PooledScaling


@pytest.mark.parametrize("name", METHODS)
def test_names(name):
    made = make_calibrator(name, kind="probs", random_state=3)
    assert isinstance(made, Calibrator)
    assert type(made).__name__ == METHODS[name][1]
    assert (made.kind, made.random_state) == ("probs", 3)
    assert name_of(made) == name


def test_a_calibrator_without_a_name_is_called_by_its_class():
    class Mine(PooledScaling):
        pass

    assert name_of(Mine()) == "Mine"


def test_unknown_name():
    with pytest.raises(ValueError, match='`calibration` must be one of "temperature", "bcts"'):
        make_calibrator("platt")
