from .estimator import CAN
from .loop import alternating_normalization_loop
from .operation import alternating_normalization
from .reference import Reference
from .tuning import tune_can

__all__ = [
    "CAN",
    "Reference",
    "alternating_normalization",
    "alternating_normalization_loop",
    "tune_can",
]
