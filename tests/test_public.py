"""The public names and their parameters, pinned: `python -m tests.test_public` writes them anew."""

import inspect
from pathlib import Path

import ensemble
import postproc

PAGE = Path(__file__).with_name("public.txt")


def surface():
    """A line for each public name, with its parameters."""
    return "".join(
        f"{package.__name__}.{name}{parameters(getattr(package, name))}\n"
        for package in (postproc, ensemble)
        for name in sorted(package.__all__)
    )


def parameters(found):
    """Names of parameters: after `*` those that are given by name, before `=` optional ones."""
    if inspect.isclass(found) and issubclass(found, Warning):
        return ""
    listed = []
    for each in inspect.signature(found).parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in listed:
            listed.append("*")
        listed.append(each.name if each.default is each.empty else f"{each.name}=")
    return f"({', '.join(listed)})"


def test_public_names_and_parameters_are_as_pinned():
    wanted = PAGE.read_text(encoding="utf-8")
    assert surface() == wanted, "if this is meant, run python -m tests.test_public"


if __name__ == "__main__":
    PAGE.write_text(surface(), encoding="utf-8")
