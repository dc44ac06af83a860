"""Checks and times `accelerate` with other people's models, and writes a page.

    python tests/models/table.py --backends jax torch

This checks and times each model on each backend in a new process, unless
docs/models/ already has the result. Then it writes docs/models.md. `tox run -e
models` has all packages that it needs. `--again` repeats everything,
`--no-times` and `--no-checks` leave a part out, and names or parts of names
choose models.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import page
import tables

HERE = pathlib.Path(__file__).parent
FOLDER = tables.DOCS / "models"
BACKENDS = ("jax", "tensorflow", "torch")
QUESTIONS = ("checks", "times")


def names() -> list[str]:
    """Returns the names of the models, from a process that imports Keras."""
    code = "import subjects; print(*subjects.SUBJECTS, sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HERE,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.splitlines()


def asked(backend: str, question: str, name: str) -> dict[str, Any]:
    """Returns the result of one process, which may crash."""
    try:
        found: dict[str, Any] = tables.run(
            str(HERE / "check.py"),
            question,
            name,
            environment={"KERAS_BACKEND": backend},
        )
    except subprocess.CalledProcessError as error:
        return {"error": f"the process ended with {error.returncode}"}
    return found


def machine() -> dict[str, Any]:
    """Returns the machine and the versions that were timed."""
    code = (
        "import json; from keras_sepconv.bench.measure import machine; "
        "from importlib.metadata import version as v; names = ['keras', 'jax', "
        "'tensorflow_cpu', 'torch', 'keras-hub', 'kimm', 'kecam']; "
        "print(json.dumps({**machine(), **{n: v(n) for n in names}}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(found.stdout.splitlines()[-1]))


def run(
    backend: str,
    every: list[str],
    chosen: list[str],
    questions: list[str],
    again: bool,
) -> None:
    """Runs what has no result yet, and stores each result at once."""
    path = FOLDER / f"{backend}.json"
    kept = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    rows = {name: kept["rows"].get(name, {}) for name in every}
    here = machine()
    for name in chosen:
        for question in questions:
            answer = rows[name].get(question, {"error": "not asked"})
            if not again and "error" not in answer:
                continue
            start = time.perf_counter()
            rows[name][question] = asked(backend, question, name)
            taken = time.perf_counter() - start
            print(f"{backend}, {name}, {question}: {taken:.0f} s", flush=True)
            known = {name: row for name, row in rows.items() if row}
            found = {"machine": here, "rows": known}
            path.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Runs the chosen models, and writes the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="parts of models' names")
    parser.add_argument(
        "--backends", nargs="+", choices=BACKENDS, default=BACKENDS
    )
    parser.add_argument("--no-times", action="store_true")
    parser.add_argument("--no-checks", action="store_true")
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    every = names()
    chosen = [
        name
        for name in every
        if not arguments.names or any(part in name for part in arguments.names)
    ]
    questions = [
        question
        for question in QUESTIONS
        if not getattr(arguments, f"no_{question}")
    ]
    FOLDER.mkdir(exist_ok=True)
    for backend in arguments.backends:
        run(backend, every, chosen, questions, arguments.again)
    page.write()


if __name__ == "__main__":
    main()
