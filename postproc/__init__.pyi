from .arrays import log_softmax, softmax
from .can import alternating_normalization
from .can_estimator import CAN
from .confidence import top_k_entropy
from .files import load_labels, load_predictions, save_predictions
from .inspection import inspect_predictions
from .kinds import check_scores, log_probabilities, probabilities
from .predictions import Predictions
from .prior import class_prior, multilabel_prior

__all__ = [
    "CAN",
    "Predictions",
    "alternating_normalization",
    "check_scores",
    "class_prior",
    "inspect_predictions",
    "load_labels",
    "load_predictions",
    "log_probabilities",
    "log_softmax",
    "multilabel_prior",
    "probabilities",
    "save_predictions",
    "softmax",
    "top_k_entropy",
]
