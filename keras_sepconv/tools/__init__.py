"""What makes models that exist faster, and what loads old ones."""

from keras_sepconv.tools.convert import convert_model, restore_model
from keras_sepconv.tools.load import load_model
from keras_sepconv.tools.report import ConversionReport, Row

__all__ = [
    "ConversionReport",
    "Row",
    "convert_model",
    "load_model",
    "restore_model",
]
