"""Variants of texts: punctuation between words (AEDA), and edits by the roles of words (STA)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
