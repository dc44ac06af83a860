"""Follows README line by line in an empty folder.

    python tests/long/readme.py jax tensorflow torch

For each backend it makes a virtual environment, installs this package as
README does, and runs the examples of README there. What an example prints must
be what README shows.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
INSTALL = '"./keras_sepconv[jax]"'


def examples() -> list[tuple[str, str | None]]:
    """Returns the Python of README, and what it prints where that is shown."""
    blocks = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
    after = [*blocks[1:], ("", "")]
    return [
        (code, shown if kind == "text" else None)
        for (language, code), (kind, shown) in zip(blocks, after, strict=True)
        if language == "python"
    ]


def follow(backend: str, folder: pathlib.Path) -> None:
    """Installs and runs the examples in an empty folder."""
    assert INSTALL in README
    (folder / "keras_sepconv").symlink_to(ROOT)
    python = folder / ".venv/bin/python"
    environment = {**os.environ, "KERAS_BACKEND": backend}
    environment.pop("PYTHONPATH", None)

    def run(*words: str) -> str:
        return subprocess.run(
            words,
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    run(sys.executable, "-m", "venv", ".venv")
    target = INSTALL.strip('"').replace("jax", backend)
    run(str(python), "-m", "pip", "install", "-q", target)
    script = ""
    for code, shown in examples():
        before = run(str(python), "-c", script) if script else ""
        script += code
        printed = run(str(python), "-c", script).removeprefix(before)
        if shown is not None:
            assert printed == shown, f"{backend} prints\n{printed}"
    print(f"{backend}: README does what it says")


def main() -> None:
    for backend in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            follow(backend, pathlib.Path(folder))


if __name__ == "__main__":
    main()
