from .blend import Blend
from .calibrated import CalibratedVoting
from .discriminant_pool import DiscriminantPool
from .greedy import GreedySelection
from .greedy_tuning import tune_greedy
from .log_pool import LearnedLogPool
from .stacking import Bagging, Stacking

__all__ = [
    "Bagging",
    "Blend",
    "CalibratedVoting",
    "DiscriminantPool",
    "GreedySelection",
    "LearnedLogPool",
    "Stacking",
    "tune_greedy",
]
