"""Kills at random moments, and two processes that write the same outputs.

By hand, from the root: `python -m tests.attack.races --kills 200 --pairs 200 [--only NAME]`. Every
file must be whole, of one run or of the other, and after one more run nothing else may be left.
Children are forked from a process that has imported everything, so that they spend their time on
files.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import signal
import struct
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.attack import commands
from tests.attack.guided import MEMORY

Result = dict[str, bytes]


def say(text: str) -> None:
    """Print at once: a child may be killed before it does."""
    print(text, flush=True)  # noqa: T201


def start(
    words: list[str], folder: Path, shared: Path, killed_after: float | None = None
) -> tuple[int, int]:
    """Run a command in a child, in a folder: its process, and a pipe that ends when it writes.

    The pipe ends before the first operation on a file in the shared folder, or with the process.
    A negative time to a kill counts from there.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        is_open = True

        def tell() -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                os.close(writing)
                if killed_after is not None and killed_after < 0:
                    kill_after(-killed_after)

        os.chdir(folder)
        if killed_after is not None and killed_after > 0:
            kill_after(killed_after)
        commands.on_operations(shared, tell)
        os._exit(commands.run(words))
    os.close(writing)
    return child, reading


def kill_after(seconds: float) -> None:
    """Let the system kill this process after a time, as its parent may be late on a busy machine.

    Python has no such timer: this is `timer_create` of Linux.
    """
    system, timer = ctypes.CDLL(None), ctypes.c_void_p()
    event = (ctypes.c_int * 16)(0, 0, signal.SIGKILL)  # a value, the signal, its kind
    system.timer_create(time.CLOCK_MONOTONIC, event, ctypes.byref(timer))
    whole, part = divmod(max(1, int(seconds * 1e9)), 10**9)
    system.timer_settime(timer, 0, (ctypes.c_long * 4)(0, 0, whole, part), None)


def wait_until_it_writes(pipe: int) -> None:
    """Wait for the first operation on a file."""
    os.read(pipe, 1)


def end_of(child: int, pipe: int) -> int:
    """The exit code of a child."""
    os.close(pipe)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def sent_to(words: list[str], folder: Path) -> list[str]:
    """A command with its outputs in a folder."""
    before = ["", *words[:-1]]
    return [
        f"{folder}/{word}" if last in commands.OUTPUTS else word
        for last, word in zip(before, words, strict=True)
    ]


