"""Reads models and leaves them as they are."""

from keras_sepconv.tools.inspection.report import (
    AccelerationReport,
    ConversionReport,
    Row,
    StreamingReport,
)

__all__ = [
    "AccelerationReport",
    "ConversionReport",
    "Row",
    "StreamingReport",
]
