from .estimator import DevilsAdvocate
from .losses import devil_loss, devil_vote, discussion_loss

__all__ = [
    "DevilsAdvocate",
    "devil_loss",
    "devil_vote",
    "discussion_loss",
]
