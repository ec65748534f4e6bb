"""Saved models: fitted state as JSON, with large arrays in an .arrays.npz file beside it.

Parameters and learned state are saved by name, except the attributes that an object lists as
`unsaved`; arrays that it lists as `infinite` may hold infinity. Only classes of a fixed list are
loaded, from numbers, text and arrays: nothing is unpickled.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.base import MemberEstimator
from ensemble.serialization import Arrays, Encoder, decode
from postproc.decisions.decider import Decider
from postproc.files.json_arrays import read_json
from postproc.files.paths import atomic_path, check_output, check_regular
from postproc.jobs.locks import locked
from postproc.scores.checks import check_count, fail, one_line

#: Name and version of the layout; other versions are refused.
FORMAT = "postproc model"
FORMAT_VERSION = 1

#: End of the names of files with large arrays: <model>.<digest>.arrays.npz.
ARRAYS = ".arrays.npz"

#: Most numbers of a row that a model is tried on when it is loaded.
MOST_TRIED = 10**7

#: Most rows that are alike among these.
MOST_ALIKE = 40

#: The least logit that it is tried on.
LEAST_LOGIT = -1e30

#: Characters of the reason why a model is damaged: some quote an array.
MOST_SAID = 300

#: Characters of the longest name of a file.
MOST_NAME = 255

#: Seconds that a save waits for another one of the same model.
PATIENCE = 10.0


def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    most_inline: int = 256,
    fitted_rows: Sequence[str] = (),
) -> None:
    """Write a model as JSON, whole or not at all.

    Large arrays go to a file beside it, so that the JSON stays readable. It is named by its
    content, `<stem>.<digest>.arrays.npz`: a model that is replaced is whole at every moment.

    Parameters
    ----------
    model : Ensemble, calibrator, LabelShiftAdapter or decider
        Fitted or not. The `out_of_fold_` of a calibrator is not saved.
    path : path-like
        The file; its suffix must be `.json`.
    overwrite : bool
        Whether an existing file may be replaced.
    most_inline : int
        Arrays of more elements go to the file beside it.
    fitted_rows : sequence of str
        Digests of the rows that it was fitted to, by which they are known again.

    Raises
    ------
    FileExistsError, FileNotFoundError, PermissionError
        If the file exists, or its folder does not exist or is read-only.
    TypeError
        If the model is of a class that cannot be saved.
    ValueError
        If the suffix is not `.json`.
    """
    target = check_output(path, overwrite=overwrite, suffixes=(".json",))
    encoder = Encoder(most_inline)
    content: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
    if fitted_rows:
        content["fitted_rows"] = list(fitted_rows)
    content["model"] = encoder.encode(model, "model")
    with locked(target, patience=PATIENCE):  # another save would remove these arrays
        replaced = _arrays_named_by(target)
        entry = _write_arrays(target, encoder.arrays) if encoder.arrays else None
        if entry is not None:
            content["arrays"] = entry
        with atomic_path(target, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        left = {file.name for file in arrays_of(target)} | replaced  # or of a save that was killed
        for name in left - {entry["file"] if entry else None}:
            target.with_name(name).unlink(missing_ok=True)


def _arrays_named_by(model: Path) -> set[str]:
    """The name that the first release gave to the arrays of a model, if it has such ones."""
    try:
        return {read_json(model)["arrays"]["file"]} & {model.with_suffix(ARRAYS).name}
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is no model
        return set()


def _write_arrays(target: Path, arrays: Arrays) -> dict[str, str]:
    """Write the arrays of a model beside it and return what the model says of them."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # its stub mistakes names
    digest = hashlib.sha256(stream.getbuffer()).hexdigest()
    beside = target.with_name(f"{target.stem}.{digest[:16]}{ARRAYS}")
    with atomic_path(beside, overwrite=True) as temporary:
        temporary.write_bytes(stream.getbuffer())
    return {"file": beside.name, "sha256": digest}


