"""For scripts that run several processes and write their results into a page.

This module does not import Keras. The waiting script does not need it, and
importing it would fix the backend.
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
    """Runs a script in a new process.

    Args:
        script: Its path.
        arguments: Its arguments. After them it gets the path of a file, to
            which it must write JSON.
        environment: Its environment variables, in addition to those of this
            process.

    Returns:
        The content of the JSON file.
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
    """Replaces the table after a mark in a page, and prints the new one."""
    path = DOCS / page
    before, rest = path.read_text().split(mark)
    _, after = rest.split(_END)
    path.write_text(f"{before}{mark}\n{table}\n{_END}{after}")
    print(table)
