from .estimator import DevilsAdvocate

__all__ = [
    "DevilsAdvocate",
]
