from .auto.pipeline import AdaptedPipeline, AutoPostprocessor
from .bench.runner import benchmark
from .devil.estimator import DevilsAdvocate
from .diversity import Diversity, pairwise_diversity
from .learned.blend import Blend
from .learned.calibrated import CalibratedVoting
from .learned.discriminant_pool import DiscriminantPool
from .learned.greedy import GreedySelection
from .learned.greedy_tuning import tune_greedy
from .learned.log_pool import LearnedLogPool
from .learned.stacking import Bagging, Stacking
from .members import Members, align_members, check_members
from .rows import pool_rows
from .saved import load_model, save_model
from .training.trainer import DevilsAdvocateTrainer
from .voting import Voting, hard_vote, log_pool, median_vote, rank_vote, soft_vote

__all__ = [
    "AdaptedPipeline",
    "AutoPostprocessor",
    "Bagging",
    "Blend",
    "CalibratedVoting",
    "DevilsAdvocate",
    "DevilsAdvocateTrainer",
    "DiscriminantPool",
    "Diversity",
    "GreedySelection",
    "LearnedLogPool",
    "Members",
    "Stacking",
    "Voting",
    "align_members",
    "benchmark",
    "check_members",
    "hard_vote",
    "load_model",
    "log_pool",
    "median_vote",
    "pairwise_diversity",
    "pool_rows",
    "rank_vote",
    "save_model",
    "soft_vote",
    "tune_greedy",
]
