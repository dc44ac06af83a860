"""Writes the pages that are made from the code: `python docs/generate.py`.

The pages are stored in the repository, so that people can read them there. A
test compares them with the output of this script.
"""

import contextlib
import inspect
import io
import os
import pathlib
import sys

from keras_sepconv import functional
from keras_sepconv.__main__ import main

DOCS = pathlib.Path(__file__).parent

STANDARD = (
    *("input_shape", "batch_input_shape", "batch_size"),
    *("dtype", "name", "trainable", "weights"),
)
OF_WEIGHTS = ("_initializer", "_regularizer", "_constraint")

R_HELPERS = """\
# R's helpers

This page is for those who know R's `keras` package (2.8 to 2.13). It lists the
arguments of each helper with their defaults. `python docs/generate.py` makes
this page from the signatures. [From R](r.md) shows how to use the helpers, and
[the reference](api/helpers.md) explains each argument.

To keep the table short, it leaves out:

- `object`, the first argument of every `layer_` helper: `NULL`, a `Sequential`
  or a tensor.
- The last arguments of every `layer_` helper, which are `NULL` by default:
  {standard}.
  `layer_conv_lstm_2d` and the helpers for upsampling, padding and cropping have
  them in R's order, with those that R lacks at the end: {others}.
- The arguments for each weight: an initializer (`"glorot_uniform"`;
  `"orthogonal"` for a recurrent kernel, `"zeros"` for a bias), a regularizer
  and a constraint (`NULL`). The table names the weights. A layer with weights
  also has an `activity_regularizer`.

All helpers have this in common:

- A number that must be whole is not rounded: 4.7 is an error. R's package makes
  it 4.
- If a call fails, the model is as it was before.
- Sizes are in the order of the input's axes: `kernel_size = c(2, 5)` means two
  rows and five columns, although R's pages say "width and height".
- `NA` is an unknown size in shapes and as `batch_size`, and an error elsewhere.
- The separable and the depthwise helpers refuse strides together with dilation.
- The table is in Python's notation: `None` is `NULL`, and a tuple is a vector.

| helper | arguments, with R's defaults | weights | what differs from R |
|---|---|---|---|
"""

OURS = "new here; R has none"
DIFFERENT = {
    "keras_model_sequential": "`layers` may be a shape",
    "layer_input": "`tensor` must be `None` and `ragged` `False`",
    "layer_separable_conv_1d": '`padding` may be `"causal"` or numbers',
    "layer_separable_conv_2d": "`padding` may be numbers",
    "layer_separable_conv_3d": OURS,
    "layer_depthwise_conv_1d": '`padding` may be `"causal"` or numbers',
    "layer_depthwise_conv_2d": "`padding` may be numbers",
    "layer_depthwise_conv_3d": OURS,
    "layer_conv_3d_transpose": "R's order; Keras 3 has `data_format` before "
    "`output_padding`",
    "layer_conv_lstm_2d": '`"hard_sigmoid"` is Keras 3\'s, '
    "`relu6(x + 3) / 6`; R's was `clip(0.2 * x + 0.5, 0, 1)`",
}

COMMAND_LINE = """\
# Command line

This page lists all options of the commands, as `python -m keras_sepconv` prints
them with `--help`. `python docs/generate.py` makes this page.
[Converting](converting.md), [measuring](benchmark.md) and [running step by
step](streaming.md) show how to use the commands.

After the installation, `keras-sepconv` is the same as `python -m
keras_sepconv`. What the commands write as JSON is described by a
[JSON schema](output.schema.json): `info`, `convert`, `stream` and `bench` under
`$defs`.
"""


def _row(name: str) -> str:
    parameters = inspect.signature(getattr(functional, name)).parameters
    own, weights = [], []
    is_layer = name.startswith("layer_") and name != "layer_input"
    for key, parameter in parameters.items():
        if key.endswith("_initializer"):
            weights.append(key.removesuffix("_initializer"))
        if is_layer and key in ("object", *STANDARD):
            continue
        if key.endswith(OF_WEIGHTS):
            continue
        required = key in ("filters", "kernel_size")
        default = "" if required else f"={parameter.default!r}"
        own.append(f"`{key}{default}`".replace("'", '"'))
    cells = (f"`{name}`", ", ".join(own), ", ".join(weights))
    return f"| {' | '.join(cells)} | {DIFFERENT.get(name, '')} |\n"


def r_helpers() -> str:
    """Returns the page of R's helpers."""
    standard = ", ".join(f"`{name}`" for name in STANDARD)
    parameters = inspect.signature(functional.layer_cropping_1d).parameters
    others = ", ".join(f"`{name}`" for name in parameters if name in STANDARD)
    text = R_HELPERS.format(standard=standard, others=others)
    return text + "".join(map(_row, functional.__all__))


def _help(*command: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([*command, "--help"])
    return text.getvalue().strip()


def command_line() -> str:
    """Returns the page of the command line, for terminals of 80 columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        sections = [
            f"\n## {' '.join(['python -m keras_sepconv', *command])}\n\n"
            f"```text\n{_help(*command)}\n```\n"
            for command in ([], ["bench"], ["convert"], ["info"], ["stream"])
        ]
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
    return COMMAND_LINE + "".join(sections)


PAGES = {"r_helpers.md": r_helpers, "command_line.md": command_line}


if __name__ == "__main__":
    for page, make in PAGES.items():
        (DOCS / page).write_text(make())
        print(DOCS / page, file=sys.stderr)
