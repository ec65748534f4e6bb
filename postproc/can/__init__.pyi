from .estimator import CAN as CAN
from .loop import alternating_normalization_loop as alternating_normalization_loop
from .operation import alternating_normalization as alternating_normalization
from .reference import Reference as Reference
from .tuning import tune_can as tune_can
