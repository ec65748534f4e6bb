from .adversarial import Adversarial as Adversarial
from .child_tuning import ChildTuning as ChildTuning
from .contrastive import Contrastive as Contrastive
from .label_denoising import LabelDenoising as LabelDenoising
from .options import TrainingOptions as TrainingOptions
from .trainer import DevilsAdvocateTrainer as DevilsAdvocateTrainer
from .virtual_augmentation import VirtualAugmentation as VirtualAugmentation
