"""Draw gain_and_loss.svg from tables of benchmarks/README.md.

`python docs/pictures/gain_and_loss.py` writes it.
"""

from __future__ import annotations

import re
from pathlib import Path

FIGURES = Path(__file__).parents[2] / "benchmarks" / "README.md"
PICTURE = Path(__file__).with_suffix(".svg")

#: Row of a table, heading and description of every method shown.
METHODS = {
    "| auto |": ("auto", "each step only where held-out rows agree"),
    "| em |": ("EM", "the target's class prior, unrestrained"),
    "| can-blog |": ("CAN as published", "with the prior of the training set"),
}
TARGETS = ("no shift", "Dirichlet(0.5)", "long tail 50 : 1")

WIDTH, LEFT, LABELS, ZERO, UNIT = 760, 24, 388, 508, 22.0
ROW, BAR, TOP = 92, 16, 76

STYLE = """
  .card { fill: #ffffff; stroke: #d9dde3 }  text { fill: #1f2937 }  .soft { fill: #5b6470 }
  .gain { fill: #2463b4 }  .loss { fill: #c2410c }
  .line { stroke: #9aa3ae }  .reach { stroke: #1f2937 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #171b22; stroke: #333b47 }  text { fill: #e5e9ef }  .soft { fill: #a4adba }
    .gain { fill: #6ea8f0 }  .loss { fill: #f0894f }
    .line { stroke: #5d6673 }  .reach { stroke: #e5e9ef }
  }
  text { font: 13px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif }
  .title { font-size: 16px; font-weight: 650 }  .name { font-size: 14px; font-weight: 650 }
  .small { font-size: 12px }
"""


def figures(start: str) -> tuple[list[tuple[float, float]], float]:
    """Mean gain and half-width under each shift, and the worst cell, of the row of a table."""
    text = FIGURES.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(start))
    pairs = re.findall(r"([+-][\d.]+) ±([\d.]+)", row)[: len(TARGETS)]
    worst = re.findall(r"\| ([+-][\d.]+) \|", row)[-1]
    return [(float(mean), float(reach)) for mean, reach in pairs], float(worst)


def number(value: float) -> str:
    """A signed number with a true minus."""
    return f"{value:+.2f}".replace("-", "−")


def picture() -> str:
    """The picture, one group of bars a method."""
    height = TOP + ROW * len(METHODS) + 30
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Points of accuracy gained by three methods under three shifts">',
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        f'<text class="title" x="{LEFT}" y="32">A real gain, a gamble and a real loss</text>',
        f'<text class="soft" x="{LEFT}" y="52">Points of accuracy over a model\'s own predictions: '
        "39 models of 7 tasks, with 95 % intervals</text>",
    ]
    for place, (start, (name, text)) in enumerate(METHODS.items()):
        gains, worst = figures(start)
        y = TOP + ROW * place + 8
        lines += [
            f'<text class="name" x="{LEFT}" y="{y + 14}">{name}</text>',
            f'<text class="soft small" x="{LEFT}" y="{y + 32}">{text}</text>',
            f'<text class="soft small" x="{LEFT}" y="{y + 50}">'
            f"worst of 117 cells: {number(worst)}</text>",
        ]
        for target, (mean, reach) in zip(TARGETS, gains, strict=True):
            x, length = ZERO + min(mean, 0) * UNIT, abs(mean) * UNIT
            middle = y + BAR / 2
            low, high = ZERO + (mean - reach) * UNIT, ZERO + (mean + reach) * UNIT
            lines += [
                f'<rect class="{"gain" if mean > 0 else "loss"}" x="{x:.1f}" y="{y}" '
                f'width="{length:.1f}" height="{BAR}" rx="2"/>',
                f'<path class="reach" d="M{low:.1f} {middle}H{high:.1f}" stroke-width="1.3"/>',
                f'<text class="soft small" x="{LABELS}" y="{middle + 4}" '
                f'text-anchor="end">{target}</text>',
                f'<text class="small" x="{max(high, ZERO) + 8:.1f}" y="{middle + 4}">'
                f"{number(mean)}</text>",
            ]
            y += BAR + 7
    bottom = TOP + ROW * len(METHODS)
    lines += [
        f'<path class="line" d="M{ZERO} {TOP}V{bottom - 14}"/>',
        f'<text class="soft small" x="{LEFT}" y="{bottom + 14}">'
        "From benchmarks/README.md. A cell is one model of one task under one shift.</text>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
