"""Makes the pages of results, and their figures, from the runs beside them.

    python docs/figures/results.py

The runs are what `python -m keras_sepconv bench --json FILE` wrote.
"""

import pathlib

import drawing
import tables
from matplotlib.axes import Axes

from keras_sepconv.bench import results
from keras_sepconv.bench.report import plot
from keras_sepconv.bench.results import Result, suites, title

FIGURES = pathlib.Path(__file__).parent
DOCS = FIGURES.parent
# The positions of the dots in a row.
OFFSETS = {"forward": -0.2, "training": 0.2}

SUMMARY = """\
# Results

Read this page to learn how many times faster than stock Keras the layers are,
and where they are slower. All times were measured on CPUs with 2 cores. Nothing
was measured on a GPU or a TPU. [Measuring the speed](benchmark.md) explains
what is timed and how.

![A dot for each case, a row for each backend and suite; a line at the geometric
mean](figures/overview.svg)

## Summary

{summary}

For volumes, stock Keras is `Conv3D` with as many groups as channels, then a
1x1x1 `Conv3D`; causal padding is added by hand. Whole networks run
`predict_on_batch` and `train_on_batch`; here *ours* is the network after
`accelerate` ([older runs](benchmark.md#whole-networks): after `convert_model`),
and *inference* is the result of `convert_model(model, inference=True)`.

Compare ratios, not milliseconds. Where both run the same operations, as they
mostly do on TensorFlow, the ratio is near 1 and the rest is noise: [stock Keras
timed against itself](benchmark.md#the-clock) gives ratios from 0.89 to 1.19.

## All cases

| page | cases |
| --- | --- |
{links}

## Losses

{losses}

## Compiling and memory

{costs}

## Machines and versions

{machines}

## How these pages are made

A script makes them from the runs in `docs/results`, which also hold the
quartiles:

```sh
python docs/figures/results.py
```

These commands made the runs:

```sh
{commands}
```
"""

SUITE = """\
# {heading}

{about}. The [summary](../results.md) has the means and the worst cases of all
suites; [Measuring the speed](../benchmark.md#the-columns) explains the columns.

{tables}
"""

PICTURES = """\
# All cases in figures

One figure for each backend, with all its cases. A point on the gray side is a
loss. The lines are quartiles. The numbers are on [the pages of the
suites](../results.md#all-cases).

{pictures}
"""

# The suites with a description; each has a page in the folder `results`.
SUITES = {
    "separable": "Separable convolutions of images, with depth multiplier 1",
    "multiplier": "Separable convolutions of images, with a depth multiplier "
    "of 2 or more",
    "sequence": "Separable convolutions of sequences",
    "volume": "Separable convolutions of volumes",
    "applications": "The networks of `keras.applications`, with 8 images and "
    "with 1",
}


def load() -> dict[str, Result]:
    """Returns the runs by the names of their files, in this order."""
    return {
        path.name: results.load(path)
        for path in sorted(DOCS.glob("results/*.json"))
    }


def slug(backend: Result) -> str:
    """Returns the name of a backend's figure."""
    return backend["backend"] + ("_xla" if backend["jit_compile"] else "")


def pages(runs: dict[str, Result]) -> dict[str, str]:
    """Returns the text of each page, by its path in `docs`."""
    measured = list(runs.values())
    parts = tables.sections(measured)
    about = {f"results/{suite}.md": text for suite, text in SUITES.items()}
    links = {**about, "results/figures.md": "All cases in figures"}
    made = {
        "results.md": SUMMARY.format(
            summary=parts["Summary"],
            links="\n".join(
                f"| [{pathlib.Path(path).stem}]({path}) | {text} |"
                for path, text in links.items()
            ),
            losses=parts["Losses"],
            costs=parts["Compiling and memory"],
            machines=parts["Machines and versions"],
            commands="\n".join(command(*run) for run in runs.items()),
        ),
        "results/figures.md": PICTURES.format(
            pictures="\n\n".join(
                f"![{title(backend)}: the ratios of all cases]"
                f"(../figures/speed_{slug(backend)}.svg)"
                for backend in tables.merged(measured)
            )
        ),
    }
    for path, text in about.items():
        heading = tables.heading(pathlib.Path(path).stem)
        made[path] = SUITE.format(
            heading=heading, about=text, tables=parts[heading]
        )
    return made


def command(name: str, run: Result) -> str:
    """Returns the command that makes a run's file."""
    (backend,) = run["backends"]
    start = f"python -m keras_sepconv bench --backend {backend['backend']}"
    if suites(backend) == [tables.NETWORKS]:
        environment = f"KERAS_BACKEND={backend['backend']}"
        start = f"{environment} python tests/models/networks.py"
    if backend["jit_compile"]:
        start += " --jit-compile"
    seconds = f"--seconds {backend['seconds']:g}"
    return f"{start} {seconds} --json docs/results/{name}"


def overview(backends: list[Result], path: pathlib.Path) -> None:
    """Draws all cases as dots, a row for each suite."""
    rows = [
        (backend, suite)
        for backend in backends
        for suite in [
            None,
            *suites(backend),
        ]
    ]
    with drawing.style():
        figure = drawing.figure(1.2 + 0.32 * len(rows))
        axes = figure.subplots()
        for place, (backend, suite) in enumerate(rows):
            if suite is not None:
                row(axes, place, backend, suite)
                continue
            axes.text(
                0.02,
                place + 0.1,
                title(backend),
                transform=axes.get_yaxis_transform(),
                va="center",
                weight="bold",
            )
        axes.set_yticks(range(len(rows)), [suite or "" for _, suite in rows])
        drawing.ratio_scale(axes, len(rows), "line: the mean; gray: a loss")
        axes.set_title("Times faster than stock Keras")
        figure.legend(loc="outside lower left", ncols=2, handletextpad=0.2)
        drawing.save(figure, path)


def row(axes: Axes, place: int, backend: Result, suite: str) -> None:
    """Draws one suite: its cases, the mean, and the mean as a number."""
    for kind, offset in OFFSETS.items():
        group = results.group(backend["cases"], suite, kind)
        if group is None:
            continue
        values = [
            case["measurements"][kind]["speedup"][1]
            for case in backend["cases"]
            if case["suite"] == suite and not case["wrong"]
        ]
        axes.plot(
            values,
            [place + offset] * len(values),
            linestyle="",
            alpha=0.5,
            markersize=4,
            markeredgewidth=0,
            **drawing.KIND_STYLES[kind],
        )
        axes.plot(
            [group.mean] * 2,
            [place + offset - 0.19, place + offset + 0.19],
            color="black",
            linewidth=1.6,
        )
        drawing.write_ratio(axes, place, kind, group.mean)


def main() -> None:
    """Writes the pages and their figures."""
    runs = load()
    backends = tables.merged(runs.values())
    first = next(iter(runs.values()))
    for backend in backends:
        path = FIGURES / f"speed_{slug(backend)}.svg"
        plot({**first, "backends": [backend]}, path)
    overview(backends, FIGURES / "overview.svg")
    for path, text in pages(runs).items():
        (DOCS / path).write_text(text)


if __name__ == "__main__":
    main()
