"""Folds for cross-validation; those of `postproc`, which has its own use for them."""

from __future__ import annotations

from postproc.folds import stratified_folds

__all__ = ["stratified_folds"]
