"""How Sphinx builds the documentation: `tox run -e docs`."""

import re
import textwrap
from typing import Any

from sphinx.util import inspect as sphinx_inspect

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
# The default style underlines imported names, so that they look like links.
pygments_dark_style = "github-dark"
# The copy button leaves out the prompts and the printed output.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# A link can name a heading by its words, as on GitHub.
myst_heading_anchors = 3

# The layers of a family have one constructor, which describes the arguments.
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
# One argument in each line: a helper has twenty or more.
maximum_signature_line_length = 60
napoleon_custom_sections = ["Input shape", "Output shape"]

PUBLIC = set(keras_sepconv.__all__)


def fences_and_backticks(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Turns the Markdown in docstrings into what Sphinx reads there.

    Docstrings are written in Markdown, because it is easier to read in editors
    and in terminals.
    """
    made, inside = [], False
    # Between fences there is code.
    for part in re.split(r"^ *```.*$", "\n".join(lines), flags=re.MULTILINE):
        if inside:
            code = textwrap.indent(part, "    ")
            made.append(f".. code-block:: python\n\n{code}\n")
        else:
            made.append(BACKTICKS.sub(_literal_or_link, part))
        inside = not inside
    lines[:] = "\n".join(made).split("\n")


# Markup that Sphinx already understands, or text between single backticks.
BACKTICKS = re.compile(r":[\w:]+:`[^`]+`|``[^`]+``|`([^`]+)`")


def _literal_or_link(match: re.Match[str]) -> str:
    """Returns a link if the name is in the reference, else the code itself."""
    code = match[1]
    if code is None:
        return match[0]
    name = code.removeprefix("keras_sepconv.").removesuffix("()")
    if name.split(".")[0] in PUBLIC | {"layers", "tools"}:
        return f":py:obj:`~keras_sepconv.{name}`"
    return f"``{code}``"


def constructor(
    app: Any,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str, None] | None:
    """Returns the arguments of a class; `keras.Layer.__new__` hides them."""
    if what != "class":
        return None
    found = sphinx_inspect.signature(thing.__init__, bound_method=True)
    plain = sphinx_inspect.stringify_signature(found, show_annotation=False)
    return plain, None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", constructor)
    # After napoleon, which has priority 500.
    app.connect("autodoc-process-docstring", fences_and_backticks, 600)
