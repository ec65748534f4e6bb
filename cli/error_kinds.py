"""Kinds of errors, whose codes `postproc.scores.codes` has: by type, or by what refused."""

from __future__ import annotations

from traceback import walk_tb

#: Kinds of errors by the names of their types.
TYPES = {
    "StoppedError": "resume",
    "FileNotFoundError": "missing-file",
    "FileExistsError": "in-the-way",
    "ConnectionError": "cluster",
    "OSError": "system",
    "ImportError": "extra",
    "MemoryError": "memory",
    "OutOfMemoryError": "memory",
}

#: Kinds of refusals by the modules, or the folders of modules, that data are refused in.
ROOMS = {
    "postproc.scores.tables": "columns",
    "postproc.scores.detection": "scores",
    "postproc.scores.kinds": "scores",
    "postproc.scores.names": "names",
    "postproc.scores.one_hot": "labels",
    "postproc.scores.predictions": "names",
    "postproc.scores.prior": "prior",
    "postproc.scores.row_subsets": "names",
    "postproc.files": "content",
    "postproc.files.labels": "labels",
    "postproc.files.multilabels": "labels",
    "postproc.files.priors": "prior",
    "postproc.files.rundir": "run-directory",
    "postproc.jobs.write": "resume",
    "ensemble.members": "names",
    "ensemble.saved": "model",
    "ensemble.serialization": "model",
}


def kind_of(error: BaseException) -> str:
    """The kind of an expected error: by its type, else by the innermost room that refused."""
    types = (cls.__name__ for cls in type(error).__mro__)
    by_type = next((TYPES[name] for name in types if name in TYPES), None)
    if by_type is not None:
        return by_type
    refusals = [error]  # an outer one may only add the name of the file
    while (inner := refusals[-1].__context__) is not None:
        refusals.append(inner)
    for refusal in reversed(refusals):
        frames = [frame for frame, _ in walk_tb(refusal.__traceback__)]
        for frame in reversed(frames):
            parts = str(frame.f_globals.get("__name__")).split(".")
            for n in range(len(parts), 1, -1):
                if (room := ".".join(parts[:n])) in ROOMS:
                    return ROOMS[room]
    return "argument"
