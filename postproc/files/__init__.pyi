from .labels import load_class_names, load_labels, load_multilabels, load_prior
from .loading import load_members, load_predictions
from .paths import atomic_path, check_output, resolve_path
from .reading import Reading, ReadingWarning
from .rundir import RunDirectory
from .saving import save_blocks, save_predictions

__all__ = [
    "Reading",
    "ReadingWarning",
    "RunDirectory",
    "atomic_path",
    "check_output",
    "load_class_names",
    "load_labels",
    "load_members",
    "load_multilabels",
    "load_predictions",
    "load_prior",
    "resolve_path",
    "save_blocks",
    "save_predictions",
]
