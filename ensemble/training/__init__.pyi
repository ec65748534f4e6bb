from .adversarial import Adversarial as Adversarial
from .child_tuning import ChildTuning as ChildTuning
from .contrastive import Contrastive as Contrastive
from .options import TrainingOptions as TrainingOptions
from .trainer import DevilsAdvocateTrainer as DevilsAdvocateTrainer
