from .adaptation import joint_normalization, reweight
from .adapter import LabelShiftAdapter
from .arrays import log_softmax, softmax
from .bbse import bbse_prior
from .calibration import BiasCorrectedTemperatureScaling, TemperatureScaling
from .can import alternating_normalization
from .can_estimator import CAN
from .can_tuning import tune_can
from .comparison import compare, holm, mcnemar_exact, paired_gain_interval, wilson_interval
from .confidence import top_k_entropy
from .discriminant import PooledScaling
from .files import load_labels, load_predictions, save_predictions
from .inspection import inspect_predictions
from .kinds import check_scores, log_probabilities, probabilities
from .label_shift import PriorEstimate, em_prior, map_prior
from .matrix_scaling import ResidualMatrixScaling
from .metrics import evaluate
from .per_class import class_metrics
from .predictions import Predictions
from .prior import class_prior, multilabel_prior
from .reliability import reliability_bins
from .report import AccuracyReport, accuracy_report
from .shift_protocol import draw_target
from .shift_test import NoShiftTest, no_shift_test
from .tuning import TuningResult

__all__ = [
    "CAN",
    "AccuracyReport",
    "BiasCorrectedTemperatureScaling",
    "LabelShiftAdapter",
    "NoShiftTest",
    "PooledScaling",
    "Predictions",
    "PriorEstimate",
    "ResidualMatrixScaling",
    "TemperatureScaling",
    "TuningResult",
    "accuracy_report",
    "alternating_normalization",
    "bbse_prior",
    "check_scores",
    "class_metrics",
    "class_prior",
    "compare",
    "draw_target",
    "em_prior",
    "evaluate",
    "holm",
    "inspect_predictions",
    "joint_normalization",
    "load_labels",
    "load_predictions",
    "log_probabilities",
    "log_softmax",
    "map_prior",
    "mcnemar_exact",
    "multilabel_prior",
    "no_shift_test",
    "paired_gain_interval",
    "probabilities",
    "reliability_bins",
    "reweight",
    "save_predictions",
    "softmax",
    "top_k_entropy",
    "tune_can",
    "wilson_interval",
]
