"""Writes docs/models.md from the runs in docs/models/."""

import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "models.md"
BACKENDS = {"jax": "JAX", "tensorflow": "TensorFlow", "torch": "torch"}
KINDS = ("predict 1", "predict 8", "train 1", "train 8")
# What is printed as a loss.
_LOSS = 0.97
_NOISY = 0.03

_HEAD = """\
# Models that others wrote

<!-- made by tests/models/table.py -->

This page is for those who want to know what
[`keras_sepconv.accelerate`](converting.md) gains for real models: networks of
Keras, of three libraries of models, and models as users write them. The weights
and the statistics of the normalisations are random, and the images have 96 x 96
pixels. `tox run -e models` makes this page.
"""

_RIGHT = """\
## Is it right?

The column "layers" shows how many of the separable, depthwise and pointwise
layers run our operations. The column "share" shows the share of these layers in
the multiply-adds of a prediction. Under a backend, "yes" means all of this:

- The predictions for a batch of 8 are equal to those of stock Keras, up to
  rounding. The largest difference is at most 2^-14 of the spread between the
  examples, or at most 8 times what one rounding of the inputs and weights
  changes in stock Keras. It is never more than a tenth of the spread.
- A training step changes the weights as in stock Keras, with the same bound,
  relative to the step.
- `save` writes the same bytes before and after `accelerate`, except the date.
- The saved file loads in a process that cannot import `keras_sepconv`, and
  predicts the same.

A "no" says which difference is too large. GhostNetW050 amplifies rounding more
than the bound allows. Compared with the same network in float64 (on torch),
stock Keras is off by 1.8e-4 on JAX, 4.3e-4 on TensorFlow and 4.8e-4 on torch.
The accelerated model on JAX is off by 0.8e-4.

A training step of RegNetY002 has the same problem: if rounding moves one
number across zero before a ReLU, the step changes by about 1e-4 of its size.
With eight other batches on torch, compared with float64, stock Keras is off by
8e-6 to 9e-4, and the accelerated model by 2e-6 to 3e-4.
"""

_FAST = """\
## How fast is it?

The time of stock Keras divided by that of the accelerated model, for
`predict_on_batch` and `train_on_batch`, with batches of 1 and of 8. Two copies
of a model run in turns in one process. The number is the median of the ratios.
A number with a "?" has an error above 3 %. A model that is not right, or was
not timed, has no number.
"""


def write() -> None:
    """Writes the page."""
    PAGE.write_text(text())


def text() -> str:
    """Returns the page, made from the runs beside it."""
    found = {
        backend: json.loads(path.read_text())
        for backend in BACKENDS
        if (path := PAGE.with_suffix("") / f"{backend}.json").exists()
    }
    rows = {backend: kept["rows"] for backend, kept in found.items()}
    names = list(dict.fromkeys(name for kept in rows.values() for name in kept))
    parts = [_HEAD, *_summary(names, rows), _RIGHT, *_rights(names, rows)]
    parts += [_FAST, *_speeds(names, rows), *_machines(found)]
    return "\n".join(parts) + "\n"


Rows = dict[str, dict[str, Any]]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(*cells: str) -> Iterator[str]:
    yield _line(*cells)
    yield "|---" * len(cells) + "|"


def _summary(names: list[str], rows: Rows) -> Iterator[str]:
    yield from _head(
        "backend", "models", "all right", "timed", *KINDS, "slowest"
    )
    for backend, kept in rows.items():
        here = [kept[name] for name in names if name in kept]
        ratios = {
            kind: {
                name: kept[name]["times"][kind]["ratio"]
                for name in names
                if name in kept and _times(kept[name])
            }
            for kind in KINDS
        }
        right = sum(_wrong(row) is None for row in here)
        every = [
            (ratio, name, kind)
            for kind, some in ratios.items()
            for name, ratio in some.items()
        ]
        slowest = ""
        if every:
            ratio, name, kind = min(every)
            slowest = f"{_ratio(ratio)} ({name}, {kind})"
        means = (_mean([*some.values()]) for some in ratios.values())
        asked = sum(map(_runs, here))
        numbers = map(str, (asked, right, len(ratios[KINDS[0]])))
        yield _line(BACKENDS[backend], *numbers, *means, slowest)
    yield ""
    yield "The speeds are geometric means over the models that were timed."
    yield ""


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    return f"{math.exp(sum(map(math.log, values)) / len(values)):.2f}"


