from .abstention import SelectiveClassifier
from .labels import decide
from .sets import ConformalSets
from .thresholds import ClassWeights

__all__ = ["ClassWeights", "ConformalSets", "SelectiveClassifier", "decide"]
