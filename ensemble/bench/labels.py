"""Places for labels beside marks, so that no label hides another or a mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Free room around a mark, and around a label.
MARK_ROOM = 5.0
LABEL_PAD = 1.0
#: Steps of the grid on which a label looks for room.
STEP = (6.0, 4.0)
#: What it costs, in units of distance, that the line to a label crosses another line or label.
CROSSING = 60.0


class Box(NamedTuple):
    """A rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the rectangle that is nearest to a point."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


def place_labels(
    marks: Any, sizes: Sequence[tuple[float, float]], within: Box, *, avoid: Sequence[Box] = ()
) -> list[Box]:
    """Find a place for the label of each mark: near it, free, and within the bounds.

    Labels take their places one by one, those of the most crowded marks first. Each takes the
    nearest free place, where a line that would cross others counts as a detour. A label for which
    no place is free takes the one that overlaps least.

    Parameters
    ----------
    marks : array_like of shape (n, 2)
        Where the marks are.
    sizes : sequence of n pairs
        Width and height of each label.
    within : Box
        Where labels may be.
    avoid : sequence of Box
        What labels must not cover, besides each other and the marks.

    Returns
    -------
    list of n Box
        A place for each label.
    """
    points = np.asarray(marks, dtype=np.float64).reshape(-1, 2)
    gaps = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    order = np.argsort(np.sort(gaps, axis=1)[:, : min(4, len(points))].sum(axis=1), kind="stable")
    blocked = np.vstack((_around(points), np.array(avoid, dtype=np.float64).reshape(-1, 4)))
    placed: dict[int, Box] = {}
    for index in order:
        others = np.array(list(placed.values()), dtype=np.float64).reshape(-1, 4) + _PAD
        taken = np.vstack((others, blocked))
        places = _candidates(points[index], sizes[index], within)
        ends = _nearest(places, points[index])
        cost = np.hypot(*(ends - points[index]).T)
        cost += 1e5 * _overlap(places, taken)
        for other, box in placed.items():
            start, end = points[other], np.array(box.nearest(*points[other]))
            cost += CROSSING * _crosses(points[index], ends, start, end)
            cost += CROSSING * _passes(points[index], ends, np.array(box))
            cost += CROSSING * _covered(places, start, end)
        placed[int(index)] = Box(*places[int(np.argmin(cost))].tolist())
    return [placed[index] for index in range(len(points))]


_PAD = np.array([-LABEL_PAD, -LABEL_PAD, LABEL_PAD, LABEL_PAD])


def _candidates(mark: Floats, size: tuple[float, float], within: Box) -> Floats:
    """Boxes of a size: right, left, above and below the mark, then all of a grid."""
    width, height = size
    x, y = mark
    near = [
        (x + MARK_ROOM, y - height / 2),
        (x - MARK_ROOM - width, y - height / 2),
        (x - width / 2, y + MARK_ROOM),
        (x - width / 2, y - MARK_ROOM - height),
    ]
    corner = np.maximum((within.right - width, within.top - height), (within.left, within.bottom))
    inside = [
        (a, b) for a, b in near if within.left <= a <= corner[0] and within.bottom <= b <= corner[1]
    ]
    grid = np.meshgrid(
        np.arange(within.left, corner[0] + 1e-9, STEP[0]),
        np.arange(within.bottom, corner[1] + 1e-9, STEP[1]),
    )
    lower = np.vstack((np.array(inside).reshape(-1, 2), np.column_stack([g.ravel() for g in grid])))
    return np.hstack((lower, lower + np.array(size)))


def _around(marks: Floats) -> Floats:
    room = MARK_ROOM - 0.5
    return np.hstack((marks - room, marks + room))


def _nearest(boxes: Floats, mark: Floats) -> Floats:
    return np.clip(mark, boxes[:, :2], boxes[:, 2:])


def _overlap(boxes: Floats, others: Floats) -> Floats:
    """Area that each box shares with any of the others."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2).sum(axis=1))


def _crosses(start: Floats, ends: Floats, first: Floats, second: Floats) -> NDArray[np.bool_]:
    """Whether the line from the start to each end crosses the line from first to second."""

    def side(a: Floats, b: Floats, c: Floats) -> Floats:
        return np.asarray(
            (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1])
            - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        )

    apart = side(start, ends, first) * side(start, ends, second) < 0
    return np.asarray(apart & (side(first, second, start) * side(first, second, ends) < 0))


def _passes(start: Floats, ends: Floats, box: Floats) -> NDArray[np.bool_]:
    """Whether the line from the start to each end passes through a box."""
    lower_left, lower_right = box[[0, 1]], box[[2, 1]]
    upper_left, upper_right = box[[0, 3]], box[[2, 3]]
    return _crosses(start, ends, lower_left, upper_right) | _crosses(
        start, ends, upper_left, lower_right
    )


def _covered(boxes: Floats, start: Floats, end: Floats) -> NDArray[np.bool_]:
    """Whether the line from start to end passes through each box."""
    steps = np.linspace(0, 1, 24)[:, None]
    line = start + steps * (end - start)
    x, y = line.T
    left, bottom, right, top = boxes[:, :, None].transpose(1, 0, 2)
    inside = (x > left) & (x < right) & (y > bottom) & (y < top)
    return np.asarray(inside.any(axis=1))