class Race:
    """A command on the inputs of two folders, with outputs in a third."""

    def __init__(self, name: str, root: Path, rng: np.random.Generator) -> None:
        self.name, self.rng = name, rng
        self.first, self.other, self.shared = (root / each for each in ("first", "other", "shared"))
        for folder in (self.first, self.other, self.shared):
            folder.mkdir()
        for folder in (self.first, self.other):
            os.chdir(folder)
            commands.write_inputs(folder)
        words = commands.COMMANDS[name]
        commands.reverse(commands.source_of(words, commands.contents(self.other)))
        words = sent_to(words, self.shared)
        self.words = {self.first: words, self.other: [*words, *commands.SEEDS.get(name, [])]}
        for each in self.words.values():
            commands.run(each)  # so that children need import nothing
        gc.collect()
        gc.freeze()  # and copy little of this process's memory
        self.results: list[Result] = []
        times = []
        for folder in (self.first, self.other, self.first):
            times.append(self.timed(folder))
            self.results.append(commands.contents(self.shared))
        self.seconds, self.writing = min(times)
        assert self.results.pop() == self.results[0], name
        self.counts: Counter[str] = Counter()

    def timed(self, folder: Path) -> tuple[float, float]:
        """How long the command takes, and how long since its first operation on a file."""
        begun = time.monotonic()
        child, pipe = start(self.words[folder], folder, self.shared)
        wait_until_it_writes(pipe)
        writes = time.monotonic()
        assert end_of(child, pipe) == commands.DONE, self.name
        return time.monotonic() - begun, time.monotonic() - writes

    def check(self, what: str) -> None:
        """Every file is whole, and where there is more than a result, a further run mends it."""
        found = commands.contents(self.shared)
        if found in self.results:
            return
        seen = commands.visible(found)
        grows = self.name.startswith("bench")
        wrong = [
            file
            for file, data in seen.items()
            if data not in [result.get(file) for result in self.results]
            and not (grows and any(r.get(file, b"").startswith(data) for r in self.results))
        ]
        lost = (self.results[0].keys() & self.results[1].keys()) - seen.keys()
        self.expect(not wrong and not lost, f"{what}: wrong {wrong}, lost {lost}")
        try:
            commands.check_model(self.shared)
        except Exception as error:
            self.expect(False, f"{what}: {error}")
        os.chdir(self.first)
        code, error = commands.outcome(self.words[self.first])
        left = commands.contents(self.shared)
        self.expect(code == commands.DONE, f"{what}, then run again: exit {code} {error}")
        differ = [file for file in left if left[file] != self.results[0].get(file)]
        same = left.keys() == self.results[0].keys() and not differ
        self.expect(same, f"{what}, then run again: {sorted(left)}, other {differ}")
        self.counts["run again"] += 1

    def expect(self, holds: bool, what: str) -> None:
        """Count and print a fault."""
        if not holds:
            self.counts["faults"] += 1
            say(f"{self.name}: {what}")

    def kill(self) -> None:
        """Kill a run: half of them at any moment, half while files are written."""
        code = self.killed()
        self.counts["left something"] += any(
            map(commands.is_hidden, commands.contents(self.shared))
        )
        self.check(f"exit {code}")

    def resume(self) -> None:
        """Kill a run that is then resumed."""
        folder = self.next_folder()
        self.killed()
        os.chdir(folder)
        code, error = commands.outcome([*self.words[folder], "--resume"])
        left = commands.contents(self.shared)
        self.expect(code == commands.DONE, f"killed and resumed: exit {code} {error}")
        self.expect(
            left == self.results[folder == self.other], f"killed and resumed: {sorted(left)}"
        )
        self.counts["resumed"] += 1
        self.check("killed and resumed")

    def killed(self) -> int:
        """The exit code of a run that is killed, if it has not come to its end."""
        while_writing = self.rng.random() < 0.5
        after = -self.writing if while_writing else self.seconds
        folder = self.next_folder()
        seconds = after * self.rng.uniform(0.001, 1.0)
        begun = start(self.words[folder], folder, self.shared, seconds)
        code = end_of(*begun)
        self.counts["killed"] += code == -signal.SIGKILL
        self.expect(code in (-signal.SIGKILL, commands.DONE), f"before a kill: exit {code}")
        return code

    def next_folder(self) -> Path:
        """The folder whose result is not there now."""
        is_first = commands.contents(self.shared) == self.results[0]
        return self.other if is_first else self.first

    def pair(self, writers: Sequence[Writer]) -> None:
        """Let two processes write, the second one at a random moment of the first's run."""
        delays = [0.0, self.rng.uniform(0, self.seconds)]
        for writer, delay in zip(writers, self.rng.permutation(delays), strict=True):
            writer.begin(delay)
        codes = [writer.end() for writer in writers]
        self.counts["refused"] += commands.REFUSED in codes
        right = commands.DONE in codes and set(codes) <= {commands.DONE, commands.REFUSED}
        self.expect(right, f"two at once: exits {codes}")
        self.check("two at once")


class Writer:
    """A process that runs a command in a folder as often as it is told to."""

    def __init__(self, words: list[str], folder: Path) -> None:
        told, self.tell = os.pipe()
        self.answers, answer = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.close(self.tell)
            os.chdir(folder)
            while said := os.read(told, 8):
                time.sleep(struct.unpack("d", said)[0])
                os.write(answer, bytes([commands.run(words)]))
            os._exit(0)
        os.close(told)
        os.close(answer)

    def begin(self, delay: float) -> None:
        """Let it run the command after a delay."""
        os.write(self.tell, struct.pack("d", delay))

    def end(self) -> int:
        """The exit code of the command."""
        return os.read(self.answers, 1)[0]

    def stop(self) -> None:
        """End the process."""
        os.close(self.tell)
        end_of(self.process, self.answers)


def attack(name: str, kills: int, pairs: int, rng: np.random.Generator) -> Counter[str]:
    """Attack a command; what happened how often."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as root:
        race = Race(name, Path(root), rng)
        while race.counts["killed"] < kills:
            race.kill()
        writers = [Writer(words, folder) for folder, words in race.words.items()]
        for _ in range(pairs):
            race.pair(writers)
        for writer in reversed(writers):  # the second one holds the pipe of the first
            writer.stop()
        for _ in range(kills // 4 if name in commands.RESUMABLE else 0):
            race.resume()
        os.chdir("/")
    return race.counts


def main(kills: int, pairs: int, seed: int, only: str) -> int:
    """Attack all commands; the number of faults."""
    warnings.simplefilter("ignore")
    time.process_time = lambda: 0.0  # which `bench` puts into pages
    commands.remember_examples()
    rng, n_faults = np.random.default_rng(seed), 0
    for name in commands.COMMANDS:
        if only in ("", name):
            counts = attack(name, kills, pairs, rng)
            n_faults += counts["faults"]
            said = ", ".join(f"{count} {what}" for what, count in counts.items())
            say(f"{name}: {pairs} pairs: {said}")
    return n_faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", choices=commands.COMMANDS)
    raise SystemExit(int(main(**vars(parser.parse_args())) > 0))
