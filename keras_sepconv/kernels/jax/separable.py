"""The primitive `separable_p`, its derivative and that one's transpose."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from keras_sepconv.kernels.jax import blocks, primitive
from keras_sepconv.kernels.jax.blocks import Arrays, Form
from keras_sepconv.kernels.jax.depthwise import convolve, depthwise_p
from keras_sepconv.kernels.jax.primitive import Tangents


def _compose(
    inputs: jax.Array,
    kernel: jax.Array,
    matrix: jax.Array,
    bias: jax.Array,
    *,
    form: Form,
) -> Arrays:
    return [blocks.add_bias(convolve(form, inputs, kernel) @ matrix, bias)]


def _compose_tangent(
    inputs: jax.Array,
    kernel: jax.Array,
    matrix: jax.Array,
    *tangents: jax.Array,
    form: Form,
    along: tuple[bool, ...],
) -> Arrays:
    directions = iter(tangents)
    terms = []
    if along[0]:
        terms.append(convolve(form, next(directions), kernel) @ matrix)
    if along[1]:
        terms.append(convolve(form, inputs, next(directions)) @ matrix)
    if along[2]:
        terms.append(convolve(form, inputs, kernel) @ next(directions))
    if along[3]:
        sizes = blocks.output_sizes(form)
        shape = (len(inputs), *sizes, matrix.shape[1])
        terms.append(jnp.broadcast_to(next(directions), shape))
    return [functools.reduce(jnp.add, terms)]


def _compose_gradients(
    inputs: jax.Array,
    kernel: jax.Array,
    matrix: jax.Array,
    gradient: jax.Array,
    *,
    form: Form,
    wanted: tuple[bool, ...],
) -> Arrays:
    found = []
    between = gradient @ matrix.T
    if wanted[0]:
        operands = (kernel, between)
        found += depthwise_p.bind(*operands, form=form, result="inputs")
    if wanted[1]:
        operands = (inputs, between)
        found += depthwise_p.bind(*operands, form=form, result="kernel")
    if wanted[2]:
        outputs = convolve(form, inputs, kernel)
        axes = tuple(range(gradient.ndim - 1))
        found.append(jnp.tensordot(outputs, gradient, (axes, axes)))
    if wanted[3]:
        # JAX sums half precision in float32.
        found.append(jnp.sum(gradient, range(gradient.ndim - 1)))
    return found


separable_p = primitive.make("separable", _compose, blocks.separable)
_tangent_p = primitive.make(
    "separable_tangent", _compose_tangent, _compose_tangent
)
_gradients_p = primitive.make(
    "separable_gradients", _compose_gradients, blocks.separable_gradients
)


def _jvp(
    primals: Sequence[jax.Array], tangents: Tangents, *, form: Form
) -> tuple[Arrays, Tangents]:
    form = dataclasses.replace(form, in_blocks=True)
    outputs = separable_p.bind(*primals, form=form)
    along = tuple(type(tangent) is not ad.Zero for tangent in tangents)
    directions = [t for t, live in zip(tangents, along, strict=True) if live]
    operands = (*primals[:3], *directions)
    return outputs, _tangent_p.bind(*operands, form=form, along=along)


def _tangent_transpose(
    cotangents: Tangents, *operands: Any, form: Form, along: tuple[bool, ...]
) -> list[Any]:
    (cotangent,) = cotangents
    if type(cotangent) is ad.Zero:
        return [None] * 3 + [ad.Zero(o.aval) for o in operands[3:]]
    gradients: list[Any] = _gradients_p.bind(
        *operands[:3], cotangent, form=form, wanted=along
    )
    return [None] * 3 + gradients


ad.primitive_jvps[separable_p] = _jvp
ad.primitive_transposes[_tangent_p] = _tangent_transpose
