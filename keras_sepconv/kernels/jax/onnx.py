"""Registers our primitives with jax2onnx, by which Keras exports to ONNX."""

import functools
from typing import Any

import jax
from jax2onnx.plugins.jax.lax._control_flow_utils import lower_jaxpr_eqns
from jax2onnx.plugins.plugin_system import (
    PrimitiveLeafPlugin,
    register_primitive,
)

from keras_sepconv.kernels.jax.primitive import MEANINGS


class _Meaning(PrimitiveLeafPlugin):  # type: ignore[misc]
    """Replaces a primitive by the operations of JAX that define it."""

    def lower(self, ctx: Any, eqn: Any) -> None:
        """Adds the operations of one equation to the ONNX graph."""
        meaning = functools.partial(MEANINGS[eqn.primitive], **eqn.params)
        operands = [
            jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars
        ]
        jaxpr = jax.make_jaxpr(meaning)(*operands).jaxpr
        for outer, inner in zip(eqn.invars, jaxpr.invars, strict=True):
            ctx.bind_value_for_var(inner, ctx.get_value_for_var(outer))
        lower_jaxpr_eqns(ctx, jaxpr, source=eqn.primitive.name)
        for outer, inner in zip(eqn.outvars, jaxpr.outvars, strict=True):
            ctx.bind_value_for_var(outer, ctx.get_value_for_var(inner))


@functools.cache
def register() -> None:
    """Registers every primitive."""
    for primitive in MEANINGS:
        register_primitive(jaxpr_primitive=primitive.name)(_Meaning)
