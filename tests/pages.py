"""Pages of the documentation: their code blocks are run, and their output is compared.

`python -m tests.pages PAGE...` writes the output of today into the pages.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
#: Address of a Dask scheduler, as the pages have it.
SCHEDULER = "tcp://head:8786"
# Lines of tables and bars of histograms.
DRAWN = re.compile("[\u2500-\u259f]+")
# Notes below every report, which pages leave out; the signature changes with every version.
NOTES = re.compile(
    r"(?:^(?:Shares and ECE|Gain in points|postproc [\d.]+ \||saved: ).*?"
    r"(?:\n\n|\Z|(?=^(?:written|saved): )))+",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A code block; `start` and `end` are the places of its text in the page."""

    language: str
    title: str | None
    text: str
    start: int
    end: int
    is_output: bool

    def __str__(self) -> str:
        return f"```{self.language}\n{self.text}```"


def blocks(page: Path) -> list[Block]:
    """All code blocks of a page. Text directly below a block of Python is what it prints."""
    text, found = page.read_text(encoding="utf-8"), []
    for fence in FENCE.finditer(text):
        before = found[-1] if found else None
        is_output = (
            fence[1] == "text"
            and before is not None
            and before.language == "python"
            and not text[before.end + len("```") : fence.start()].strip()
        )
        found.append(Block(fence[1], fence[2], fence[3], fence.start(3), fence.end(3), is_output))
    return found


@dataclass(frozen=True)
class Command:
    """A command, the lines that it is typed in, and the output that the page shows."""

    words: tuple[str, ...]
    typed: str
    shown: str


def commands(text: str) -> list[Command]:
    """The commands of a console block."""
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        n_lines = 1 + next(i for i, line in enumerate(lines) if not line.rstrip().endswith("\\"))
        typed = "".join(lines[:n_lines])
        line = re.sub(r"\\\n\s*", "", typed)
        words = tuple(shlex.split(line, comments=True))
        found.append(Command(words, typed, "".join(lines[n_lines:])))
    return found


def same_output(shown: str, actual: str) -> bool:
    """Whether the words agree, and numbers within 5 % or half a unit; `...` stands for anything."""
    tokens = _tokens(actual)
    names = [NUMBER.sub("#", token) for token in tokens]
    at = 0
    for part in re.split(r"^\.\.\.$", shown, flags=re.MULTILINE):
        wanted = _tokens(part)
        pattern = [NUMBER.sub("#", token) for token in wanted]
        places = range(at, len(names) - len(pattern) + 1)
        place = next((i for i in places if names[i : i + len(pattern)] == pattern), None)
        if place is None:
            return False
        at = place + len(pattern)
        if not np.allclose(_numbers(wanted), _numbers(tokens[place:at]), rtol=0.05, atol=0.5):
            return False
    return True


def _tokens(text: str) -> list[str]:
    return DRAWN.sub(" ", re.sub(r"postproc [\d.]+ \|", "", text)).split()


def _numbers(tokens: list[str]) -> list[float]:
    found = NUMBER.findall(" ".join(tokens))
    return [float(number.replace(",", "")) for number in found]


def run(page: Path, run_cli, *, write: bool = False) -> int:
    """Run all blocks of a page in the current folder; the number of blocks and commands run."""
    names: dict[str, object] = {"__name__": "page"}
    text, changes, n_run, printed = page.read_text(encoding="utf-8"), [], 0, ""
    for block in blocks(page):
        if block.title is not None and "." in block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            printed = _python(block, page, names)
            n_run += 1
        elif block.language == "console":
            found = commands(block.text)
            outputs = [_check(command, run_cli, page, write).strip("\n") for command in found]
            new = ""
            for command, output in zip(found, outputs, strict=True):
                new += f"$ {command.typed}" + (f"{output}\n\n" if output else "")
            new = new.rstrip("\n") + "\n"
            changes.append((block, new))
            n_run += len(found)
        elif block.is_output:
            assert write or same_output(block.text, printed), f"{page}: prints\n{printed}"
            same = same_output(block.text, printed)
            changes.append((block, block.text if same else _shortened(printed)))
        else:
            message = f"{page}: a block that nothing runs:\n{block}"
            raise AssertionError(message)
    if write:
        for block, new in reversed(changes):
            text = text[: block.start] + new + text[block.end :]
        page.write_text(text, encoding="utf-8")
    return n_run


def _python(block: Block, page: Path, names: dict[str, object]) -> str:
    """Run Python; what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*\[PP314\]$")  # of predictions with many zeros
        line = page.read_text(encoding="utf-8").count("\n", 0, block.start)
        exec(compile("\n" * line + block.text, str(page), "exec"), names)
    return out.getvalue()


def _check(command: Command, run_cli, page: Path, write: bool) -> str:
    """Run a command, and compare its output if the page shows any; the output for the page."""
    program = command.words[0]
    if program == "pip":  # only that the extras are there
        extras = re.findall(r"\[([\w,]+)\]", " ".join(command.words))
        known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for extra in ",".join(extras).split(",") if extras else ():
            assert extra in known["optional-dependencies"], extra
        return command.shown
    if program == "dask":  # started by the test
        return command.shown
    if program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{command.words[1]}:", makefile, re.MULTILINE), command.typed
        return command.shown
    if program == "python":
        done = subprocess.run(
            [sys.executable, *command.words[1:]],
            check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        actual = done.stdout + done.stderr
    else:
        assert program == "postproc", f"{page}: nothing runs {program}"
        words = [w for word in command.words[1:] for w in _expanded(word)]
        code = 2 if "Usage: " in command.shown else int("Error: " in command.shown)
        with _scheduler(words) as words:
            actual = run_cli(*words, code=code, coded=True).output
    shown = command.shown.strip()
    if not shown or same_output(shown, actual):
        return command.shown
    assert write, f"{page}: {command.typed}prints\n{actual}"
    return _shortened(actual)


def _shortened(output: str) -> str:
    """Output as a page shows it: without the notes below reports, and blanks at the ends."""
    output = re.sub(r"[ ]+$", "", NOTES.sub("...\n", output), flags=re.MULTILINE)
    return output.strip("\n") + "\n"


@contextlib.contextmanager
def _scheduler(words: list[str]):
    """Words of a command; a Dask scheduler is started for one that names its address."""
    if SCHEDULER not in words:
        yield words
        return
    from postproc.jobs.dask import dask_engine

    with dask_engine(workers=2) as engine:
        address = engine.client.scheduler.address
        yield [address if word == SCHEDULER else word for word in words]


def _expanded(word: str) -> list[str]:
    """What a shell makes of a word with a star."""
    if "*" not in word:
        return [word]
    found = sorted(str(path) for path in Path().glob(word))
    return found or [word]


def main(pages: list[str]) -> None:
    """Write the output of today into pages."""
    import tempfile

    from tests.conftest import invoke

    for page in map(Path.resolve, map(Path, pages)):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            invoke("demo")
            run(page, invoke, write=True)


if __name__ == "__main__":
    main(sys.argv[1:])
