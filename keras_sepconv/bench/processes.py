"""Measures in this process, or under another backend in a new process."""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import keras
from rich.console import Console
from rich.progress import Progress

from keras_sepconv.bench import results
from keras_sepconv.bench.contest import Settings
from keras_sepconv.bench.measure import AnyCase, measure


def here(cases: Sequence[AnyCase], settings: Settings) -> results.BackendResult:
    """Measures on the active backend, with a progress bar on stderr."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(cases))

        def begin(case: AnyCase) -> None:
            progress.update(
                task,
                completed=cases.index(case),
                description=f"{keras.backend.backend()}: {case}",
            )

        return measure(cases, settings, begin)


def elsewhere(
    backend: str, cases: Sequence[AnyCase], settings: Settings
) -> results.BackendResult:
    """Measures on another backend: Keras has only one in a process.

    Raises:
        SystemExit: The new process failed; the reason is on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "result.json")
        command = [sys.executable, "-m", "keras_sepconv", "bench"]
        command += ["--seconds", str(settings.seconds), "--json", str(path)]
        command += ["--case", *(case.name for case in cases)]
        command += ["--suite", *{case.suite for case in cases}]
        if settings.jit_compile:
            command += ["--jit-compile"]
        if settings.implementation is not None:
            command += ["--implementation", settings.implementation]
        environment = {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **os.environ,
            "KERAS_BACKEND": backend,
        }
        child = subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, check=False
        )
        if not path.exists():
            sys.exit(child.returncode or 1)
        return results.load(path)["backends"][0]
