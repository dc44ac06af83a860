"""Random weights with which a network computes something useful."""

from typing import Any

import numpy as np


def give_signal(model: Any) -> None:
    """Sets random weights with which predictions differ between images.

    With Keras's default weights, all predictions are the same, because Keras
    takes wrong fans for a depthwise kernel. These kernels are those of He et
    al. (2015), scaled for what each of them sums over. Normalisations get
    weights and statistics as if they had been trained.
    """
    rng = np.random.default_rng(0)
    for variable in model.weights:
        name, shape = variable.name, tuple(variable.shape)
        if name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            # The last axis of a depthwise kernel has few filters a channel.
            is_depthwise = name != "pointwise_kernel"
            is_depthwise = is_depthwise and len(shape) == 4 and shape[-1] <= 2
            fan_in = np.prod(shape[: -2 if is_depthwise else -1])
            value = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        elif name in ("moving_variance", "gamma"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name in ("moving_mean", "beta", "bias"):
            value = 0.1 * rng.standard_normal(shape)
        else:
            continue
        variable.assign(value)
