"""Compiles the result of a conversion in the same way as the original model."""

import re
from collections.abc import Iterator
from typing import Any

import keras

from keras_sepconv.tools.conversion.carry import same
from keras_sepconv.tools.conversion.objects import own_objects
from keras_sepconv.tools.inspection.words import short_error

# Attributes that may be set after `compile`; then its config lacks them.
_SETTINGS = ("run_eagerly", "jit_compile", "steps_per_execution")

# The attribute that `exclude_from_weight_decay` sets in an optimizer. Keras 3.6
# to 3.15 has no public way to read it.
_EXCLUDED = "_exclude_from_weight_decay"
_CACHE = f"{_EXCLUDED}_cache"

_PLAIN = (bool, int, float, str, re.Pattern)


def compile_alike(model: Any, other: Any) -> list[str]:
    """Compiles `other` in the same way as `model`.

    Args:
        model: The model before a conversion.
        other: The result, which has the same weights in the same order.

    Returns:
        A sentence for each thing that `other` does not get.
    """
    if not model.compiled:
        return []
    try:
        config = _config(model)
        with keras.saving.custom_object_scope(own_objects(model, config)):
            other.compile_from_config(config)
    except Exception as error:  # A user's loss or metric may raise anything.
        return [
            "Not compiled, because the compile state cannot be made again: "
            f"{short_error(error)}."
        ]
    if not other.compiled:
        return ["Not compiled, because its `compile` is a method of its own."]
    for name in _SETTINGS:
        setattr(other, name, getattr(model, name))
    if model.optimizer is None:
        return []
    return [*_carry_state(model, other), *_carry_attributes(model, other)]


def _config(model: Any) -> dict[str, Any]:
    """Returns the compile config, with the optimizer that the model has now.

    The config does not say whether `compile` wrapped the optimizer to scale the
    loss. And a user may have replaced the optimizer afterwards.
    """
    config: dict[str, Any] = model.get_compile_config()
    plain = keras.Model.get_compile_config
    if type(model).get_compile_config is not plain:
        return config
    optimizer = keras.saving.serialize_keras_object(model.optimizer)
    return {**config, "optimizer": optimizer, "auto_scale_loss": False}


def _carry_state(model: Any, other: Any) -> list[str]:
    before, after = model.optimizer, other.optimizer
    if not before.built:
        return []
    try:
        if not after.built:  # A loss-scaling one must not be built twice.
            after.build(other.trainable_variables)
        values = [
            keras.ops.copy(variable.value)
            for variable in same(before, after, "variables")
        ]
    except Exception as error:
        # This happens after `predict` on JAX, if the optimizer keeps averages:
        # `predict` donates their arrays.
        return [
            f"The optimizer's state begins anew, because: {short_error(error)}."
        ]
    for variable, value in zip(after.variables, values, strict=True):
        variable.assign(value)
    return []


def _carry_attributes(model: Any, other: Any) -> list[str]:
    """Copies the attributes of an optimizer that its config lacks.

    Returns:
        A sentence for each attribute that cannot be copied.
    """
    lost: list[str] = []
    for before, after in zip(
        _optimizers(model.optimizer), _optimizers(other.optimizer), strict=True
    ):
        held = vars(after)
        for name, value in vars(before).items():
            if name in held or name == _CACHE:
                continue
            if name == _EXCLUDED:
                twins = zip(model.weights, other.weights, strict=True)
                value = {
                    after._var_key(new)
                    for old, new in twins
                    if before._var_key(old) in value
                }
            elif value is not None and not isinstance(value, _PLAIN):
                lost.append(name)
                continue
            setattr(after, name, value)
    return [
        f"The optimizer's attribute `{name}` is not carried, because it is "
        "not in its config."
        for name in lost
    ]


def _optimizers(optimizer: Any) -> Iterator[Any]:
    """Yields an optimizer and the optimizers that it wraps."""
    yield optimizer
    for value in list(vars(optimizer).values()):
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(one, keras.optimizers.Optimizer):
                yield from _optimizers(one)
