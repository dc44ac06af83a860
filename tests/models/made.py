"""The models of the table, with useful random weights, compiled."""

from typing import Any

import keras
import numpy as np
import subjects
from weights import give_signal


def model(name: str) -> Any:
    """Returns a model with useful weights, compiled, and a batch."""
    keras.utils.set_random_seed(0)
    made = subjects.SUBJECTS[name]()
    shape = (64, 128, 1) if "EEGNet" in name else subjects.SHAPE
    inputs = np.random.default_rng(0).standard_normal((8, *shape), "float32")
    if any(isinstance(one, keras.layers.Rescaling) for one in made.layers):
        inputs = 128 + 64 * inputs  # It takes pixels.
    if not getattr(made, "inputs", None):
        made(inputs[:1])
    give_signal(made)
    # A task of KerasHub has metrics that are only for classes.
    made.compile(keras.optimizers.SGD(0.01), _loss(made), metrics=[])
    return made, inputs


def _loss(made: Any) -> Any:
    if _has_own_step(made):
        return None
    return keras.tree.map_structure(lambda _: "mse", _structure(made))


def _has_own_step(made: Any) -> bool:
    return "train_step" in vars(type(made))


def _structure(made: Any) -> Any:
    """Returns the outputs of a graph, or "" for any other model."""
    return made.output if getattr(made, "outputs", None) else ""


def targets(made: Any, outputs: list[np.ndarray]) -> Any:
    """Returns targets; none for a model with its own training step."""
    if _has_own_step(made):
        return None
    rng = np.random.default_rng(2)
    drawn = [rng.standard_normal(one.shape, "float32") for one in outputs]
    return keras.tree.pack_sequence_as(_structure(made), drawn)
