from .trainer import DevilsAdvocateTrainer as DevilsAdvocateTrainer
