"""Makes docs/results.md, and its figures, from the runs in docs/results.

    python docs/figures/results.py

The runs are what `python -m keras_sepconv bench --json FILE` wrote.
"""

import pathlib

from matplotlib.axes import Axes

from keras_sepconv.bench import drawing, markdown, results, summary
from keras_sepconv.bench.plot import plot
from keras_sepconv.bench.results import BackendResult, Result, title

FIGURES = pathlib.Path(__file__).parent
DOCS = FIGURES.parent
# Places in a row.
OFFSETS = {"forward": -0.2, "training": 0.2}

PAGE = """\
# Results

How many times faster than stock Keras, and where not: what is measured and how
is in [Measuring the speed](benchmark.md). This page is made from the runs in
`docs/results`, which hold the quartiles too, by

```sh
python docs/figures/results.py
```

and a run by

```sh
{commands}
```

Compare ratios, not milliseconds. Where both run the same operations, as mostly
on TensorFlow, a ratio near 1 is what the machine does to either: [stock Keras
against itself](benchmark.md#the-clock) comes out between 0.89 and 1.19.

![A dot for each case, a row for each backend and suite; a line at the geometric
mean](figures/overview.svg)

{tables}
## In pictures

Whatever is on the gray side is a loss; lines are quartiles.

{pictures}
"""


def load() -> dict[str, Result]:
    """Returns the runs by the names of their files, in this order."""
    return {
        path.name: results.load(path)
        for path in sorted(DOCS.glob("results/*.json"))
    }


def slug(backend: BackendResult) -> str:
    """Returns what a backend's figure is called."""
    return backend["backend"] + ("_xla" if backend["jit_compile"] else "")


def page(runs: dict[str, Result]) -> str:
    """Returns the page's text."""
    backends = markdown.merged(runs.values())
    pictures = [
        f"![{title(backend)}: the ratios of all cases]"
        f"(figures/speed_{slug(backend)}.svg)"
        for backend in backends
    ]
    return PAGE.format(
        commands="\n".join(command(*run) for run in runs.items()),
        tables=markdown.document(list(runs.values())),
        pictures="\n\n".join(pictures),
    )


def command(name: str, run: Result) -> str:
    """Returns the command that makes a run's file."""
    backends = run["backends"]
    suites = {case["suite"] for b in backends for case in b["cases"]}
    names = " ".join(backend["backend"] for backend in backends)
    options = [f"--backend {names}"]
    if any(backend["jit_compile"] for backend in backends):
        options.append("--jit-compile")
    if "applications" in suites:
        options.append("--suite applications")
    options.append(f"--seconds {backends[0]['seconds']:g}")
    options.append(f"--json docs/results/{name}")
    return f"python -m keras_sepconv bench {' '.join(options)}"


def overview(backends: list[BackendResult], path: pathlib.Path) -> None:
    """Draws all cases as dots, a row for each suite."""
    rows = [
        (backend, suite)
        for backend in backends
        for suite in [
            None,
            *dict.fromkeys(c["suite"] for c in backend["cases"]),
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


def row(axes: Axes, place: int, backend: BackendResult, suite: str) -> None:
    """Draws one suite: its cases, the mean, and the mean in figures."""
    for kind, offset in OFFSETS.items():
        group = summary.group(backend["cases"], suite, kind)
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
    """Writes the page and its figures."""
    runs = load()
    backends = markdown.merged(runs.values())
    first = next(iter(runs.values()))
    for backend in backends:
        path = FIGURES / f"speed_{slug(backend)}.svg"
        plot({**first, "backends": [backend]}, path)
    overview(backends, FIGURES / "overview.svg")
    (DOCS / "results.md").write_text(page(runs))


if __name__ == "__main__":
    main()
