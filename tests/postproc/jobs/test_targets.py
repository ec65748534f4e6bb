"""Targets: what a command may replace, and what it never does."""

import numpy as np
import pytest

from postproc.jobs.targets import check_target, is_replaceable

ROWS = np.random.default_rng(0).dirichlet(np.ones(4), 23)


def test_only_what_commands_have_written_is_replaced(tmp_path):
    zarr = pytest.importorskip("zarr")
    for version in (2, 3):
        zarr.create_group(str(tmp_path / f"group{version}"), zarr_format=version)
        zarr.create_array(
            str(tmp_path / f"array{version}"), data=ROWS, chunks=(5, 2), zarr_format=version
        )
    for name, allowed in (("array2", True), ("array3", True), ("group2", False), ("group3", False)):
        assert is_replaceable(tmp_path / name) is allowed
    (tmp_path / "array3" / "2024").mkdir()
    (tmp_path / "array2" / "2024").mkdir()
    assert not is_replaceable(tmp_path / "array3")
    (tmp_path / "array2" / "notes").mkdir()
    assert not is_replaceable(tmp_path / "array2")
    (tmp_path / "shards").mkdir()
    for name, allowed in (("probs-00000.npy", True), ("part-00000.npy", False)):
        np.save(tmp_path / "shards" / name, ROWS)
        assert is_replaceable(tmp_path / "shards") is allowed


@pytest.mark.parametrize("overwrite", [True, False])
def test_mount_points_and_folders_around_the_command_are_no_outputs(
    tmp_path, monkeypatch, overwrite
):
    (tmp_path / "disk").mkdir()
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    check_target(tmp_path / "disk", overwrite=overwrite)
    monkeypatch.setattr("os.path.ismount", lambda path: path.name == "disk")
    for name, what in (("disk", "is a mount point"), ("in", "is or contains the current folder")):
        with pytest.raises(FileExistsError, match=f"{name}: {what}"):
            check_target(tmp_path / name, overwrite=overwrite)
