"""Kills at random moments, and two processes that write the same outputs.

By hand, from the root: `python -m tests.attack.races --kills 200 --pairs 200 [--only NAME]`. Every
file must be whole, of one run or of the other, and after one more run nothing else may be left.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from tests.attack import test_faults as faults

#: Options whose value is an output.
OUTPUTS = ("-o", "--save", "--html", "--labels-out")


def say(text: str) -> None:
    """Print at once: a child may be killed before it does."""
    print(text, flush=True)  # noqa: T201


def start(words: list[str], folder: Path, delay: float = 0.0) -> int:
    """Run a command in a child, in a folder; its process."""
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        time.sleep(delay)
        os._exit(faults.run(words))
    return child


def run(words: list[str], folder: Path) -> int:
    """Run a command in a folder to its end, here, so that children need import nothing."""
    os.chdir(folder)
    return faults.run(words)


def sent_to(words: list[str], folder: Path) -> list[str]:
    """A command with its outputs in a folder."""
    before = ["", *words[:-1]]
    return [
        f"{folder}/{word}" if last in OUTPUTS else word
        for last, word in zip(before, words, strict=True)
    ]


def attack(name: str, kills: int, pairs: int, rng: np.random.Generator) -> tuple[int, int]:
    """Attack a command; how often two runs met, and how many faults were found."""
    words = faults.COMMANDS[name]
    with tempfile.TemporaryDirectory() as root:
        first, other, shared = (Path(root, each) for each in ("first", "other", "shared"))
        for folder in (first, other, shared):
            folder.mkdir()
        os.chdir(first)
        faults.write_inputs(first)
        inputs = faults.contents(first)
        for file, data in inputs.items():
            (other / file).parent.mkdir(exist_ok=True, parents=True)
            (other / file).write_bytes(data)
        os.chdir(other)
        faults.reverse(faults.source_of(words, inputs))
        words = sent_to(words, shared)
        results, started = [], time.monotonic()
        for folder in (first, other):
            assert run(words, folder) == 0, name
            results.append(faults.contents(shared))
        seconds = (time.monotonic() - started) / 2
        n_faults = 0

        def check(what: str) -> None:
            nonlocal n_faults
            found = faults.visible(faults.contents(shared))
            grows = name == "bench"
            wrong = [
                file
                for file, data in found.items()
                if data not in [result.get(file) for result in results]
                and not (grows and any(r.get(file, b"").startswith(data) for r in results))
            ]
            lost = [file for file in results[0] if file in results[1] and file not in found]
            code = run(words, first)
            left = faults.contents(shared).keys() ^ results[0].keys()
            if wrong or lost or left or code or faults.contents(shared) != results[0]:
                n_faults += 1
                say(f"{name}: {what}: wrong {wrong}, lost {lost}, left {left}, exit {code}")

        for _ in range(kills):
            run(words, first)
            child = start(words, other)
            time.sleep(rng.uniform(0, 1.2 * seconds))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            check("killed")
        met = 0
        for _ in range(pairs):
            delays = rng.uniform(0, 0.5 * seconds, 2)
            children = [start(words, f, d) for f, d in zip((first, other), delays, strict=True)]
            met += sum(os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) != 0 for c in children)
            check("two at once")
    return met, n_faults


def main(kills: int, pairs: int, seed: int, only: str) -> int:
    """Attack all commands; the number of faults."""
    warnings.simplefilter("ignore")
    rng, n_faults = np.random.default_rng(seed), 0
    for name in faults.COMMANDS:
        if name.startswith(only):
            met, found = attack(name, kills, pairs, rng)
            n_faults += found
            say(f"{name}: {kills} kills, {pairs} pairs ({met} refused), {found} faults")
    return n_faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    raise SystemExit(int(main(**vars(parser.parse_args())) > 0))
