from .matrix import ResidualMatrixScaling
from .pooled import PooledScaling
from .structured import StructuredScaling
from .temperature import BiasCorrectedTemperatureScaling, TemperatureScaling

__all__ = [
    "BiasCorrectedTemperatureScaling",
    "PooledScaling",
    "ResidualMatrixScaling",
    "StructuredScaling",
    "TemperatureScaling",
]
