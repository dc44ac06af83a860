"""Functions that change existing models, and that load old models."""

from keras_sepconv.tools.accelerate import accelerate, decelerate
from keras_sepconv.tools.convert import convert_model, restore_model
from keras_sepconv.tools.load import load_model
from keras_sepconv.tools.report import (
    AccelerationReport,
    ConversionReport,
    Row,
    StreamingReport,
)
from keras_sepconv.tools.streaming import initial_states, streaming_model

__all__ = [
    "AccelerationReport",
    "ConversionReport",
    "Row",
    "StreamingReport",
    "accelerate",
    "convert_model",
    "decelerate",
    "initial_states",
    "load_model",
    "restore_model",
    "streaming_model",
]
