"""Options of `postproc bench`: what is measured, and the reports that are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cli.options import INPUT, OUTPUT, given
from cli.parameter_types import Count, MetricName


@dataclass(frozen=True)
class Protocol:
    """What is measured on which targets."""

    models: Sequence[str] = given(
        "Members to use; may be repeated.  [default: all]",
        metavar="NAME,...",
        multiple=True,
        group=INPUT,
    )
    methods: Sequence[str] = given(
        "Names of methods, or member, ensemble, all; may be repeated.",
        metavar="NAME,...",
        multiple=True,
        default=("all",),
    )
    decisions: bool = given(
        "Measure decisions in place of methods: abstention and sets, whether their guarantees "
        "hold, and what class weights gain; on members only, with --draws and --costly."
    )
    costly: int = given(
        "--decisions: number of draws for methods that take long to fit.", type=Count(0), default=20
    )
    shifts: Sequence[str] = given(
        "Class priors of the targets: none (unchanged), dirichlet:A (random, concentration "
        "A), longtail:R (largest over smallest class R); may be repeated.",
        "--shift",
        metavar="SHIFT,...",
        multiple=True,
        default=("none,dirichlet:0.5,longtail:50",),
    )
    metric: str = given(
        "What gains are in, in points (1/100), positive where better: any metric of postproc "
        "report but cost. It also chooses the best member, and auto is told to improve it.",
        type=MetricName(),
        metavar="NAME",
        default="accuracy",
    )
    draws: int = given("Number of targets for each shift.", type=Count(1), default=20)
    rows: int = given("Maximum number of rows of a target.", type=Count(1), default=2000)


@dataclass(frozen=True)
class Reports:
    """Files to write beside the results."""

    GROUP: ClassVar = OUTPUT

    html: Path | None = given("Also write a page with plots.")
    csv: Path | None = given("Also write every cell as CSV.")
    markdown: Path | None = given("Also write the tables.")
    title: str = given("Title of the page.", default="Benchmark")

    @property
    def paths(self) -> dict[str, Path]:
        """The files that were asked for."""
        found = {"html": self.html, "csv": self.csv, "markdown": self.markdown}
        return {name: path for name, path in found.items() if path is not None}
