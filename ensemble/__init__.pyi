from .auto import AdaptedPipeline, AutoPostprocessor
from .bench.runner import benchmark
from .blend import Blend
from .calibrated import CalibratedVoting
from .devil import DevilsAdvocate
from .diversity import Diversity, pairwise_diversity
from .greedy import GreedySelection
from .members import Member, Members, align_members, check_members
from .saved import load_model, save_model
from .stacking import Bagging, Stacking
from .trainer import DevilsAdvocateTrainer
from .tuning import tune_greedy
from .voting import Voting, hard_vote, log_pool, median_vote, rank_vote, soft_vote
from .weighting import LearnedLogPool

__all__ = [
    "AdaptedPipeline",
    "AutoPostprocessor",
    "Bagging",
    "Blend",
    "CalibratedVoting",
    "DevilsAdvocate",
    "DevilsAdvocateTrainer",
    "Diversity",
    "GreedySelection",
    "LearnedLogPool",
    "Member",
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
    "rank_vote",
    "save_model",
    "soft_vote",
    "tune_greedy",
]
