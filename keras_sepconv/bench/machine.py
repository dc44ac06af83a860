"""Describes the machine that the benchmark runs on."""

import os
import pathlib
import platform
from typing import Any


def machine() -> dict[str, Any]:
    """Returns the processor, its cores and threads, and Python's version."""
    available = getattr(os, "sched_getaffinity", None)
    threads = len(available(0)) if available else os.cpu_count()
    processor, cores = _linux_processor()
    return {
        "processor": processor or platform.processor() or platform.machine(),
        "cores": cores,
        "threads": threads,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _linux_processor() -> tuple[str | None, int | None]:
    """Returns the model and the number of cores, or `None` if unknown."""
    path = pathlib.Path("/proc/cpuinfo")
    if not path.exists():
        return None, None
    fields = [
        tuple(part.strip() for part in line.split(":", 1))
        for line in path.read_text().splitlines()
        if ":" in line
    ]
    models = [value for key, value in fields if key == "model name"]
    sockets = [value for key, value in fields if key == "physical id"]
    ids = [value for key, value in fields if key == "core id"]
    cores = len(set(zip(sockets, ids, strict=False)))
    return (models[0] if models else None), cores or None
