"""What MkDocs is told beyond its pages: pages from elsewhere, commands, equations, the gallery."""

from __future__ import annotations

import html
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import notebooks  # noqa: E402

from cli.main import COMMANDS, main  # noqa: E402
from cli.options import GROUPS, RUNNING  # noqa: E402

#: Pages and pictures outside docs/ that belong to the site.
OUTSIDE = ("CHANGELOG.md", "benchmarks/**/*.md", "benchmarks/**/*.svg")

#: Pages of the Python reference: title, and the rooms whose public names it shows.
PYTHON = {
    "can": ("Alternating normalization", ("postproc.can",)),
    "calibration": ("Calibration", ("postproc.calibration",)),
    "shift": ("Label shift", ("postproc.shift",)),
    "ensembles": ("Ensembles", ("ensemble",)),
    "training": ("Training", ("ensemble.training",)),
    "decisions": ("Decisions", ("postproc.decisions",)),
    "reports": ("Reports and statistics", ("postproc.reports", "postproc.evaluation")),
    "predictions": ("Predictions and files", ("postproc",)),
}


def on_config(config: MkDocsConfig) -> None:
    """Every command and every notebook has its place among the pages."""
    reference = next(each["Reference"] for each in config.nav if "Reference" in each)
    commands = next(each for each in reference if "Command line" in each)
    commands["Command line"] = ["reference/commands/index.md"] + [
        {name: f"reference/commands/{name}.md"} for name in COMMANDS
    ]
    python = next(each for each in reference if "Python" in each)
    python["Python"] = ["reference/python/index.md"] + [
        {title: f"reference/python/{name}.md"} for name, (title, _) in PYTHON.items()
    ]
    benchmarks = next(each["Benchmarks"] for each in config.nav if "Benchmarks" in each)
    benchmarks += [
        path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("benchmarks/*/README.md"))
    ]
    gallery = next(each["Gallery"] for each in config.nav if "Gallery" in each)
    gallery += [{title: f"gallery/{name}.md"} for name, title in notebooks.titles().items()]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are not files of docs/."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            uri = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    context = click.Context(main, info_name="postproc")
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        page = "\n".join(command_page(command, click.Context(command, context, info_name=name)))
        _add(files, config, f"reference/commands/{name}.md", page)
    for name, content in python_pages().items():
        _add(files, config, f"reference/python/{name}.md", content)
    for uri, content in notebooks.pages(ROOT / "build" / "gallery"):
        _add(files, config, uri, content)


def _add(files: Files, config: MkDocsConfig, uri: str, content: str | bytes) -> None:
    """Add a page or a picture that no file holds."""
    files.append(File.generated(config, uri, content=content))


def python_pages() -> dict[str, str]:
    """Pages that mkdocstrings fills: each public name on that of its room."""
    pages = {name: f"# {title}\n" for name, (title, _) in PYTHON.items()}
    for package in ("postproc", "ensemble"):
        stub = (ROOT / package / "__init__.pyi").read_text(encoding="utf-8")
        for module, public in re.findall(r"from (\S+) import \(?\s*(\w+) as", stub):
            page = max(PYTHON, key=lambda name: _depth(package + module, PYTHON[name][1]))
            pages[page] += f"\n::: {package}.{public}\n"
    return pages


def _depth(module: str, rooms: tuple[str, ...]) -> int:
    """How well rooms fit a module: the length of the longest that holds it."""
    return max(len(room) if f"{module}.".startswith(f"{room}.") else -1 for room in rooms)


def command_page(command: click.Command, context: click.Context) -> Iterator[str]:
    """A page of one command: what it does, its options by group, and its examples."""
    yield f"# postproc {command.name}\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```\n"
    yield _escape(inspect.cleandoc(command.help or "")) + "\n"
    for group in GROUPS:
        options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
        records = [
            record
            for each in options
            if getattr(each, "group", RUNNING) == group
            and (record := each.get_help_record(context)) is not None
        ]
        if records:
            yield f"## {group}\n"
        for names, text in records:
            yield f"`{names}`\n:   {_escape(re.sub(r'  +', ' ', text))}\n"
    _, _, examples = (command.epilog or "").partition("Examples:\n")
    if examples:
        lines = inspect.cleandoc(examples).splitlines()
        prompts = (line if line.startswith(" ") else f"$ {line}" for line in lines)
        yield "## Examples\n\n```console\n" + "\n".join(prompts) + "\n```"


def _escape(text: str) -> str:
    """Text of a help page as Markdown."""
    return re.sub(r"([*_\[|])", r"\\\1", text).replace("<", "&lt;")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links between docs/ and the folders beside it, and to pages that only the site has."""
    # In the repository, an overview stands for the pages of commands and of Python.
    markdown = re.sub(r"(reference/(?:commands|python)/)index\.md#(\w+)", r"\1\2.md", markdown)
    if page.file.src_uri.startswith("reference/"):
        markdown = re.sub(r'<a id="(\w+)"></a>([^|]+?) \|', r"[\2](\1.md) |", markdown)
    if page.file.src_uri == "gallery/index.md":  # notebooks are pages of the site
        markdown = re.sub(r"\]\((\w+)\.py\)", r"](\1.md)", markdown)
    markdown = re.sub(r"\[([^\]]+)\]\([\w/.]+\.py\)", r"\1", markdown)
    if page.file.src_uri.startswith("benchmarks/"):
        return re.sub(r"\]\(((?:\.\./)+)docs/", r"](\1", markdown)
    return re.sub(r"\]\(((?:\.\./)*)\.\./(benchmarks/|CHANGELOG)", r"](\1\2", markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Equations as MathML, which browsers show by themselves."""
    content = re.sub(
        r'<span class="arithmatex">\\\((.*?)\\\)</span>', _inline, content, flags=re.DOTALL
    )
    return re.sub(
        r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', _block, content, flags=re.DOTALL
    )


def _inline(found: re.Match[str]) -> str:
    return _math(found[1], "inline")


def _block(found: re.Match[str]) -> str:
    return f'<div class="equation">{_math(found[1], "block")}</div>'


def _math(latex: str, display: str) -> str:
    """MathML, with the space after the name of a function that the converter forgets."""
    made = convert(html.unescape(latex), display=display)
    return re.sub(r"(<mi>(?:log|exp)</mi>)", r'\1<mspace width="0.17em"/>', made)
