"""Labels find room: none over another, over a mark, or outside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.bench.labels import MARK_ROOM, Box, place_labels

WITHIN = Box(30, 30, 320, 300)


def overlap(a, b):
    return a.left < b.right and b.left < a.right and a.bottom < b.top and b.bottom < a.top


def check(marks, sizes, boxes, within=WITHIN):
    for box, size in zip(boxes, sizes, strict=True):
        assert (box.right - box.left, box.top - box.bottom) == pytest.approx(size)
        assert within.left - 1e-6 <= box.left
        assert box.right <= within.right + 1e-6
        assert within.bottom - 1e-6 <= box.bottom
        assert box.top <= within.top + 1e-6
    for i, box in enumerate(boxes):
        assert not any(overlap(box, other) for other in boxes[:i])
        assert not any(box.left < x < box.right and box.bottom < y < box.top for x, y in marks)


@given(
    st.lists(st.tuples(st.floats(40, 310), st.floats(40, 290)), min_size=1, max_size=18),
    st.integers(30, 100),
)
@settings(max_examples=25)
def test_labels_hide_nothing(marks, width):
    sizes = [(width - 3.0 * (j % 5), 10.0) for j in range(len(marks))]
    check(marks, sizes, place_labels(marks, sizes, WITHIN))


def test_all_marks_in_one_place():
    marks = [(200.0, 150.0)] * 16
    sizes = [(80.0, 10.0)] * 16
    check(marks, sizes, place_labels(marks, sizes, WITHIN))


def test_a_lone_label_stands_to_the_right_of_its_mark():
    (box,) = place_labels([(100, 100)], [(50, 10)], WITHIN)
    assert box == pytest.approx((100 + MARK_ROOM, 95, 150 + MARK_ROOM, 105))


def test_labels_keep_off_what_they_are_to_avoid():
    line = Box(30, 99, 320, 101)
    (box,) = place_labels([(100, 100)], [(50, 10)], WITHIN, avoid=[line])
    assert not overlap(box, line)


def test_places_do_not_depend_on_the_run():
    marks = np.random.default_rng(0).uniform(50, 280, (15, 2))
    sizes = [(60.0, 10.0)] * 15
    assert place_labels(marks, sizes, WITHIN) == place_labels(marks, sizes, WITHIN)
