"""Label shift: a test for it, the class prior of a target, and adaptation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
