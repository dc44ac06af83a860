"""What torch can do with a function."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import keras
import torch
from subjects import Function, Mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from torch_wrappers import (
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
    """Returns the mode that differentiates what the wrapper returns."""
    return lambda function, tensors: gradients(wrapper(function), tensors)


def in_context(context: Callable[[], AbstractContextManager[Any]]) -> Mode:
    """Returns the mode that calls and differentiates in a context."""

    def mode(function: Function, tensors: Tensors) -> Tensors:
        with context():
            return gradients(function, tensors)

    return mode


def whole(tensors: Tensors) -> Tensors:
    """Returns -1, 0 and 1, of which half precision has the sums exactly."""
    return [tensor.sign() for tensor in tensors]


def with_width(results: Tensors) -> Tensors:
    """Adds a result whose shape is the width of the dtype of the value."""
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


def value_alone(context: Callable[[], Any]) -> Mode:
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
    """DDP in a group of one; `examples/ddp_torch.py` has one of two."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group(
        "gloo", store=store, rank=0, world_size=1
    )
    try:
        wrap = torch.nn.parallel.DistributedDataParallel
        return of_module(function, tensors, wrap)
    finally:
        torch.distributed.destroy_process_group()


def some_frozen(first: int) -> Mode:
    """Returns the mode where every second tensor has no gradient."""

    def mode(function: Function, tensors: Tensors) -> Tensors:
        tensors = leaves(tensors)
        for tensor in tensors[first::2]:
            tensor.requires_grad_(False)
        value = function(*tensors)
        learnt = [t for t in tensors if t.requires_grad]
        return list(torch.autograd.grad(value, learnt, cotangent(value)))

    return mode


def saved_is_changed(function: Function, tensors: Tensors) -> Tensors:
    """What changes in the meantime is refused, or changes no gradient."""
    changed = leaves([tensor.clone() for tensor in tensors])
    value = function(*changed)
    with torch.no_grad():
        changed[0].add_(1)
    try:
        return list(torch.autograd.grad(value, changed, cotangent(value)))
    except RuntimeError:
        return gradients(function, tensors)[1:]


def shapes(function: Function, tensors: Tensors) -> Tensors:
    """On a device without memory."""
    with keras.device("meta"):
        found = gradients(function, [tensor.to("meta") for tensor in tensors])
    return [torch.zeros(one.shape) for one in found]


def fake(function: Function, tensors: Tensors) -> Tensors:
    """On what claims to have memory."""
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(tensor) for tensor in tensors]
        found = [one.shape for one in gradients(function, fakes)]
    return [torch.zeros(shape) for shape in found]


# The same numbers in other places of memory.
LAYOUTS = {
    "transposed": lambda t: t.mT.contiguous().mT,
    "turned": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "strided": lambda t: torch.stack([t, -t], -1)[..., 0],
    "offset": lambda t: torch.cat([t.flatten()[:1], t.flatten()])[1:].view_as(
        t
    ),
    "expanded": lambda t: t[:1].expand_as(t),
}


def laid_out(
    function: Function, tensors: Tensors, layout: Callable[..., Any]
) -> Tensors:
    """Has tensors, and the gradient that comes in, in a layout."""
    found = [layout(t) if t.ndim > 1 else t.detach() for t in tensors]
    found = [t.requires_grad_() for t in found]
    value = function(*found)
    return [value, *torch.autograd.grad(value, found, layout(cotangent(value)))]


class Tagged(torch.Tensor):
    """A subclass of no rules of its own."""


class Watched(TorchDispatchMode):
    """Sees every operation that runs."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return operation(*args, **(kwargs or {}))


@contextlib.contextmanager
def deterministic() -> Any:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def default_float64() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def without_onednn() -> Any:
    return torch.backends.mkldnn.flags(enabled=False)


def packed() -> Any:
    return torch.autograd.graph.saved_tensors_hooks(
        lambda t: (t.clone(), t.shape), lambda pair: pair[0].view(pair[1])
    )


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "detect_anomaly": torch.autograd.detect_anomaly,
    "save_on_cpu": torch.autograd.graph.save_on_cpu,
    "saved_tensors_hooks": packed,
    "deterministic": deterministic,
    "default_float64": default_float64,
    "default_device_meta": lambda: torch.device("meta"),
    "without_onednn": without_onednn,
    "dispatch_mode": Watched,
    "flop_counter": lambda: FlopCounterMode(display=False),
}

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
    "frozen_inputs": some_frozen(0),
    "frozen_weights": some_frozen(1),
    "saved_is_changed": saved_is_changed,
    "meta": shapes,
    "fake": fake,
    "subclass": lambda f, t: gradients(f, [x.as_subclass(Tagged) for x in t]),
    **{name: wrapped(wrapper) for name, wrapper in WRAPPERS.items()},
    **{name: in_context(context) for name, context in CONTEXTS.items()},
    **{
        name: partial(laid_out, layout=layout)
        for name, layout in LAYOUTS.items()
    },
}

# Stock Keras asks for the channels last in memory, which `vmap` cannot, except
# of one spatial axis.
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
