from .matrix import ResidualMatrixScaling as ResidualMatrixScaling
from .pooled import PooledScaling as PooledScaling
from .structured import StructuredScaling as StructuredScaling
from .temperature import BiasCorrectedTemperatureScaling as BiasCorrectedTemperatureScaling
from .temperature import TemperatureScaling as TemperatureScaling
