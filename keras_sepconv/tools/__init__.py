"""Functions that make existing models faster, and that load old models."""

from keras_sepconv.tools.accelerate import accelerate, decelerate
from keras_sepconv.tools.convert import convert_model, restore_model
from keras_sepconv.tools.load import load_model
from keras_sepconv.tools.report import AccelerationReport, ConversionReport, Row

__all__ = [
    "AccelerationReport",
    "ConversionReport",
    "Row",
    "accelerate",
    "convert_model",
    "decelerate",
    "load_model",
    "restore_model",
]
