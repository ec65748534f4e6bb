"""Decisions on a file: labels, abstention or sets, written as they come, and what they are worth."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from cli.messages import note_written, percent
from cli.options import Fit, Prior
from cli.run.outcome import Outcome, save
from cli.task.doubts import fit_doubts, same_rows
from cli.task.load import load, load_fit_and_target, load_ordered_labels
from cli.task.output import decision_path, lost_ids
from cli.task.runner import Runner
from postproc.decisions.abstention import SelectiveClassifier
from postproc.decisions.costs import CostCheck, LeastCost, check_costs
from postproc.decisions.decider import Decider
from postproc.decisions.rules import ABSTAINED, DecideRows, Rule, probabilities_of
from postproc.decisions.sets import ConformalSets
from postproc.evaluation.paired import wilson_interval
from postproc.files.costs import load_costs
from postproc.files.decided import save_labels, save_sets
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Source
