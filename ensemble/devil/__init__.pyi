from .estimator import DevilsAdvocate as DevilsAdvocate
from .losses import devil_loss as devil_loss
from .losses import devil_vote as devil_vote
from .losses import discussion_loss as discussion_loss
