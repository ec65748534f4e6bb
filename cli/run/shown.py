"""Options of `postproc report`: what it contains, and its form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cli.messages import refuse
from cli.options import OUTPUT, Outputs, given


@dataclass(frozen=True)
class Shown:
    """What a report contains, and in which form it is printed and written."""

    GROUP: ClassVar = OUTPUT

    per_class: bool = given("Add metrics of each class, and the confusions that changed most.")
    diversity: bool = given("Add how much the mistakes of each pair of models differ.")
    as_markdown: bool = given("Print Markdown.", "--markdown")
    as_csv: bool = given("Print CSV, with fractions.", "--csv")
    html: Path | None = given("Also write a page with tables and plots to this file.")
    title: str = given("Title of the page.", default="Accuracy report")

    def check(self, outputs: Outputs) -> None:
        """Refuse options that exclude each other, and pages that cannot be written."""
        printed = {"--json": outputs.as_json, "--csv": self.as_csv, "--markdown": self.as_markdown}
        unlike = [name for name, wanted in printed.items() if wanted]
        if self.as_csv and len(unlike) == 1:
            more = {"--per-class": self.per_class, "--diversity": self.diversity}
            unlike += [name for name, wanted in more.items() if wanted]
        if len(unlike) > 1:
            refuse(f"{unlike[0]} and {unlike[1]} exclude each other")
        if self.html is not None:
            from cli.task.output import check_apart
            from postproc.files import check_output

            check_output(self.html, overwrite=outputs.overwrite, suffixes=(".html", ".htm"))
            check_apart(self.html, option="--html")
