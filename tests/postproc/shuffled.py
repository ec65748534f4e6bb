"""An engine for tests of what must not depend on the order in which blocks are finished."""

import random


class Shuffled:
    """An engine that finishes its blocks in a random order."""

    def __init__(self, seed=0):
        self.seed = seed

    def run(self, part, cuts):
        order = list(range(len(cuts)))
        random.Random(self.seed).shuffle(order)
        for number in order:
            yield number, part(cuts[number])
