"""Better predictions from saved ones: CAN, calibration, label shift and honest reports."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
