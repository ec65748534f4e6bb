"""Reports as they are shown: their tables in every format."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from postproc.reports import text
from postproc.reports.html import notebook_html
from postproc.reports.numbers import Compared, M
from postproc.reports.tables import Table


class ShownReport(Compared[M]):
    """Base of reports. A subclass has `tables`."""

    def tables(self, *, per_class: bool = False) -> list[Table]:
        """Return all tables; see `to_dict` for `per_class`."""
        raise NotImplementedError

    def to_text(self, *, per_class: bool = False, width: int = 100) -> str:
        """Return tables for a terminal of `width` columns; see `to_dict` for `per_class`."""
        return text.to_text(self.tables(per_class=per_class), width=width)

    def to_markdown(self, *, per_class: bool = False) -> str:
        """Return Markdown tables; see `to_dict` for `per_class`."""
        return text.to_markdown(self.tables(per_class=per_class))

    def _repr_html_(self) -> str | None:
        """Tables for a notebook, which shows the text where Jinja2 is missing."""
        return notebook_html(self, self.tables()) if find_spec("jinja2") is not None else None

    def __rich__(self) -> Any:
        """Tables for a rich console."""
        return text.renderable(self.tables())
