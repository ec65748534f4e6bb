from .estimator import CAN
from .operation import alternating_normalization
from .reference import Reference
from .tuning import tune_can

__all__ = [
    "CAN",
    "Reference",
    "alternating_normalization",
    "tune_can",
]
