"""Paths: found without a suffix, written whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from postproc.files import atomic_path, check_output, resolve_path, save_predictions
from postproc.files.paths import LABEL_SUFFIXES, PREDICTION_SUFFIXES, suffix_of

KNOWN = ".npy, .npz, .csv, .tsv, .csv.gz, .tsv.gz, .jsonl, .parquet, .safetensors, .pt, .pth"
PICKLE = (
    "nothing is unpickled, as that can run code: load it where it was written and save the scores "
    "with numpy.save"
)


@pytest.mark.parametrize("suffix", LABEL_SUFFIXES)
@pytest.mark.parametrize("stem", ["train_labels", "labels.train", "a b"])
def test_a_path_without_suffix_names_the_file_that_exists(tmp_path, stem, suffix):
    path = tmp_path / f"{stem}{suffix}"
    path.touch()
    assert resolve_path(tmp_path / stem, LABEL_SUFFIXES) == path
    assert resolve_path(path, LABEL_SUFFIXES) == path


def test_a_file_beats_a_folder_of_its_name(tmp_path):
    (tmp_path / "preds").mkdir()
    (tmp_path / "preds.npy").touch()
    assert resolve_path(str(tmp_path / "preds")) == tmp_path / "preds.npy"


def test_suffixes_in_capitals_and_links_are_followed(tmp_path):
    (tmp_path / "A.NPY").touch()
    (tmp_path / "b.npy").symlink_to("A.NPY")
    assert resolve_path(tmp_path / "A.NPY") == tmp_path / "A.NPY"
    assert resolve_path(tmp_path / "b") == tmp_path / "b.npy"


def test_two_candidates_are_listed(tmp_path):
    for suffix in (".txt", ".npy", ".pkl"):
        (tmp_path / f"labels{suffix}").touch()
    with pytest.raises(ValueError) as caught:
        resolve_path(tmp_path / "labels", LABEL_SUFFIXES)
    path = tmp_path / "labels"
    fit = "several files fit this name (labels.npy, labels.txt); give the suffix"
    assert str(caught.value) == f"{path}: {fit}"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("preds", FileNotFoundError, f"no such file, nor one with a suffix of {KNOWN}"),
        ("preds.npy", FileNotFoundError, "no such file"),
        ("preds.NPY", FileNotFoundError, "no such file"),
        ("dangling.npy", FileNotFoundError, "no such file"),
        ("a.pkl", ValueError, f'the suffix must be one of {KNOWN}, got ".pkl"; {PICKLE}'),
        ("bare", ValueError, f"the suffix must be one of {KNOWN}, got no suffix"),
        ("folder", ValueError, "must be a file, got a folder"),
        ("folder.npy", ValueError, "must be a file, got a folder"),
    ],
)
def test_files_that_cannot_be_found(tmp_path, name, error, message):
    for existing in ("a.pkl", "bare"):
        (tmp_path / existing).touch()
    for folder in ("folder", "folder.npy"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dangling.npy").symlink_to("nowhere")
    with pytest.raises(error) as caught:
        resolve_path(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_output_is_checked_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "a.npy").touch()
    (tmp_path / "d.npy").mkdir()
    (tmp_path / "link.npy").symlink_to("nowhere")
    exists = "exists already; name another output or allow overwriting (--overwrite)"
    cases = {
        "b.pkl": (ValueError, f'the suffix of an output must be one of {KNOWN}, got ".pkl"'),
        "b": (ValueError, f"the suffix of an output must be one of {KNOWN}, got no suffix"),
        "x/b.npy": (FileNotFoundError, f"the folder {tmp_path}/x does not exist; create it first"),
        "a.npy/b.npy": (
            FileNotFoundError,
            f"the folder {tmp_path}/a.npy does not exist; create it first",
        ),
        "d.npy": (ValueError, "must be a file, got a folder"),
        "a.npy": (FileExistsError, exists),
        "link.npy": (FileExistsError, exists),
    }
    for name, (error, message) in cases.items():
        with pytest.raises(error) as caught:
            check_output(tmp_path / name, suffixes=PREDICTION_SUFFIXES)
        assert str(caught.value) == f"{tmp_path / name}: {message}"
    assert check_output(tmp_path / "a.npy", overwrite=True) == tmp_path / "a.npy"
    assert check_output(str(tmp_path / "new.anything")) == tmp_path / "new.anything"
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(PermissionError) as caught:
        check_output(tmp_path / "b.npy")
    message = f"the folder {tmp_path} is read-only; name an output elsewhere"
    assert str(caught.value) == f"{tmp_path / 'b.npy'}: {message}"


def test_atomic_path_replaces_the_target_at_the_end(tmp_path):
    target = tmp_path / "a.npy"
    target.write_text("old")
    with atomic_path(target, overwrite=True) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), SystemExit()])
@pytest.mark.parametrize("existing", [None, "old"])
def test_failure_in_the_middle_leaves_everything_as_it_was(tmp_path, error, existing):
    target = tmp_path / "a.npy"
    if existing:
        target.write_text(existing)
    before = list(tmp_path.iterdir())

    def write():
        with atomic_path(target, overwrite=True) as temporary:
            temporary.write_text("half of it")
            raise error

    with pytest.raises(type(error)):
        write()
    assert list(tmp_path.iterdir()) == before
    assert not existing or target.read_text() == existing


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    target = tmp_path / "a.npy"
    full = OSError(errno.ENOSPC, "No space left on device")

    def write(error):
        with atomic_path(target) as temporary:
            raise error(temporary)

    for error in (lambda _: full, lambda temporary: OSError(*full.args, str(temporary))):
        with pytest.raises(OSError, match="No space left") as told:
            write(error)
        assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(target))
    with pytest.raises(FileNotFoundError) as told:  # of another file
        write(lambda _: FileNotFoundError(errno.ENOENT, "No such file", "b.npy"))
    assert told.value.filename == "b.npy"


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz", ".csv", ".parquet"])
def test_every_format_names_its_file_where_the_disk_is_full(tmp_path, suffix):
    pytest.importorskip({".pt": "torch", ".parquet": "pyarrow"}.get(suffix, "numpy"))
    pytest.importorskip("safetensors")
    resource = pytest.importorskip("resource")
    target = tmp_path / f"a{suffix}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    probs = np.random.default_rng(0).dirichlet(np.ones(10), 1000)
    save_predictions(target, probs[:2])  # loads what the format needs
    target.unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large|cannot be written") as told:
            save_predictions(target, probs)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told.value.filename == str(target)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "a.npy"

    def write():
        with atomic_path(target) as temporary:
            temporary.write_text("mine")
            target.write_text("theirs")

    with pytest.raises(FileExistsError, match="exists already"):
        write()
    assert target.read_text() == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


def test_without_permission_to_replace_nothing_is_written(tmp_path):
    (tmp_path / "a.npy").write_text("old")
    with pytest.raises(FileExistsError), atomic_path(tmp_path / "a.npy"):
        pytest.fail("the block must not run")
    assert (tmp_path / "a.npy").read_text() == "old"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_honour_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "a.npy") as temporary:
            temporary.touch()
        assert os.umask(umask) == umask  # and it is left alone
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.npy").stat().st_mode) == mode


def test_trouble_with_the_temporary_file_names_the_output(tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise PermissionError(13, "Permission denied", "/some/.temporary")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(PermissionError) as caught, atomic_path(tmp_path / "a.npy"):
        pytest.fail("the block must not run")
    assert caught.value.filename == str(tmp_path / "a.npy")


def test_paths_may_be_strings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_path("a.npy") as temporary:
        temporary.touch()
    assert resolve_path("a") == Path("a.npy")


def test_suffixes_say_what_is_compressed():
    names = ("a.CSV.gz", "a.b.npy", "a.gz")
    assert [suffix_of(name) for name in names] == [".csv.gz", ".npy", ".gz"]
