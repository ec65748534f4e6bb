from .choice import TuningResult
from .metrics import evaluate
from .paired import compare, holm, mcnemar_exact, paired_gain_interval, wilson_interval
from .per_class import class_metrics
from .reliability import reliability_bins

__all__ = [
    "TuningResult",
    "class_metrics",
    "compare",
    "evaluate",
    "holm",
    "mcnemar_exact",
    "paired_gain_interval",
    "reliability_bins",
    "wilson_interval",
]
