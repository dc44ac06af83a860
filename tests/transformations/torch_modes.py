"""The transformations of torch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import torch
from subjects import Function, Mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch_contexts import CONTEXTS, LAYOUTS, Context, group_of_one
from torch_wrappers import (
    PROGRAMS,
    WRAPPERS,
    Module,
    Tensors,
    Wrapper,
    all_of,
    cotangent,
    energy,
    gradients,
    leaves,
    tangents,
)


def wrapped(wrapper: Wrapper) -> Mode:
    """Returns a mode that differentiates the result of a wrapper."""
    return lambda function, tensors: gradients(wrapper(function), tensors)


def in_context(context: Context) -> Mode:
    """Returns a mode that calls and differentiates in a context."""

    def mode(function: Function, tensors: Tensors) -> Tensors:
        with context():
            return gradients(function, tensors)

    return mode


def whole(tensors: Tensors) -> Tensors:
    """Returns numbers from -1, 0 and 1; their sums are exact."""
    return [tensor.sign() for tensor in tensors]


def with_width(results: Tensors) -> Tensors:
    """Adds a result whose shape is the size of the value's dtype."""
    return [*results, torch.zeros(results[0].element_size())]


def autocast(
    function: Function, tensors: Tensors, inside: Any = (True, False), **options
) -> Tensors:
    """Autocasts the value, the gradients, or both."""
    tensors = leaves(whole(tensors))
    with torch.autocast("cpu", enabled=inside[0], **options):
        value = function(*tensors)
    with torch.autocast("cpu", enabled=inside[1], **options):
        found = torch.autograd.grad(value, tensors, cotangent(value))
    return with_width([value, *found])


def value_alone(context: Context) -> Mode:
    def mode(function: Function, tensors: Tensors) -> Tensors:
        tensors = leaves(tensors)
        with context():
            value = function(*tensors)
        return [value, torch.zeros(1 + value.requires_grad)]

    return mode


def twice(function: Function, tensors: Tensors) -> Tensors:
    """The gradients of the gradients."""
    tensors = leaves(tensors)
    value = energy(function)(*tensors)
    first = torch.autograd.grad(value, tensors, create_graph=True)
    total = sum((g * cotangent(g)).sum() for g in first)
    return [*first, *torch.autograd.grad(total, tensors)]


def jacobian(transform: Callable[..., Any]) -> Mode:
    def mode(function: Function, tensors: Tensors) -> Tensors:
        inputs, *weights = tensors
        return list(transform(function, all_of(tensors))(inputs[:1], *weights))

    return mode


def hessian(function: Function, tensors: Tensors) -> Tensors:
    scalar = energy(function)
    inputs, *weights = tensors
    rows = torch.func.hessian(scalar, (1, 2))(inputs[:1], *weights)
    return [block for row in rows for block in row]


def hessian_product(function: Function, tensors: Tensors) -> Tensors:
    gradient = torch.func.grad(energy(function), all_of(tensors))
    return list(torch.func.jvp(gradient, (*tensors,), tangents(tensors))[1])


def linearized(function: Function, tensors: Tensors) -> Tensors:
    value, linear = torch.func.linearize(function, *tensors)
    return [value, linear(*tangents(tensors))]


def traced_gradients(function: Function, tensors: Tensors) -> Tensors:
    gradient = torch.func.grad(energy(function), all_of(tensors))
    return list(make_fx(gradient)(*tensors)(*tensors))


def compiled_gradients(function: Function, tensors: Tensors) -> Tensors:
    gradient = torch.func.grad(energy(function), all_of(tensors))
    torch.compiler.reset()
    return list(torch.compile(gradient, backend="aot_eager")(*tensors))


def batched_backward(function: Function, tensors: Tensors) -> Tensors:
    tensors = leaves(tensors)
    value = function(*tensors)
    many = torch.stack([cotangent(value), value.detach()])
    grads = torch.autograd.grad(value, tensors, many, is_grads_batched=True)
    return list(grads)


def increase(tensor: torch.Tensor) -> None:
    tensor.grad.add_(1)


def accumulated(function: Function, tensors: Tensors) -> Tensors:
    """Two backward passes through one graph, with hooks on each tensor."""
    tensors = leaves(tensors)
    for number, tensor in enumerate(tensors):
        tensor.register_hook(lambda g, n=number: g * n)
        tensor.register_post_accumulate_grad_hook(increase)
    value = function(*tensors)
    value.register_hook(lambda g: 2 * g)
    value.backward(cotangent(value), retain_graph=True)
    value.backward(cotangent(value))
    return [tensor.grad for tensor in tensors]


def of_module(function: Function, tensors: Tensors, wrap: Any) -> Tensors:
    """Runs the function as a module, with a hook on its gradients."""
    inputs, *weights = leaves(tensors)
    module = Module(function, weights)
    seen: Tensors = []
    module.register_full_backward_hook(lambda _, *found: seen.extend(found[0]))
    value = wrap(module)(inputs)
    value.backward(cotangent(value))
    return [value, inputs.grad, *seen, *(p.grad for p in module.parameters())]


