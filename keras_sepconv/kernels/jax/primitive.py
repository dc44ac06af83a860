"""How a JAX primitive of this package is made.

This package needs primitives of its own for two reasons. JAX knows the platform
only when it lowers a program. And `custom_vjp` has no forward-mode derivative.
The primitives have the same rules as JAX's own operations:

- `depthwise_p` is the convolution and its two transposes. Take the sum over all
  products of an input, a tap and an output. Its derivative for one of the three
  is a function of the other two. The parameter `result` names this one:
  "outputs" is the convolution, "inputs" and "kernel" are the gradients.
- `separable_p` adds the matrix product and the bias.
- Its tangent is the derivative of `separable_p` along given directions.
- Its gradients are the transpose of the tangent, all computed at once.

On a CPU, `separable_p` and its gradients compute a few images at a time
(`blocks`), which saves most of the memory traffic. In all other cases (higher
derivatives, `vmap` over weights, other platforms) they are computed by
`depthwise_p` and matrix products, as `separable` defines them.

All images here are in channels_last.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from keras_sepconv.kernels.jax.blocks import Arrays


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

Tangents = Sequence[Any]
# The definition of each primitive, by operations of JAX and other primitives.
MEANINGS: dict[Primitive, Callable[..., Arrays]] = {}


def make(
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
        primals: Sequence[jax.Array], tangents: Tangents, **params: Any
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
