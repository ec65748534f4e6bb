from .arrays import log_softmax, softmax
from .can import alternating_normalization
from .can_estimator import CAN
from .comparison import compare, holm, mcnemar_exact, paired_gain_interval, wilson_interval
from .confidence import top_k_entropy
from .files import load_labels, load_predictions, save_predictions
from .inspection import inspect_predictions
from .kinds import check_scores, log_probabilities, probabilities
from .metrics import class_metrics, evaluate
from .predictions import Predictions
from .prior import class_prior, multilabel_prior
from .reliability import reliability_bins
from .report import AccuracyReport, accuracy_report

__all__ = [
    "CAN",
    "AccuracyReport",
    "Predictions",
    "accuracy_report",
    "alternating_normalization",
    "check_scores",
    "class_metrics",
    "class_prior",
    "compare",
    "evaluate",
    "holm",
    "inspect_predictions",
    "load_labels",
    "load_predictions",
    "log_probabilities",
    "log_softmax",
    "mcnemar_exact",
    "multilabel_prior",
    "paired_gain_interval",
    "probabilities",
    "reliability_bins",
    "save_predictions",
    "softmax",
    "top_k_entropy",
    "wilson_interval",
]
