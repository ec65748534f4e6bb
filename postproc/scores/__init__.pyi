from .arrays import log_softmax, softmax, undo_softmax
from .confidence import top_k_entropy
from .kinds import check_scores, log_probabilities, probabilities
from .predictions import Predictions
from .prior import class_prior, multilabel_prior

__all__ = [
    "Predictions",
    "check_scores",
    "class_prior",
    "log_probabilities",
    "log_softmax",
    "multilabel_prior",
    "probabilities",
    "softmax",
    "top_k_entropy",
    "undo_softmax",
]
