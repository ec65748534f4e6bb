from .blend import Blend
from .calibrated import CalibratedVoting
from .greedy import GreedySelection
from .greedy_tuning import tune_greedy
from .log_pool import LearnedLogPool
from .stacking import Bagging, Stacking

__all__ = [
    "Bagging",
    "Blend",
    "CalibratedVoting",
    "GreedySelection",
    "LearnedLogPool",
    "Stacking",
    "tune_greedy",
]
