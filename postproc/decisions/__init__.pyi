from .abstention import SelectiveClassifier as SelectiveClassifier
from .labels import decide as decide
from .sets import ConformalSets as ConformalSets
from .thresholds import ClassWeights as ClassWeights
