from .pipeline import AdaptedPipeline as AdaptedPipeline
from .pipeline import AutoPostprocessor as AutoPostprocessor
