"""Functions that change existing models, and that load old models.

A folder imports only from the folders above it in this list:

- `inspection`: reads models and leaves them as they are.
- `conversion`: makes models faster.
- `streaming`: makes models run step by step.
- `legacy`: loads files, also old ones.
- `commands`: the command line, for `keras_sepconv.__main__` and `bench`.
"""

from keras_sepconv.tools.conversion import (
    accelerate,
    convert_model,
    decelerate,
    restore_model,
)
from keras_sepconv.tools.inspection import (
    AccelerationReport,
    ConversionReport,
    Row,
    StreamingReport,
)
from keras_sepconv.tools.legacy import load_model
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
