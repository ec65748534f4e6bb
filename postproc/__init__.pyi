from .calibration.matrix import ResidualMatrixScaling
from .calibration.pooled import PooledScaling
from .calibration.structured import StructuredScaling
from .calibration.temperature import BiasCorrectedTemperatureScaling, TemperatureScaling
from .can.estimator import CAN
from .can.operation import alternating_normalization
from .can.tuning import tune_can
from .decisions.abstention import SelectiveClassifier
from .decisions.labels import decide
from .decisions.sets import ConformalSets
from .decisions.thresholds import ClassWeights
from .evaluation.choice import TuningResult
from .evaluation.metrics import evaluate
from .evaluation.paired import (
    compare,
    holm,
    mcnemar_exact,
    paired_gain_interval,
    wilson_interval,
)
from .evaluation.per_class import class_metrics
from .evaluation.reliability import reliability_bins
from .files import (
    Reading,
    ReadingWarning,
    load_labels,
    load_members,
    load_predictions,
    save_predictions,
)
from .files.inspection import inspect_predictions
from .reports.report import AccuracyReport, accuracy_report
from .scores.arrays import log_softmax, softmax, undo_softmax
from .scores.confidence import top_k_entropy
from .scores.kinds import check_scores, log_probabilities, probabilities
from .scores.predictions import Predictions
from .scores.prior import class_prior, multilabel_prior
from .shift.adapter import LabelShiftAdapter
from .shift.bbse import bbse_prior
from .shift.draws import draw_target
from .shift.evidence import NoShiftTest, no_shift_test
from .shift.prior import PriorEstimate, em_prior, map_prior
from .shift.reweight import joint_normalization, reweight

__all__ = [
    "CAN",
    "AccuracyReport",
    "BiasCorrectedTemperatureScaling",
    "ClassWeights",
    "ConformalSets",
    "LabelShiftAdapter",
    "NoShiftTest",
    "PooledScaling",
    "Predictions",
    "PriorEstimate",
    "Reading",
    "ReadingWarning",
    "ResidualMatrixScaling",
    "SelectiveClassifier",
    "StructuredScaling",
    "TemperatureScaling",
    "TuningResult",
    "accuracy_report",
    "alternating_normalization",
    "bbse_prior",
    "check_scores",
    "class_metrics",
    "class_prior",
    "compare",
    "decide",
    "draw_target",
    "em_prior",
    "evaluate",
    "holm",
    "inspect_predictions",
    "joint_normalization",
    "load_labels",
    "load_members",
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
    "undo_softmax",
    "wilson_interval",
]
