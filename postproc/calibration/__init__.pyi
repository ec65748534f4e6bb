from .binary import BetaCalibration, BinaryCalibration, QuadraticScaling
from .matrix import ResidualMatrixScaling
from .pooled import PooledScaling
from .structured import StructuredScaling
from .temperature import BiasCorrectedTemperatureScaling, TemperatureScaling
from .venn_abers import VennAbersCalibration

__all__ = [
    "BetaCalibration",
    "BiasCorrectedTemperatureScaling",
    "BinaryCalibration",
    "PooledScaling",
    "QuadraticScaling",
    "ResidualMatrixScaling",
    "StructuredScaling",
    "TemperatureScaling",
    "VennAbersCalibration",
]
