"""Completion in real shells, by the lines of the page; shells that are not there are skipped."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "completion.md"
LINES = dict(re.findall(r"^\| (bash|zsh|fish)[^|]*\|[^|]*\| `(.+)` \|$", PAGE.read_text(), re.M))

#: What is typed, and what a shell completes it to.
TYPED = {
    "en": ["ensemble"],
    "ensemble s": ["soft", "stack"],
    "report a.npy --metric auc,bal": ["auc,balanced_accuracy"],
    "can a.npy --prior uniform --silence PP204,pp30": [f"PP204,PP30{n}" for n in range(1, 10)],
    "ensemble soft --fit-l": ["--fit-labels"],
    "report a.npy --labels la": ["labels.npy"],
}

#: What defines `tab`, which prints what the Tab key would give for its words. Files are completed
#: by the shells themselves; of bash and zsh the test sees that they were asked to.
SHELLS = {
    "bash": """
compopt() { [ "$2" = default ] && echo labels.npy; }
tab() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _postproc_completion postproc
    printf '%s\\n' "${COMPREPLY[@]}"
}
""",
    "zsh": """
_path_files() { print labels.npy }
_describe() { print -rl -- "${completions_with_descriptions[@]}" }
compadd() { print -rl -- "${completions[@]}" }
tab() { words=("$@") CURRENT=$#; _postproc_completion }
""",
    "fish": """
function tab
    complete -C "$argv"
end
""",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_tab(shell, tmp_path):
    folder = Path(sys.executable).parent
    if shutil.which(shell) is None or not (folder / "postproc").exists():
        pytest.skip(f"{shell} or the command postproc is not installed")
    (tmp_path / "labels.npy").touch()
    typed = [line for line in TYPED if shell != "fish" or "," not in line]
    first = "compdef() { :; }" if shell == "zsh" else ""
    calls = [f"tab postproc {line}\necho =" for line in typed]
    script = tmp_path / "script"
    script.write_text("\n".join([first, LINES[shell].replace("\\|", "|"), SHELLS[shell], *calls]))
    flags = {"zsh": ["-f"], "fish": ["--no-config"]}.get(shell, [])
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [shell, *flags, script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
    )
    found = [
        [re.split(r"[\t:]", row)[0] for row in part.splitlines() if row]
        for part in done.stdout.split("=")
    ]
    assert dict(zip(typed, found, strict=False)) == {line: TYPED[line] for line in typed}, (
        done.stderr
    )
