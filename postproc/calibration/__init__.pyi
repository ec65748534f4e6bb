from .matrix import ResidualMatrixScaling
from .pooled import PooledScaling
from .temperature import BiasCorrectedTemperatureScaling, TemperatureScaling

__all__ = [
    "BiasCorrectedTemperatureScaling",
    "PooledScaling",
    "ResidualMatrixScaling",
    "TemperatureScaling",
]
