"""Each exported file, run in the runtime that its format is for."""

import re

import pytest
from backends import BACKEND
from cells import CELLS, CELLS_OF_OURS, FORMATS, run

# What Keras, or the converter that it calls, cannot write or run, with any
# layer: backend, format, cell, and what it says.
CANNOT: dict[tuple[str, str], dict[str, str]] = {}


def cannot(form, name):
    """Returns what is known to go wrong with a cell, or None."""
    known = CANNOT.get((BACKEND, form), {})
    for pattern, message in known.items():
        if re.fullmatch(pattern, name):
            return message
    return None


@pytest.mark.parametrize("name", [*CELLS, *CELLS_OF_OURS])
@pytest.mark.parametrize("form", FORMATS)
def test_an_exported_layer(form, name, tmp_path):
    cell = {**CELLS, **CELLS_OF_OURS}[name]
    problem, _ = run(cell, "keras_sepconv", form, tmp_path)
    known = cannot(form, name)
    if known is None:
        assert problem is None
    else:
        assert re.search(known, problem or "right"), problem
