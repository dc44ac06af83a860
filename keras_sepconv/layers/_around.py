"""Tells when a layer's call needs nothing of what Keras does around it."""

from typing import Any

import keras

from keras_sepconv._spec import Tensor, dtype_name

if keras.backend.backend() == "torch":
    import torch

    def is_bare(layer: Any, kernel: Any, inputs: Tensor) -> bool:
        """Tells whether Keras would do nothing but call `layer.call(inputs)`.

        Keras finds that out at each call, and takes longer for it than a small
        convolution. A call is bare if there is nothing to build, to cast, to
        mask, to regularize, to distribute, or to tell a layer inside.

        Args:
            layer: A layer of this package that has weights.
            kernel: One of them.
            inputs: The only argument of the call.
        """
        if torch.compiler.is_compiling():
            return False
        # A symbolic tensor has another type. A mask is an attribute.
        if type(inputs) is not torch.Tensor or vars(inputs):
            return False
        if not layer.built or torch.jit.is_tracing():
            return False
        dtype = layer.compute_dtype
        return (
            dtype_name(inputs.dtype) == dtype
            and layer.variable_dtype == dtype
            # A layer around it may be of mixed precision, and casts variables.
            and kernel.value.dtype == inputs.dtype
            and layer.activity_regularizer is None
            and not isinstance(layer.activation, keras.layers.Layer)
            and not layer.supports_masking
            and layer.input_spec is None
            and keras.distribution.distribution() is None
        )

else:

    def is_bare(layer: Any, kernel: Any, inputs: Tensor) -> bool:
        """Returns `False`: elsewhere, the way around is short or compiled."""
        return False
