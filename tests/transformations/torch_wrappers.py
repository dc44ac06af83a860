"""torch's wrappers, from a function to another of the same tensors."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from subjects import Function
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint

Tensors = list[torch.Tensor]
Wrapper = Callable[[Function], Function]


def cotangent(value: torch.Tensor) -> torch.Tensor:
    """Returns small whole numbers, which are exact in every dtype."""
    numbers = torch.arange(value.numel(), device=value.device) % 7 % 3
    return numbers.reshape(value.shape).to(value.dtype)


def leaves(tensors: Tensors) -> Tensors:
    return [tensor.detach().requires_grad_() for tensor in tensors]


def gradients(function: Function, tensors: Tensors) -> Tensors:
    """Returns the value, then the gradients."""
    tensors = leaves(tensors)
    value = function(*tensors)
    # Unlike `torch.autograd.grad`, it supports reentrant checkpoints.
    value.backward(cotangent(value))
    found = [
        t.new_zeros(t.shape) if t.grad is None else t.grad for t in tensors
    ]
    return [value, *found]


def energy(function: Function) -> Function:
    """Returns a function with one number as its result; it is not linear."""
    return lambda *tensors: (function(*tensors).square() / 8).sum()


def tangents(tensors: Any) -> tuple[torch.Tensor, ...]:
    return tuple(t.detach().flip(0) / 2 for t in tensors)


def all_of(tensors: Any) -> tuple[int, ...]:
    return tuple(range(len(tensors)))


class Module(torch.nn.Module):
    """A module with the weights; the function is its `forward`."""

    def __init__(self, function: Function, weights: Tensors) -> None:
        super().__init__()
        self.function = function
        self.weights = torch.nn.ParameterList(t.detach() for t in weights)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.function(inputs, *self.weights)


def over_examples(function: Function) -> Function:
    def mapped(inputs: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        one = lambda x, *rest: function(x[None], *rest)[0]  # noqa: E731
        dims = (0, *(None,) * len(weights))
        return torch.func.vmap(one, dims)(inputs, *weights)

    return mapped


def over_weights(function: Function) -> Function:
    def mapped(inputs: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        many = [torch.stack([w, w.flip(0)], -1) for w in weights]
        dims = (None, *(-1,) * len(weights))
        return torch.func.vmap(function, dims)(inputs, *many).sum(0)

    return mapped


def over_both(function: Function) -> Function:
    def mapped(inputs: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        many = [torch.stack([w, w.flip(0)]) for w in weights]
        halves = inputs.unflatten(0, (2, -1))
        return torch.func.vmap(function)(halves, *many).flatten(0, 1)

    return mapped


def as_jvp(function: Function) -> Function:
    return lambda *t: torch.func.jvp(function, t, tangents(t))[1]


def as_dual(function: Function) -> Function:
    def derivative(*tensors: torch.Tensor) -> torch.Tensor:
        with forward_ad.dual_level():
            pairs = zip(tensors, tangents(tensors), strict=True)
            duals = [forward_ad.make_dual(*pair) for pair in pairs]
            return forward_ad.unpack_dual(function(*duals)).tangent

    return derivative


def as_grad(function: Function) -> Function:
    return lambda *t: torch.func.grad(energy(function))(*t)


def as_vjp(function: Function) -> Function:
    def pulled(*tensors: torch.Tensor) -> torch.Tensor:
        value, pull = torch.func.vjp(function, *tensors)
        return pull(cotangent(value))[0]

    return pulled


def as_grads_by_example(function: Function) -> Function:
    def by_example(*tensors: torch.Tensor) -> torch.Tensor:
        one = lambda x, *rest: energy(function)(x[None], *rest)  # noqa: E731
        gradient = torch.func.grad(one, 1)
        dims = (0, *(None,) * (len(tensors) - 1))
        return torch.func.vmap(gradient, dims)(*tensors)

    return by_example


def as_checkpoint(function: Function, reentrant: bool) -> Function:
    return lambda *t: checkpoint(function, *t, use_reentrant=reentrant)


def as_compiled(function: Function, **options: Any) -> Function:
    def compiled(*tensors: torch.Tensor) -> torch.Tensor:
        torch.compiler.reset()
        return torch.compile(
            function, backend="aot_eager", fullgraph=True, **options
        )(*tensors)

    return compiled


def as_exported(function: Function, dynamic: bool) -> Function:
    def exported(*tensors: torch.Tensor) -> torch.Tensor:
        inputs, *weights = leaves(list(tensors))
        module = Module(function, weights)
        sizes = ({0: torch.export.Dim("batch")},) if dynamic else None
        example = torch.cat([inputs, inputs]) if dynamic else inputs
        program = torch.export.export(module, (example,), dynamic_shapes=sizes)
        names = [name for name, _ in module.named_parameters()]
        parameters = dict(zip(names, tensors[1:], strict=True))
        return torch.func.functional_call(
            program.module(), parameters, (tensors[0],)
        )

    return exported


def as_traced(function: Function) -> Function:
    return lambda *t: torch.jit.trace(function, t, check_trace=False)(*t)


def as_graph(function: Function) -> Function:
    return lambda *t: make_fx(function)(*t)(*t)


def autocast_off(function: Function) -> Function:
    def called(*tensors: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu"), torch.autocast("cpu", enabled=False):
            return function(*tensors)

    return called


# Each turns a function into another one of the same tensors.
WRAPPERS: dict[str, Wrapper] = {
    "vmap_examples": over_examples,
    "vmap_weights": over_weights,
    "vmap_both": over_both,
    "jvp": as_jvp,
    "forward_ad": as_dual,
    "grad": as_grad,
    "vjp": as_vjp,
    "grads_by_example": as_grads_by_example,
    "checkpoint": functools.partial(as_checkpoint, reentrant=False),
    "checkpoint_reentrant": functools.partial(as_checkpoint, reentrant=True),
    "functionalize": torch.func.functionalize,
    "autocast_off": autocast_off,
}
# These record a program. If one of them is inside another, torch may crash,
# with stock Keras's operations too.
PROGRAMS: dict[str, Wrapper] = {
    "compile": functools.partial(as_compiled, dynamic=False),
    "compile_dynamic": functools.partial(as_compiled, dynamic=True),
    "export": functools.partial(as_exported, dynamic=False),
    "export_dynamic": functools.partial(as_exported, dynamic=True),
    "jit_trace": as_traced,
    "make_fx": as_graph,
}
