from .pipeline import AdaptedPipeline, AutoPostprocessor

__all__ = [
    "AdaptedPipeline",
    "AutoPostprocessor",
]