def arrays_of(model: Path) -> list[Path]:
    """The files with arrays beside a model, by their names."""
    ours = re.compile(rf"{re.escape(model.stem)}\.[0-9a-f]{{16}}{re.escape(ARRAYS)}")
    beside = model.parent.glob(f"{glob.escape(model.stem)}.*{ARRAYS}")
    return [file for file in beside if ours.fullmatch(file.name)]


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read a model written by `save_model`.

    Parameters
    ----------
    path : path-like
        The JSON file; its arrays are read from the file beside it.

    Returns
    -------
    Ensemble, calibrator or LabelShiftAdapter
        The model; its predictions are those of the saved one, bit for bit.

    Raises
    ------
    FileNotFoundError
        If the file or its arrays are missing.
    ValueError
        If the file is not a saved model, is damaged, or has another version.
    """
    file = Path(path)
    content = _read_json(file)
    arrays = _read_arrays(file, content["arrays"]) if "arrays" in content else {}
    try:
        model = decode(content["model"], arrays)
        _try_out(model)
    except ValueError as error:
        msg = f"{file}: {error}"
        raise ValueError(msg) from None
    except Exception as error:  # a damaged model may fail anywhere
        msg = f"{file}: damaged: {type(error).__name__}: {one_line(error)[:MOST_SAID]}"
        raise ValueError(msg) from error
    return model


def fitted_rows(path: str | os.PathLike[str]) -> list[str]:
    """Digests of the rows that a saved model was fitted to, where it says so."""
    said = _read_json(Path(path)).get("fitted_rows")
    return [each for each in said if isinstance(each, str)] if isinstance(said, list) else []


def _read_json(file: Path) -> dict[str, Any]:
    """What a file says of a model, once format and version are known."""
    content = read_json(file)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        is_tuned = isinstance(content, dict) and "parameters" in content
        mend = "; use --config for the output of postproc tune" if is_tuned else ""
        msg = f"{file}: must be a saved model, with the format {FORMAT!r}{mend}"
        raise ValueError(msg)
    version = content.get("format_version")
    if version is True or version != FORMAT_VERSION:
        later = isinstance(version, int) and version > FORMAT_VERSION
        mend = "; it was saved by a later version of postproc" if later else ""
        msg = f"{file}: format_version must be {FORMAT_VERSION}, got {version!r}{mend}"
        raise ValueError(msg)
    return content


def _read_arrays(file: Path, entry: Any) -> Arrays:
    if not isinstance(entry, dict):
        msg = f"{file}: damaged: arrays must name a file and its sha256, got {entry!r}"
        raise ValueError(msg)
    name, wanted = str(entry.get("file")), entry.get("sha256")
    if len(name) > MOST_NAME:
        fail(str(file), "a model that names its arrays", f"{len(name)} characters", "it is damaged")
    beside = file.parent / Path(name).name  # never a path that leads elsewhere
    try:
        check_regular(beside)
    except FileNotFoundError:
        msg = f"{beside}: no such file, but {file.name} needs its arrays"
        raise FileNotFoundError(msg) from None
    data = beside.read_bytes()
    if hashlib.sha256(data).hexdigest() != wanted:
        msg = f"{beside}: damaged, or not saved with {file.name}; save the model again"
        raise ValueError(msg)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.zip.infolist()):
                fail(beside.name, "stored without compression", "compressed arrays")
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # of zipfile, of zlib, of NumPy
        msg = f"{beside}: damaged: its arrays cannot be read ({type(error).__name__})"
        raise ValueError(msg) from error


def _try_out(model: Any) -> None:
    """Check what a fitted model makes of rows: even, uneven, doubtful and certain ones, some alone.

    An array that is as long as there are rows would fit no other number of them. Many rows that are
    alike have shifted, so that pipelines adapt to them.
    """
    if not (isinstance(model, Decider) or hasattr(model, "predict_proba")):
        fail("model", "an ensemble, a calibrator, an adapter or a decider", type(model).__name__)
    if not any(key.endswith("_") for key in vars(model)):  # saved before it was fitted
        return
    n_members = check_count(getattr(model, "n_members_", 1), "n_members_", low=1)
    n_columns = getattr(model, "n_classes_", getattr(model, "n_features_in_", None))
    n_classes = check_count(n_columns, "n_classes_", low=1, high=MOST_TRIED // n_members)
    rows = np.full((4, n_classes), 1.0 / n_classes)
    rows[1, 0] += 1.0
    rows[2, 1:] = 1e-300
    rows[3] = np.eye(1, n_classes)
    rows /= rows.sum(axis=1, keepdims=True)
    if getattr(model, "multilabel_", False):
        rows = np.concatenate([rows, np.full((1, n_classes), 0.5), 1 - rows])
    n_alike = min(MOST_ALIKE, MOST_TRIED // (n_members * n_classes))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for tried in (rows, rows[:2], rows[-1:].repeat(n_alike, axis=0)):
            _try_rows(model, tried)


def _try_rows(model: Any, rows: NDArray[np.float64]) -> None:
    """Check what a fitted model makes of probabilities, (n, C)."""
    if isinstance(model, MemberEstimator):
        turned = [np.roll(rows, m, axis=1) for m in range(len(model.kinds_))]  # they disagree
        given = zip(turned, model.kinds_, strict=True)
        members = [each if kind == "probs" else _as_logits(each) for each, kind in given]
        if hasattr(model, "adapt_to"):
            model = model.adapt_to(members, kinds=model.kinds_)
        probs = model.predict_proba(members, kinds=model.kinds_)
    else:
        own = rows if model.kind_ == "probs" else _as_logits(rows)
        if isinstance(model, Decider):
            _try_decisions(model, own, rows)
            return
        probs = model.predict_proba(own)
    if model.multilabel_:
        if not ((probs >= 0) & (probs <= 1)).all():
            fail("model", "one that predicts probabilities", f"{probs.max():.3g}")
    elif not np.allclose(probs.sum(axis=1), 1.0, atol=1e-3) or not (probs >= 0).all():
        fail("model", "one whose predictions sum to 1", f"{probs.sum(axis=1)[0]:.3g}")


def _as_logits(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits whose softmax are probabilities, (n, C)."""
    return np.maximum(np.log(rows), LEAST_LOGIT)


def _try_decisions(model: Decider, scores: NDArray[Any], probs: NDArray[Any]) -> None:
    """Check what a decider makes of scores and of their probabilities, (n, C)."""
    labels, decided = model.predict(scores), model.rule_(probs)[0]
    shape = scores.shape if model.multilabel_ else scores.shape[:1]
    is_right = labels.shape == shape and decided.shape in (shape, scores.shape)
    if not is_right or max(labels.max(), decided.max()) >= scores.shape[1]:
        fail("model", f"one that decides on {scores.shape[1]} classes", f"{decided[0]}")