def functional_call(function: Function, tensors: Tensors) -> Tensors:
    module = Module(function, tensors[1:])
    names = [name for name, _ in module.named_parameters()]

    def called(inputs: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        parameters = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(module, parameters, (inputs,))

    return gradients(called, tensors)


def data_parallel(function: Function, tensors: Tensors) -> Tensors:
    wrap = torch.nn.parallel.DistributedDataParallel
    with group_of_one():
        return of_module(function, tensors, wrap)


def sharded(function: Function, tensors: Tensors) -> Tensors:
    """Shards the batch over processes; there is only one."""
    with group_of_one():
        mesh = init_device_mesh("cpu", (1,))
        over = [[Shard(0)], *[[Replicate()]] * (len(tensors) - 1)]
        pairs = zip(tensors, over, strict=True)
        spread = leaves([distribute_tensor(t, mesh, to) for t, to in pairs])
        value = function(*spread)
        value.backward(value.detach())
        found = [value, *(tensor.grad for tensor in spread)]
        return [one.full_tensor() for one in found]


def some_frozen(first: int) -> Mode:
    """Returns a mode in which every second tensor has no gradient."""

    def mode(function: Function, tensors: Tensors) -> Tensors:
        tensors = leaves(tensors)
        for tensor in tensors[first::2]:
            tensor.requires_grad_(False)
        value = function(*tensors)
        learnt = [t for t in tensors if t.requires_grad]
        return list(torch.autograd.grad(value, learnt, cotangent(value)))

    return mode


def saved_is_changed(function: Function, tensors: Tensors) -> Tensors:
    """Changes a tensor before backward: an error, or no effect."""
    changed = leaves([tensor.clone() for tensor in tensors])
    value = function(*changed)
    with torch.no_grad():
        changed[0].add_(1)
    try:
        return list(torch.autograd.grad(value, changed, cotangent(value)))
    except RuntimeError:
        return gradients(function, tensors)[1:]


def shapes(function: Function, tensors: Tensors) -> Tensors:
    """Runs on the device "meta", which has no memory."""
    with keras.device("meta"):
        found = gradients(function, [tensor.to("meta") for tensor in tensors])
    return [torch.zeros(one.shape) for one in found]


def fake(function: Function, tensors: Tensors) -> Tensors:
    """Runs on fake tensors, which claim to have memory."""
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(tensor) for tensor in tensors]
        found = [one.shape for one in gradients(function, fakes)]
    return [torch.zeros(shape) for shape in found]


def laid_out(
    function: Function, tensors: Tensors, layout: Callable[..., Any]
) -> Tensors:
    """Gives the tensors and the incoming gradient a memory layout."""
    found = [layout(t) if t.ndim > 1 else t.detach() for t in tensors]
    found = [t.requires_grad_() for t in found]
    value = function(*found)
    return [value, *torch.autograd.grad(value, found, layout(cotangent(value)))]


class Tagged(torch.Tensor):
    """A subclass without its own rules."""


MODES: dict[str, Mode] = {
    "eager": gradients,
    "no_grad": value_alone(torch.no_grad),
    "inference_mode": value_alone(torch.inference_mode),
    "autocast_bfloat16": autocast,
    "autocast_float16": partial(autocast, dtype=torch.float16),
    "autocast_no_cache": partial(autocast, cache_enabled=False),
    "autocast_backward_too": partial(autocast, inside=(True, True)),
    "autocast_backward_alone": partial(autocast, inside=(False, True)),
    "double_backward": twice,
    "jacrev": jacobian(torch.func.jacrev),
    "jacfwd": jacobian(torch.func.jacfwd),
    "hessian": hessian,
    "hessian_product": hessian_product,
    "linearize": linearized,
    "make_fx_of_grad": traced_gradients,
    "compile_of_grad": compiled_gradients,
    "batched_backward": batched_backward,
    "accumulated_with_hooks": accumulated,
    "module_with_hooks": partial(of_module, wrap=lambda module: module),
    "functional_call": functional_call,
    "data_parallel": data_parallel,
    "sharded": sharded,
    "frozen_inputs": some_frozen(0),
    "frozen_weights": some_frozen(1),
    "saved_is_changed": saved_is_changed,
    "meta": shapes,
    "fake": fake,
    "subclass": lambda f, t: gradients(f, [x.as_subclass(Tagged) for x in t]),
    **{
        name: wrapped(wrapper)
        for name, wrapper in (WRAPPERS | PROGRAMS).items()
    },
    **{name: in_context(context) for name, context in CONTEXTS.items()},
    **{
        name: partial(laid_out, layout=layout)
        for name, layout in LAYOUTS.items()
    },
}

# Stock Keras asks for channels_last memory, which `vmap` does not support. With
# one spatial axis it does not ask.
OF_SEVERAL_AXES = "(?!.*causal).*"
STOCK_CANNOT = dict.fromkeys(
    (
        "vmap_examples",
        "vmap_weights",
        "vmap_both",
        "grads_by_example",
        "jacfwd",
        "hessian",
    ),
    OF_SEVERAL_AXES,
)
