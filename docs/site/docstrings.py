"""Equations of docstrings, in reStructuredText, as Markdown has them."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from griffe import Extension, Object

BLOCK = re.compile(r"^( *)\.\. math:: *(.*\n(?:\1 +.*\n?)*)", re.MULTILINE)


class Equations(Extension):  # type: ignore[misc]
    """Rewrites `.. math::` and :math: before docstrings are parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            text = BLOCK.sub(_block, obj.docstring.value + "\n")
            obj.docstring.value = re.sub(r":math:`([^`]+)`", r"$\1$", text)


def _block(found: re.Match[str]) -> str:
    """An equation between two lines of dollars."""
    inside = textwrap.indent(textwrap.dedent(" ".join(found[2].split())), found[1])
    return f"{found[1]}$$\n{inside}\n{found[1]}$$\n\n"
