from .abstention import SelectiveClassifier
from .labels import decide
from .sets import ConformalSets

__all__ = ["ConformalSets", "SelectiveClassifier", "decide"]
