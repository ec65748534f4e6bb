from .trainer import DevilsAdvocateTrainer

__all__ = [
    "DevilsAdvocateTrainer",
]
