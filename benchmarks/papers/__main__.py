"""Checks of CAN as published: python -m benchmarks.papers presets|blog|simulation."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.papers import blog, plots, protocol, reference_study, simulation, tables
from benchmarks.papers import simulation_tables as simulated
from postproc.files import atomic_path

#: What `--quick` runs: enough to see that it works, too little to conclude from.
QUICK = {"classes": (2, 5, 10), "repeats": 3, "alphas": (0.5, 1.0, 2.0), "iterations": (1, 3)}


def main(arguments: Sequence[str] | None = None, quick: Mapping[str, Any] = QUICK) -> None:
    """Run one of the three checks and print its tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.papers",
        description="Classification with alternating normalization under published protocols.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runs = argparse.ArgumentParser(add_help=False)
    runs.add_argument("paths", metavar="RUNDIR", nargs="+")
    runs.add_argument("--models", nargs="+", metavar="NAME", help="some members only")
    presets = commands.add_parser(
        "presets", parents=[runs], help="the presets, fixed and tuned, on run directories"
    )
    presets.add_argument("--csv", type=Path, metavar="FILE", help="write every result")
    presets.add_argument("--fixed", action="store_true", help="leave the tuned settings out")
    against = commands.add_parser(
        "blog", parents=[runs], help="the blog's figures beside members of run directories"
    )
    against.add_argument("--seeds", type=int, default=10, help="noise seeds [10]")
    study = commands.add_parser("simulation", help="the simulation and its plots")
    study.add_argument("--repeats", type=int, default=20, help="repeats >= 2 [20]")
    study.add_argument("--seed", type=int, default=0, help="[0]")
    study.add_argument("--quick", action="store_true", help="a few classes, 3 repeats: seconds")
    study.add_argument("--out", type=Path, metavar="FOLDER", help="write CSV files and plots")
    study.set_defaults(quick_options=quick)
    given = parser.parse_args(arguments)
    try:
        {"presets": _presets, "blog": _blog, "simulation": _simulation}[given.command](given)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def _presets(given: argparse.Namespace) -> None:
    settings = [s for s in protocol.SETTINGS if not (given.fixed and s.is_tuned)]
    results = protocol.measure(given.paths, models=given.models, settings=settings, say=_say)
    if not results:
        raise ValueError("no member has one of these names")
    print(tables.summary(results))
    print("\n" + tables.by_condition(results))
    print("\n" + tables.by_task(results))
    for setting in settings:
        print(f"\n### {setting.name}\n\n{tables.by_member(results, setting.name)}")
    if given.csv is not None:
        _write(given.csv, tables.to_csv(results))


def _blog(given: argparse.Namespace) -> None:
    found = list(protocol.members(given.paths, given.models))
    if not found:
        raise ValueError("no member has one of these names")
    print(blog.table(blog.compare_with_blog(found, seeds=given.seeds, say=_say)))


def _simulation(given: argparse.Namespace) -> None:
    common: dict[str, Any] = {"repeats": given.repeats, "seed": given.seed, "say": _say}
    if given.quick:
        common |= given.quick_options
        cells = simulation.simulate(**common)
        few = {"classes": common["classes"][:2], "repeats": common["repeats"]}
        reference = reference_study.study(**few, seed=given.seed, say=_say)
    else:
        cells = simulation.simulate(**common)
        reference = reference_study.study(**common)
    print(simulated.default_setting(cells))
    print("\n" + simulated.counts(cells))
    for name in dict.fromkeys(c.situation for c in cells if c.alpha != 1.0):
        print(f"\n### {name}\n\n{simulated.by_setting(cells, name)}")
    print("\n" + simulated.by_bucket(cells))
    print("\n" + reference_study.table(reference))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        for name, found in (("simulation", cells), ("reference", reference)):
            _write(given.out / f"{name}.csv", simulated.to_csv(found))
        for path in plots.draw_all(cells, reference, given.out):
            _say(str(path))


def _write(path: Path, text: str) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
