"""Makes models run step by step."""

from keras_sepconv.tools.streaming.model import initial_states, streaming_model

__all__ = [
    "initial_states",
    "streaming_model",
]
