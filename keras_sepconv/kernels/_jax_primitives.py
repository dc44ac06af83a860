"""JAX primitives for depthwise and separable convolutions.

This package needs primitives of its own for two reasons. JAX knows the platform
only when it lowers a program. And `custom_vjp` has no forward-mode derivative.
The primitives have the same rules as JAX's own operations:

- `depthwise` is the convolution and its two transposes. Take the sum over all
  products of an input, a tap and an output. Its derivative for one of the three
  is a function of the other two. The parameter `result` names this one:
  "outputs" is the convolution, "inputs" and "kernel" are the gradients.
- `separable` adds the matrix product and the bias.
- `separable_tangent` is the derivative of `separable` along given directions.
- `separable_gradients` is the transpose of `separable_tangent`; it computes all
  gradients at once.

On a CPU, `separable` and `separable_gradients` compute a few images at a time
(`_jax_blocks`), which saves most of the memory traffic. In all other cases
(higher derivatives, `vmap` over weights, other platforms) the primitives are
computed by `depthwise` and matrix products, as defined below.

All images here are in channels_last.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from keras_sepconv.kernels import _jax_blocks as blocks
from keras_sepconv.kernels._jax_blocks import Arrays, Form

_ROLES = ("inputs", "kernel", "outputs")

# The definitions of the separable primitives, by the depthwise one.


def _convolve(form: Form, images: jax.Array, kernel: jax.Array) -> jax.Array:
    return depthwise.bind(images, kernel, form=form, result="outputs")[0]


def _compose(
    inputs: jax.Array,
    kernel: jax.Array,
    matrix: jax.Array,
    bias: jax.Array,
    *,
    form: Form,
) -> Arrays:
    return [blocks.add_bias(_convolve(form, inputs, kernel) @ matrix, bias)]


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
        terms.append(_convolve(form, next(directions), kernel) @ matrix)
    if along[1]:
        terms.append(_convolve(form, inputs, next(directions)) @ matrix)
    if along[2]:
        terms.append(_convolve(form, inputs, kernel) @ next(directions))
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
        found += depthwise.bind(*operands, form=form, result="inputs")
    if wanted[1]:
        operands = (inputs, between)
        found += depthwise.bind(*operands, form=form, result="kernel")
    if wanted[2]:
        outputs = _convolve(form, inputs, kernel)
        axes = tuple(range(gradient.ndim - 1))
        found.append(jnp.tensordot(outputs, gradient, (axes, axes)))
    if wanted[3]:
        # JAX sums half precision in float32.
        found.append(jnp.sum(gradient, range(gradient.ndim - 1)))
    return found


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


# The rules.


def _optional(name: str) -> Any:
    """Returns a module of JAX, or `None` if this version lacks it."""
    is_there = importlib.util.find_spec(name) is not None
    return importlib.import_module(name) if is_there else None


# Taylor series. In newer versions of JAX the rules use coefficients without
# factorials, and `jet2` is the function that takes such coefficients.
_jet = _optional("jax.experimental.jet")
_taylor: Any = getattr(_jet, "jet2", None) or getattr(_jet, "jet", None)

# JAX 0.4 has tables of what varies over a mesh; newer versions have types
# instead. The arguments and results of a primitive vary together.
_SHARDING_RULES: list[Callable[[Primitive], None]] = []
if not hasattr(jax, "typeof"):
    _shard_map = importlib.import_module("jax.experimental.shard_map")
    _SHARDING_RULES = [
        _shard_map.register_standard_check,
        _shard_map.register_standard_rewrite,
    ]

_Tangents = Sequence[Any]
# The definition of each primitive, by operations of JAX and other primitives.
MEANINGS: dict[Primitive, Callable[..., Arrays]] = {}


def _primitive(
    name: str, meaning: Callable[..., Arrays], cpu: Callable[..., Arrays]
) -> Any:
    """Makes a primitive.

    Args:
        name: Its name.
        meaning: The function that defines it. It gives the primitive its
            shapes, its derivatives and its rule for `vmap`, and it runs on
            other platforms than a CPU.
        cpu: The function that runs on a CPU.
    """
    primitive = Primitive(f"keras_sepconv_{name}")
    primitive.multiple_results = True
    MEANINGS[primitive] = meaning

    @functools.cache
    def compiled(**params: Any) -> Callable[..., Arrays]:
        function: Callable[..., Arrays] = jax.jit(
            functools.partial(primitive.bind, **params)
        )
        return function

    def run(*operands: jax.Array, **params: Any) -> Arrays:
        # If `jax.jit` was disabled, the primitive would call itself for ever.
        with jax.disable_jit(False):
            return compiled(**params)(*operands)

    def shapes(*operands: Any, **params: Any) -> list[Any]:
        structs = [jax.ShapeDtypeStruct(o.shape, o.dtype) for o in operands]
        found = jax.eval_shape(functools.partial(meaning, **params), *structs)
        return [jax.core.ShapedArray(f.shape, f.dtype) for f in found]

    def differentiate(
        primals: Sequence[jax.Array], tangents: _Tangents, **params: Any
    ) -> tuple[Arrays, Arrays]:
        tangents = [ad.instantiate_zeros(t) for t in tangents]
        found: tuple[Arrays, Arrays] = jax.jvp(
            functools.partial(meaning, **params),
            tuple(primals),
            tuple(tangents),
        )
        return found

    def batch(
        operands: Sequence[jax.Array], axes: Sequence[Any], **params: Any
    ) -> tuple[Arrays, list[int]]:
        function = functools.partial(meaning, **params)
        found = jax.vmap(function, in_axes=tuple(axes))(*operands)
        return found, [0] * len(found)

    def taylor(
        primals: Sequence[jax.Array], series: Sequence[Any], **params: Any
    ) -> Any:
        return _taylor(functools.partial(meaning, **params), primals, series)

    for register in _SHARDING_RULES:
        register(primitive)
    primitive.def_impl(run)
    primitive.def_abstract_eval(shapes)
    if _jet is not None:
        _jet.jet_rules[primitive] = taylor
    ad.primitive_jvps[primitive] = differentiate
    batching.primitive_batchers[primitive] = batch
    for function, platform in ((meaning, None), (cpu, "cpu")):
        rule = mlir.lower_fun(function, multiple_results=True)
        mlir.register_lowering(primitive, rule, platform=platform)
    return primitive


depthwise = _primitive("depthwise", _native, blocks.depthwise)
separable = _primitive("separable", _compose, blocks.separable)
_separable_tangent = _primitive(
    "separable_tangent", _compose_tangent, _compose_tangent
)
_separable_gradients = _primitive(
    "separable_gradients", _compose_gradients, blocks.separable_gradients
)


def _depthwise_jvp(
    primals: Sequence[jax.Array], tangents: _Tangents, **params: Any
) -> tuple[Arrays, _Tangents]:
    (outputs,) = depthwise.bind(*primals, **params)
    terms = [
        depthwise.bind(*primals[:i], tangent, *primals[i + 1 :], **params)[0]
        for i, tangent in enumerate(tangents)
        if type(tangent) is not ad.Zero
    ]
    return [outputs], [functools.reduce(jnp.add, terms)]


def _depthwise_transpose(
    cotangents: _Tangents, *operands: Any, form: Form, result: str
) -> list[Any]:
    (cotangent,) = cotangents
    roles = [role for role in _ROLES if role != result]
    at = 0 if ad.is_undefined_primal(operands[0]) else 1
    if type(cotangent) is ad.Zero:
        found = ad.Zero(operands[at].aval)
    else:
        values = {result: cotangent, roles[1 - at]: operands[1 - at]}
        (found,) = depthwise.bind(
            *(values[role] for role in _ROLES if role in values),
            form=form,
            result=roles[at],
        )
    return [found, None] if at == 0 else [None, found]


def _separable_jvp(
    primals: Sequence[jax.Array], tangents: _Tangents, *, form: Form
) -> tuple[Arrays, _Tangents]:
    outputs = separable.bind(*primals, form=form)
    along = tuple(type(tangent) is not ad.Zero for tangent in tangents)
    directions = [t for t, live in zip(tangents, along, strict=True) if live]
    operands = (*primals[:3], *directions)
    return outputs, _separable_tangent.bind(*operands, form=form, along=along)


def _separable_tangent_transpose(
    cotangents: _Tangents, *operands: Any, form: Form, along: tuple[bool, ...]
) -> list[Any]:
    (cotangent,) = cotangents
    if type(cotangent) is ad.Zero:
        return [None] * 3 + [ad.Zero(o.aval) for o in operands[3:]]
    gradients: list[Any] = _separable_gradients.bind(
        *operands[:3], cotangent, form=form, wanted=along
    )
    return [None] * 3 + gradients


ad.primitive_jvps[depthwise] = _depthwise_jvp
ad.primitive_transposes[depthwise] = _depthwise_transpose
ad.primitive_jvps[separable] = _separable_jvp
ad.primitive_transposes[_separable_tangent] = _separable_tangent_transpose


def _depthwise_batch(
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
    (found,) = depthwise.bind(*merged, form=form, result=result)
    if with_batch:
        return [found.reshape(size, -1, *found.shape[1:])], [0]
    axis = found.ndim - (2 if result == "kernel" else 1)
    shape = found.shape
    found = found.reshape(
        *shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]
    )
    return [found], [axis]


batching.primitive_batchers[depthwise] = _depthwise_batch
