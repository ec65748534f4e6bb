from .multilabel import AdaptedLabels as AdaptedLabels
from .multilabel import MultilabelPostprocessor as MultilabelPostprocessor
from .pipeline import AdaptedPipeline as AdaptedPipeline
from .pipeline import AutoPostprocessor as AutoPostprocessor
