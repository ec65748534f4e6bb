"""`postproc examples`: the demo's files, and commands on them that run."""

import shlex


def test_files_and_what_to_try(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    shown = run_cli("examples").stdout
    tried = [line.strip() for line in shown.partition("Try:\n")[2].splitlines()]
    assert len(tried) == 3
    for command in tried[:2]:  # the demo has the third
        run_cli(*shlex.split(command.removeprefix("postproc ")))


def test_a_folder_that_is_there_is_replaced_only_on_request(tmp_path, run_cli):
    run_cli("examples", tmp_path)
    changed = tmp_path / "digits" / "forest.val.npy"
    before = changed.read_bytes()
    changed.write_bytes(b"mine")
    run_cli("examples", tmp_path, code=1)
    assert changed.read_bytes() == b"mine"
    run_cli("examples", tmp_path, "--overwrite")
    assert changed.read_bytes() == before