def _ratio(ratio: float) -> str:
    return f"**{ratio:.2f}**" if ratio < _LOSS else f"{ratio:.2f}"


def _runs(row: dict[str, Any]) -> bool:
    """Tells whether stock Keras runs the model."""
    return "stock" not in row.get("checks", {"stock": ""})


def _wrong(row: dict[str, Any]) -> str | None:
    """Returns what differs from stock Keras; empty if it is not known."""
    checks = row.get("checks")
    if checks is None:
        return ""
    if "error" in checks:
        return f"no: {checks['error']}"
    if "stock" in checks:
        return f"Keras itself fails: {checks['stock']}"
    words = {"outputs": "outputs", "step": "training step", "loaded": "loaded"}
    wrong = [
        f"{word} off by {checks[key]['far']:.1g}, where one rounding moves "
        f"stock by {checks[key]['moved']:.1g}"
        for key, word in words.items()
        if not checks[key]["equal"]
    ]
    if checks["ran"] != checks["reached"]:
        wrong.append(f"{checks['ran']} layers ran ours")
    if not checks["file_equal"]:
        wrong.append("another file")
    return f"no: {'; '.join(wrong)}" if wrong else None


def _times(row: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the times, if the results are right."""
    times = row.get("times")
    if times is None or "error" in times or _wrong(row) is not None:
        return None
    return dict(times)


def _rights(names: list[str], rows: Rows) -> Iterator[str]:
    notes = []
    yield from _head(
        "model", "layers", "share", *(BACKENDS[backend] for backend in rows)
    )
    for name in names:
        here = [kept[name] for kept in rows.values() if name in kept]
        known = [
            row["checks"] for row in here if "reached" in row.get("checks", {})
        ]
        reached = {f"{one['reached']} of {one['cheap']}" for one in known}
        shares = {
            "unknown" if one["share"] is None else f"{100 * one['share']:.0f} %"
            for one in known
        }
        for reason in sorted({r for one in known for r in one["left"]}):
            notes.append(f"- {name}, left: {reason}.")
        cells = []
        for kept in rows.values():
            wrong = _wrong(kept[name]) if name in kept else ""
            cells.append("yes" if wrong is None else wrong)
        yield _line(
            name, ", ".join(sorted(reached)), ", ".join(sorted(shares)), *cells
        )
    yield ""
    if notes:
        yield from ["What was not reached, though it is cheap:", "", *notes, ""]


def _speeds(names: list[str], rows: Rows) -> Iterator[str]:
    for backend, kept in rows.items():
        known = {name: _times(kept.get(name, {})) for name in names}
        yield from [f"### {BACKENDS[backend]}", ""]
        yield from _head("model", *KINDS)
        for name, times in known.items():
            if times:
                yield _line(name, *(_cell(times[kind]) for kind in KINDS))
        yield ""


def _cell(measured: dict[str, float]) -> str:
    doubt = "?" if measured["noise"] > _NOISY else ""
    return f"{_ratio(measured['ratio'])}{doubt}"


def _machines(found: dict[str, Any]) -> Iterator[str]:
    yield "## Where this was run"
    yield ""
    backends: dict[str, list[str]] = {}
    for backend, kept in found.items():
        facts = ", ".join(f"{k} {v}" for k, v in kept["machine"].items() if v)
        backends.setdefault(facts, []).append(BACKENDS[backend])
    for facts, names in backends.items():
        yield f"- {', '.join(names)}: {facts}"
