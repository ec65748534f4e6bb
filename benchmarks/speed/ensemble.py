"""Soft voting from memory maps and greedy selection, against what people write by hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.speed.timing import Figure, ratio

Array = np.ndarray

#: Run in a child process, so that peaks of memory are its own: seconds and bytes above the start.
CHILD = """
import sys, threading, time
import numpy as np
from ensemble import soft_vote
way, paths = sys.argv[1], sys.argv[2:]
def anonymous():  # private memory: pages of mapped files can be dropped at any time
    fields = dict(line.split(":") for line in open("/proc/self/status") if ":" in line)
    return int(fields["RssAnon"].split()[0]) * 1024
stop, top = threading.Event(), [anonymous()]
before = top[0]
def watch():
    while not stop.wait(0.002):
        top[0] = max(top[0], anonymous())
watcher = threading.Thread(target=watch); watcher.start()
if way == "stack":
    members = [np.load(path) for path in paths]
    start = time.perf_counter()
    np.mean(np.stack(members), 0)
else:
    members = [np.load(path, mmap_mode="r") for path in paths]
    start = time.perf_counter()
    soft_vote(members)
done = time.perf_counter() - start
stop.set(); watcher.join()
print(done, top[0] - before)
"""


def child(way: str, paths: list[Path]) -> tuple[float, float]:
    """Seconds, and peak of private memory in bytes, of one way of soft voting."""
    command = [sys.executable, "-c", CHILD, way, *map(str, paths)]
    done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(done[0]), float(done[1])


def soft_voting(*, quick: bool) -> Iterator[Figure]:
    """Five members of 500,000 x 100 float32."""
    n, n_classes, n_members, rounds = 50_000 if quick else 500_000, 100, 5, 1 if quick else 5
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{m}.npy" for m in range(n_members)]
        for path in paths:
            probs = rng.random((n, n_classes), dtype=np.float32)
            np.save(path, probs / probs.sum(axis=1, keepdims=True))
        del probs
        pairs = [(child("soft", paths), child("stack", paths)) for _ in range(rounds)]
    size = f"{n_members} members of {n} x {n_classes} float32"
    for name, which, bound in (("time", 0, "<= 1"), ("peak memory", 1, "<= 0.333")):
        ratios = sorted(soft[which] / stack[which] for soft, stack in pairs)
        soft, stack = (sorted(pair[side][which] for pair in pairs)[rounds // 2] for side in (0, 1))
        unit, scale = ("s", 1.0) if which == 0 else ("MB", 1e-6)
        yield Figure(
            f"soft vote of {size}, memory-mapped, over np.mean(np.stack(...), 0) in memory: {name}",
            ratios[rounds // 2],
            (ratios[0], ratios[-1]),
            bound,
            f"soft {soft * scale:.3g} {unit}, stack {stack * scale:.3g} {unit}",
        )


def greedy_loop(members: list[Array], labels: Array, steps: int) -> None:
    """Greedy selection as it is written by hand: every candidate's metric from scratch."""
    from sklearn.metrics import accuracy_score

    total = np.zeros_like(members[0])
    for step in range(steps):
        scores = [
            accuracy_score(labels, ((total + member) / (step + 1)).argmax(axis=1))
            for member in members
        ]
        total += members[int(np.argmax(scores))]


def greedy_selection(*, quick: bool) -> Iterator[Figure]:
    """Fifty members of 50,000 x 10, fifty steps."""
    from ensemble import GreedySelection

    n, n_classes, n_members, steps = 5_000 if quick else 50_000, 10, 50, 50
    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, n)
    members = []
    for m in range(n_members):
        logits = 1.5 * rng.standard_normal((n, n_classes), dtype=np.float32)
        logits[np.arange(n), labels] += 1 + 0.02 * m
        exponentials = np.exp(logits)
        members.append(exponentials / exponentials.sum(axis=1, keepdims=True))
    some = 1 if quick else 2  # steps of the loop that are timed; all cost the same
    size = f"{n_members} members x {n} rows x {n_classes} classes, {steps} steps"
    yield ratio(
        f"greedy selection over a loop with scikit-learn's metric, {size}",
        lambda: greedy_loop(members, labels, some),
        lambda: GreedySelection(n_steps=steps).fit(members, labels, kinds="probs"),
        ">= 20",
        scale=steps / some,
        rounds=1 if quick else 3,
        labels=(f"loop of {some} step(s)", "greedy"),
    )


def figures(*, quick: bool) -> Iterator[Figure]:
    """The figures of ensembles."""
    yield from soft_voting(quick=quick)
    yield from greedy_selection(quick=quick)
