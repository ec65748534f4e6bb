from .adapter import LabelShiftAdapter
from .bbse import bbse_prior
from .draws import draw_target
from .evidence import NoShiftTest, no_shift_test
from .prior import PriorEstimate, em_prior, map_prior
from .reweight import joint_normalization, reweight

__all__ = [
    "LabelShiftAdapter",
    "NoShiftTest",
    "PriorEstimate",
    "bbse_prior",
    "draw_target",
    "em_prior",
    "joint_normalization",
    "map_prior",
    "no_shift_test",
    "reweight",
]
