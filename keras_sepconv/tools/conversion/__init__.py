"""Makes models faster: in place, or as a new model."""

from keras_sepconv.tools.conversion.accelerate import accelerate, decelerate
from keras_sepconv.tools.conversion.convert import convert_model, restore_model

__all__ = [
    "accelerate",
    "convert_model",
    "decelerate",
    "restore_model",
]
