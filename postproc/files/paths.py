"""Paths: files found without their suffix, and output written whole or not at all."""

from __future__ import annotations

import ctypes
import glob
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREDICTION_SUFFIXES = (
    *(".npy", ".npz", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".jsonl"),
    *(".parquet", ".safetensors", ".pt", ".pth"),
)
ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors", ".pt", ".pth")
LABEL_SUFFIXES = (*PREDICTION_SUFFIXES, ".txt")

#: Suffixes of files that are read where they are named in full.
NAMED_SUFFIXES = (*LABEL_SUFFIXES, ".json")

#: Suffixes of files that are pickled, and are never read.
PICKLES = (".pkl", ".pickle", ".joblib")


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The suffix of a file in lower case, with what is compressed: `.csv.gz`."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    both = "".join(suffixes[-2:])
    return both if both in PREDICTION_SUFFIXES else "".join(suffixes[-1:])


def stem_of(path: str | os.PathLike[str]) -> str:
    """The name of a file without the suffix that `suffix_of` gives."""
    name = Path(path).name
    return name[: len(name) - len(suffix_of(path))]


def file_and_column(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """The parts of `FILE:COLUMN`; a whole path that names a file has no column."""
    text = os.fspath(path)
    file, _, column = text.rpartition(":")
    if not (file and column) or {"/", "\\"} & {*column} or Path(text).exists():
        return text, None
    named = any(Path(text + suffix).is_file() for suffix in LABEL_SUFFIXES)
    return (text, None) if named else (file, column)


def check_table(path: Path, column: str) -> None:
    """ValueError if a file of `FILE:COLUMN` is no table."""
    if path.is_dir() or suffix_of(path) in ARRAY_SUFFIXES:
        msg = f"{path}: must be a table, as {path.name}:{column} names a column"
        raise ValueError(msg)


def resolve_path(
    path: str | os.PathLike[str], suffixes: Collection[str] = PREDICTION_SUFFIXES
) -> Path:
    """Find a file, also one that is named without its suffix.

    Parameters
    ----------
    path : path-like
        A file, or a file's name less one of the suffixes.
    suffixes : collection of str
        The suffixes that are known here.

    Returns
    -------
    Path
        The file that exists.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the suffix is not a known one, the path is a folder, or several files fit the name.
    """
    given = Path(path)
    known = ", ".join(suffixes)
    if given.is_file():
        if suffix_of(given) not in (NAMED_SUFFIXES if suffixes is LABEL_SUFFIXES else suffixes):
            got = f'"{given.suffix}"' if given.suffix else "no suffix"
            mend = ""
            if suffix_of(given) in PICKLES:
                mend = (
                    "; nothing is unpickled, as that can run code: load it where it was written "
                    "and save the scores with numpy.save"
                )
            msg = f"{given}: the suffix must be one of {known}, got {got}{mend}"
            raise ValueError(msg)
        return given
    if given.exists() and not given.is_dir():
        check_regular(given)
    candidates = [Path(f"{given}{suffix}") for suffix in suffixes]
    found = [candidate for candidate in candidates if candidate.is_file()]
    if len(found) > 1:
        names = ", ".join(candidate.name for candidate in found)
        msg = f"{given}: several files fit this name ({names}); give the suffix"
        raise ValueError(msg)
    if found:
        return found[0]
    if given.is_dir():
        msg = f"{given}: must be a file, got a folder"
        raise ValueError(msg)
    tried = "" if suffix_of(given) in suffixes else f", nor one with a suffix of {known}"
    msg = f"{given}: no such file{tried}"
    raise FileNotFoundError(msg)


def check_regular(path: Path) -> None:
    """Check that a path is a file, and not a pipe or a device that may never end."""
    if path.is_file():
        return
    if not path.exists():
        msg = f"{path}: no such file"
        raise FileNotFoundError(msg)
    got = "a folder" if path.is_dir() else "a pipe or a device"
    msg = f"{path}: must be a regular file, got {got}"
    raise ValueError(msg)


def check_output(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    suffixes: Collection[str] | None = None,
) -> Path:
    """Check that an output can be written, before any work is done for it.

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.
    FileExistsError
        If it exists and `overwrite` is false.
    PermissionError
        If its folder cannot be written to.
    ValueError
        If the suffix is not one of `suffixes`.
    """
    target = Path(path)
    if suffixes is not None and suffix_of(target) not in suffixes:
        got = f'"{target.suffix}"' if target.suffix else "no suffix"
        msg = f"{target}: the suffix of an output must be one of {', '.join(suffixes)}, got {got}"
        raise ValueError(msg)
    if not target.parent.is_dir():
        msg = f"{target}: the folder {target.parent} does not exist; create it first"
        raise FileNotFoundError(msg)
    if target.is_dir():
        msg = f"{target}: must be a file, got a folder"
        raise ValueError(msg)
    if (target.exists() or target.is_symlink()) and not overwrite:
        msg = f"{target}: exists already; name another output or allow overwriting (--overwrite)"
        raise FileExistsError(msg)
    if not os.access(target.parent, os.W_OK):
        msg = f"{target}: the folder {target.parent} is read-only; name an output elsewhere"
        raise PermissionError(msg)
    return target


def exchange(a: Path, b: Path) -> bool:
    """Exchange two files or folders in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    at_folder, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and not rename(
        at_folder, os.fsencode(a), at_folder, os.fsencode(b), swap
    )


def flush(path: Path) -> None:
    """Have a file on disk when this returns."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def clear_litter(target: Path) -> None:
    """Remove temporary files of an output that processes left when they were killed."""
    stem, suffix = re.escape(target.stem), re.escape(target.suffix)
    ours = re.compile(rf"\.{stem}\.(\d+)\.\w+{suffix}")
    with suppress(OSError):
        for file in target.parent.glob(f".{glob.escape(target.stem)}.*"):
            match = ours.fullmatch(file.name)
            if match and not _is_running(int(match[1])):
                file.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere a signal of 0 may end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # one of another user, or no process number
        return True
    return True


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary file beside `path` that takes its place when the block succeeds.

    The file is flushed to disk before it is renamed; when the block fails it is removed and
    whatever stood under `path` is untouched. An error of the system that names no file, as that of
    a full disk, or the temporary one, gets the name of `path`.

    Raises
    ------
    FileNotFoundError, FileExistsError, PermissionError, ValueError
        As `check_output`.
    """
    target = check_output(path, overwrite=overwrite)
    clear_litter(target)
    try:
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.stem}.{os.getpid()}.", suffix=target.suffix
        )
    except OSError as error:  # name the output, not the temporary file
        raise type(error)(error.errno, error.strerror, str(target)) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        flush(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp made it private
        check_output(target, overwrite=overwrite)
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, name):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise
