"""From probabilities to decisions: labels, class weights, costs, abstention, prediction sets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
