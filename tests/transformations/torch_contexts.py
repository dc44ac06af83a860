"""The contexts of torch, and the memory layouts of tensors."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

Context = Callable[[], AbstractContextManager[Any]]

# The same numbers in other memory layouts.
LAYOUTS = {
    "transposed": lambda t: t.mT.contiguous().mT,
    "turned": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "strided": lambda t: torch.stack([t, -t], -1)[..., 0],
    "offset": lambda t: torch.cat([t.flatten()[:1], t.flatten()])[1:].view_as(
        t
    ),
    "expanded": lambda t: t[:1].expand_as(t),
}


@contextlib.contextmanager
def group_of_one() -> Any:
    """A group with one process; `examples/ddp_torch.py` has two."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group(
        "gloo", store=store, rank=0, world_size=1
    )
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


class Watched(TorchDispatchMode):
    """A dispatch mode that sees every operation."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return operation(*args, **(kwargs or {}))


@contextlib.contextmanager
def deterministic() -> Any:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def default_float64() -> Any:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def without_onednn() -> Any:
    return torch.backends.mkldnn.flags(enabled=False)


def packed() -> Any:
    return torch.autograd.graph.saved_tensors_hooks(
        lambda t: (t.clone(), t.shape), lambda pair: pair[0].view(pair[1])
    )


CONTEXTS: dict[str, Context] = {
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
