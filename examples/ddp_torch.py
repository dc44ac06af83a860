"""Trains in two processes with torch's `DistributedDataParallel`.

A network of separable convolutions takes the same steps in one process and in
two, each with half of every batch. The weights must be the same at the end. A
Keras model is a torch module, so a usual training loop of torch trains it.

    python examples/ddp_torch.py
"""

import os
import socket
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

import keras_sepconv
from keras_sepconv import kernels

STEPS, BATCH, PROCESSES = 5, 16, 2
# float32 has seven digits; a few steps of a small network lose some of them.
TOLERANCE = 1e-5

ran: set[str] = set()
choose = kernels.choose


def spy(call, implementation=None):
    kernel = choose(call, implementation)
    ran.add(kernel.name)
    return kernel


kernels.choose = spy


def train(rank: int = 0, processes: int = 1) -> list[np.ndarray]:
    """Returns the weights after some steps with this process's examples."""
    torch.set_num_threads(1)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 4)),
            keras_sepconv.SeparableConv2D(
                16, 3, padding="same", activation="relu"
            ),
            keras_sepconv.SeparableConv2D(32, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(8),
        ]
    )
    module = DistributedDataParallel(model) if processes > 1 else model
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        x = rng.standard_normal((BATCH, 16, 16, 4), dtype="float32")
        y = rng.standard_normal((BATCH, 8), dtype="float32")
        x, y = (torch.from_numpy(a[rank::processes]) for a in (x, y))
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(x), y).backward()
        optimizer.step()
    return model.get_weights()


def work(rank: int, port: int, queue) -> None:
    """Trains as one of the processes; the first sends its weights."""
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=PROCESSES
    )
    weights = train(rank, PROCESSES)
    if rank == 0:
        queue.put((weights, ran))
    torch.distributed.destroy_process_group()


def main() -> int:
    """Prints the difference of the weights from those of one process."""
    alone = train()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    workers = torch.multiprocessing.start_processes(
        work, (port, queue), PROCESSES, join=False, start_method="spawn"
    )
    shared, names = queue.get()
    while not workers.join():
        pass
    far = max(
        float(np.abs(a - b).max() / np.abs(b).max())
        for a, b in zip(shared, alone, strict=True)
    )
    print(f"kernels of keras_sepconv that ran: {', '.join(sorted(names))}")
    print(f"DistributedDataParallel, {PROCESSES}: weights off by {far:.1e}")
    return 0 if far <= TOLERANCE and names == {"native"} else 1


if __name__ == "__main__":
    sys.exit(main())
