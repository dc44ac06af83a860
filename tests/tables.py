"""For scripts that write into a page what came of runs in several processes.

Keras is not imported here: the script that waits needs none, and to import it
would fix its backend.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

DOCS = pathlib.Path(__file__).parent.parent / "docs"
_END = "<!-- until here -->\n"


def run(script: str, *arguments: str, environment: Mapping[str, str]) -> Any:
    """Runs a script in a process of its own.

    Args:
        script: Its path.
        arguments: What it is given, and after that the path of a file, to
            which it has to write JSON.
        environment: Variables for it, beside those of this process.

    Returns:
        What it wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "found.json")
        subprocess.run(
            [sys.executable, script, *arguments, str(path)],
            env={**os.environ, **environment},
            check=True,
        )
        return json.loads(path.read_text())


def write(page: str, mark: str, table: str) -> None:
    """Puts a table in place of that after a mark in a page, and prints it."""
    path = DOCS / page
    before, rest = path.read_text().split(mark)
    _, after = rest.split(_END)
    path.write_text(f"{before}{mark}\n{table}\n{_END}{after}")
    print(table)
