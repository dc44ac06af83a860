"""How Sphinx builds the documentation: `tox run -e docs`."""

import re
from typing import Any

import keras_sepconv

project = "keras_sepconv"
release = "0.1.0"
copyright = "the authors of keras_sepconv, Apache 2.0"
html_title = "keras_sepconv"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# A copied session is without its prompts and without what it printed.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# Headings can be linked to by their words, as on GitHub.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
# One argument a line: the helpers have twenty and more.
maximum_signature_line_length = 60
napoleon_custom_sections = [
    ("Input shape", "Notes"),
    ("Output shape", "Notes"),
]

PUBLIC = set(keras_sepconv.__all__)


def fences_and_backticks(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Turns the Markdown in docstrings into what Sphinx reads there.

    Docstrings are read in editors and in terminals, where Markdown is the
    calmer of the two.
    """
    text = re.sub(
        r"`(?:keras_sepconv\.)?([\w.]+)(?:\(\))?`", _link, "\n".join(lines)
    )
    text = re.sub(r"(?<![`:])`([^`]+)`(?![`_])", r"``\1``", text)
    made, inside = [], False
    for line in text.split("\n"):
        if line.strip().startswith("```"):
            inside = not inside
            made.append(".. code-block:: python" if inside else "")
            made += [""] if inside else []
        else:
            made.append(f"    {line}" if inside and line else line)
    lines[:] = made


def _link(match: re.Match[str]) -> str:
    """Returns a link for what has a page of its own, else the code."""
    name = match[1]
    if name.split(".")[0] in PUBLIC | {"layers", "tools"}:
        return f":py:obj:`~keras_sepconv.{name}`"
    return match[0]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    # After napoleon, which has priority 500.
    app.connect("autodoc-process-docstring", fences_and_backticks, 600)
