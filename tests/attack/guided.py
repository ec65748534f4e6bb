"""Fuzzing guided by coverage: mutants that reach new lines are mutated further.

From the root: `make fuzz FUZZ_SECONDS=600`, or `python -m tests.attack.guided --seconds 600 --seed
1`, with `--only PART` for the subjects whose name begins so. It starts from a valid file of each
subject of `fuzz.py`, spoiled as there or by libFuzzer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

#: Where files are in memory, as the disk would take most of the time.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

#: Bytes before the data of an input: which subject it is for, and which of its files.
PLACE = 2


def main(seconds: int, seed: int, only: str) -> int:
    """Fuzz in another process, which libFuzzer ends; print counts and faults."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as root:
        words = [sys.executable, "-m", "tests.attack.guided", "--child", root, "--only", only]
        limits = ["-max_len=16384", "-timeout=1200", "-rss_limit_mb=2048", "-print_final_stats=1"]
        limits += [f"-max_total_time={seconds}", f"-seed={seed + 1}", f"{root}/corpus"]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [*words, "--", *limits], env=environment, capture_output=True, text=True, check=False
        )
        faults = Path(root, "faults")
        found = faults.read_text(encoding="utf-8") if faults.exists() else ""
    for line in done.stderr.splitlines():
        if line.startswith(("stat::number_of_executed_units", "stat::new_units_added")):
            print(line.removeprefix("stat::"))  # noqa: T201
    print(found, end="")  # noqa: T201
    if done.returncode and not found:
        print(done.stderr[-4000:])  # noqa: T201
    return int(bool(found) or bool(done.returncode))


def child(root: Path, only: str, limits: list[str]) -> None:
    """Fuzz until libFuzzer ends the process; new faults go to a file."""
    import atheris

    with atheris.instrument_imports(include=["postproc", "ensemble"]):
        from tests.attack import fuzz

    warnings.simplefilter("ignore")
    subjects = [each for name, each in fuzz.SUBJECTS.items() if name.startswith(only)]
    names = [name for name in fuzz.SUBJECTS if name.startswith(only)]
    folder, seen = fuzz.Folder(root / "attacked"), set[str]()
    contents = [fuzz.made(each, Path(tempfile.mkdtemp(dir=root))) for each in subjects]
    corpus = root / "corpus"
    corpus.mkdir(exist_ok=True)
    for at, content in enumerate(contents):
        for place, data in enumerate(content.values()):
            (corpus / f"{at}.{place}").write_bytes(bytes([at, place]) + data)

    def chosen(data: bytes) -> tuple[int, str]:
        at = data[0] % len(subjects)
        files = list(contents[at])
        return at, files[data[1] % len(files)]

    def attack(data: bytes) -> None:
        if len(data) < PLACE:
            return
        at, name = chosen(data)
        try:
            fuzz.judge(subjects[at], contents[at], name, data[PLACE:], folder, applied=False)
        except Exception as error:
            where = f"{names[at]} {fuzz.place_of(error)}"
            if where not in seen:
                seen.add(where)
                with (root / "faults").open("a", encoding="utf-8") as file:
                    file.write(f"{where}: {error}\n")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        if len(data) >= PLACE and rng.random() < 0.5:
            try:
                spoiled = fuzz.spoil(chosen(data)[1], data[PLACE:], rng)
            except Exception:  # it is of its format no more
                spoiled = fuzz.spoil_bytes(data[PLACE:], rng)
            return (data[:PLACE] + spoiled)[:most]
        return atheris.Mutate(data, most)  # type: ignore[no-any-return]

    atheris.Setup([sys.argv[0], *limits], attack, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("limits", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        child(given.child, given.only, given.limits)
    raise SystemExit(main(given.seconds, given.seed, given.only))
