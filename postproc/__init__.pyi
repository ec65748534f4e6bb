from .arrays import log_softmax, softmax
from .can import alternating_normalization
from .confidence import top_k_entropy
from .kinds import check_scores

__all__ = [
    "alternating_normalization",
    "check_scores",
    "log_softmax",
    "softmax",
    "top_k_entropy",
]
