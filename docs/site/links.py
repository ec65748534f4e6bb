"""Check every link of the built site: python docs/site/links.py build/site.

Links must lead to a file of the site, and to an id in it; nothing may be loaded from elsewhere.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Elements that load something, and the attribute that says what.
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """Ids of a page, what it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids, links and what is loaded."""
        given = dict(attrs)
        self.ids.update(filter(None, (given.get("id"), given.get("name"))))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if tag in LOADS and given.get(LOADS[tag]) and given.get("rel") != "canonical":
            self.loads.append(given[LOADS[tag]] or "")


def faults(site: Path) -> list[str]:
    """What is wrong with the links of a site, a line each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site.resolve())
        found += [
            f"{where}: loads {each}" for each in page.loads if urlsplit(each).scheme == "https"
        ]
        if where.name == "404.html":  # its links begin at the root
            continue
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                found.append(f"{where}: no file {link}")
            elif parts.fragment and unquote(parts.fragment) not in pages[target].ids:
                found.append(f"{where}: no place {link}")
    return found


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]))
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.exit(bool(lines))
