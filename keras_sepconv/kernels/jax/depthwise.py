"""The primitive `depthwise_p`: the depthwise convolution and its transposes."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad, batching

from keras_sepconv.kernels.jax import blocks, primitive
from keras_sepconv.kernels.jax.blocks import Arrays, Form
from keras_sepconv.kernels.jax.primitive import Tangents

_ROLES = ("inputs", "kernel", "outputs")


def _native(a: jax.Array, b: jax.Array, *, form: Form, result: str) -> Arrays:
    """Returns the depthwise `result`, computed by JAX's own convolution."""
    spec, multiplier = form.spec, form.multiplier
    axes = "DHW"[-spec.rank :]

    def convolve(images: jax.Array, kernel: jax.Array) -> jax.Array:
        channels = images.shape[-1]
        return lax.conv_general_dilated(
            images,
            kernel.reshape(*spec.kernel_size, 1, channels * multiplier),
            spec.strides,
            [spec.pads(*size) for size in enumerate(form.sizes)],
            rhs_dilation=spec.dilation_rate,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
            feature_group_count=channels,
        )

    if result == "outputs":
        return [convolve(a, b)]
    if result == "inputs":
        shape = (len(b), *form.sizes, a.shape[-2])
        images = jax.ShapeDtypeStruct(shape, a.dtype)
        return list(jax.linear_transpose(lambda x: convolve(x, a), images)(b))
    shape = (*spec.kernel_size, a.shape[-1], multiplier)
    kernel = jax.ShapeDtypeStruct(shape, a.dtype)
    return list(jax.linear_transpose(lambda k: convolve(a, k), kernel)(b))


depthwise_p = primitive.make("depthwise", _native, blocks.depthwise)


def convolve(form: Form, images: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the depthwise outputs."""
    return depthwise_p.bind(images, kernel, form=form, result="outputs")[0]


def _jvp(
    primals: Sequence[jax.Array],
    tangents: Tangents,
    *,
    form: Form,
    result: str,
) -> tuple[Arrays, Tangents]:
    form = dataclasses.replace(form, in_blocks=True)
    params = {"form": form, "result": result}
    (outputs,) = depthwise_p.bind(*primals, **params)
    terms = [
        depthwise_p.bind(*primals[:i], tangent, *primals[i + 1 :], **params)[0]
        for i, tangent in enumerate(tangents)
        if type(tangent) is not ad.Zero
    ]
    return [outputs], [functools.reduce(jnp.add, terms)]


def _transpose(
    cotangents: Tangents, *operands: Any, form: Form, result: str
) -> list[Any]:
    (cotangent,) = cotangents
    roles = [role for role in _ROLES if role != result]
    at = 0 if ad.is_undefined_primal(operands[0]) else 1
    if type(cotangent) is ad.Zero:
        found = ad.Zero(operands[at].aval)
    else:
        values = {result: cotangent, roles[1 - at]: operands[1 - at]}
        (found,) = depthwise_p.bind(
            *(values[role] for role in _ROLES if role in values),
            form=form,
            result=roles[at],
        )
    return [found, None] if at == 0 else [None, found]


def _batch(
    operands: Sequence[jax.Array],
    axes: Sequence[Any],
    *,
    form: Form,
    result: str,
) -> tuple[Arrays, list[int]]:
    """Merges the new axis into the batch or into the channels.

    It becomes part of the channels if each of its elements has its own kernel,
    or if the result is the gradient of the kernel.
    """
    roles = [role for role in _ROLES if role != result]
    (size,) = {
        operand.shape[axis]
        for operand, axis in zip(operands, axes, strict=True)
        if axis is not None
    }
    if size == 0:
        # An empty result: speed does not matter.
        native = functools.partial(_native, form=form, result=result)
        return jax.vmap(native, tuple(axes))(*operands), [0]
    mapped = {
        role for role, axis in zip(roles, axes, strict=True) if axis is not None
    }
    with_batch = result != "kernel" and "kernel" not in mapped
    merged = []
    for role, operand, axis in zip(roles, operands, axes, strict=True):
        if axis is not None:
            operand = jnp.moveaxis(operand, axis, 0)
        elif not (with_batch and role == "kernel"):
            operand = jnp.broadcast_to(operand, (size, *operand.shape))
        if with_batch:
            if role != "kernel":
                operand = operand.reshape(-1, *operand.shape[2:])
        else:
            # The new axis goes before the channels. In a kernel that is the
            # third axis from the end.
            to = -3 if role == "kernel" else -2
            operand = jnp.moveaxis(operand, 0, to)
            shape = operand.shape
            operand = operand.reshape(
                *shape[:to], shape[to] * shape[to + 1], *shape[to:][2:]
            )
        merged.append(operand)
    (found,) = depthwise_p.bind(*merged, form=form, result=result)
    if with_batch:
        return [found.reshape(size, -1, *found.shape[1:])], [0]
    axis = found.ndim - (2 if result == "kernel" else 1)
    shape = found.shape
    found = found.reshape(
        *shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]
    )
    return [found], [axis]


ad.primitive_jvps[depthwise_p] = _jvp
ad.primitive_transposes[depthwise_p] = _transpose
batching.primitive_batchers[depthwise_p] = _batch
