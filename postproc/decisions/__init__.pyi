from .abstention import SelectiveClassifier as SelectiveClassifier
from .label_thresholds import LabelThresholds as LabelThresholds
from .labels import decide as decide
from .sets import ConformalSets as ConformalSets
from .thresholds import ClassWeights as ClassWeights
