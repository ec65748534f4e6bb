"""Notebooks of the gallery: kept as Python files, executed when the site is built."""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

GALLERY = Path(__file__).parents[1] / "gallery"


def titles() -> dict[str, str]:
    """Name and title of every notebook, in the order of their names."""
    found = {}
    for path in sorted(GALLERY.glob("[a-z]*.py")):
        heading = next(
            line for line in path.read_text(encoding="utf-8").splitlines() if line[:4] == "# # "
        )
        found[path.stem] = heading[4:]
    return found


def pages(cache: Path) -> Iterator[tuple[str, str | bytes]]:
    """Pages and pictures of all notebooks; what has not changed comes from the cache."""
    for name in titles():
        source = (GALLERY / f"{name}.py").read_bytes()
        kept = cache / f"{name}-{hashlib.sha256(source).hexdigest()[:16]}"
        if not kept.is_dir():
            shutil.rmtree(cache / name, ignore_errors=True)
            _execute(source.decode(), name, kept)
        for path in sorted(kept.iterdir()):
            yield f"gallery/{path.name}", path.read_bytes()


def _execute(source: str, name: str, folder: Path) -> None:
    """Run a notebook in a folder of its own; keep a page, its pictures and the notebook."""
    import jupytext
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = jupytext.reads(source, fmt="py:percent")
    with tempfile.TemporaryDirectory() as work:
        resources = {"metadata": {"path": work}}
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc")  # no network
        NotebookClient(notebook, km=kernel, timeout=300, resources=resources).execute()
    folder.mkdir(parents=True)
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png")
            if picture:
                file = f"{name}-{number}.png"
                (folder / file).write_bytes(base64.b64decode(picture))
                parts.append(f"![What this cell draws]({file})")
            elif output.output_type == "stream":
                parts.append(f"```text\n{output.text.rstrip()}\n```")
    parts.append(f"Executed when this site was built: [notebook]({name}.ipynb).")
    (folder / f"{name}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    (folder / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
