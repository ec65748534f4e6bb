from .blend import Blend as Blend
from .calibrated import CalibratedVoting as CalibratedVoting
from .discriminant_pool import DiscriminantPool as DiscriminantPool
from .greedy import GreedySelection as GreedySelection
from .greedy_tuning import tune_greedy as tune_greedy
from .log_pool import LearnedLogPool as LearnedLogPool
from .stacking import Bagging as Bagging
from .stacking import Stacking as Stacking
