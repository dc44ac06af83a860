"""The tests of stock Keras's defects, run with stock Keras and with ours.

    python tests/long/stock_defects.py

This runs tests/test_stock_defects.py twice on each backend, once with the stock
layer and operations instead of ours. It writes the results of each row into
docs/stock_defects.md. It needs all backends in one environment.
"""

import collections
import json
import pathlib
import re
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import tables

TESTS = pathlib.Path(__file__).parent.parent
MARK = "<!-- as run: -->\n"

# The columns of the table, with their environment variables.
RUNS = {
    "numpy": {"KERAS_BACKEND": "numpy"},
    "JAX": {"KERAS_BACKEND": "jax"},
    "TensorFlow": {"KERAS_BACKEND": "tensorflow"},
    "TensorFlow without oneDNN": {
        "KERAS_BACKEND": "tensorflow",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    },
    "torch": {"KERAS_BACKEND": "torch"},
}
# Leaves out tests of what only this package has, and the test that starts all
# others again.
LEFT_OUT = "not helper and not weights and not without_onednn and not groups"

Counts = dict[str, collections.Counter[str]]


class StockOps:
    """Keras's operations, called as ours are."""

    @staticmethod
    def implementations(*_: Any, **__: Any) -> dict[str, str | None]:
        return {"stock": None}

    @staticmethod
    def separable_conv(
        inputs: Any,
        depthwise: Any,
        pointwise: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: Any = None,
        bias: Any = None,
        **_: Any,
    ) -> Any:
        import keras

        options = {
            "strides": strides,
            "padding": padding,
            "data_format": data_format,
        }
        outputs = keras.ops.separable_conv(
            inputs, depthwise, pointwise, **options
        )
        if bias is None:
            return outputs
        if data_format == "channels_first":
            bias = keras.ops.reshape(bias, (1, -1, 1, 1))
        return keras.ops.add(outputs, bias)

    @staticmethod
    def depthwise_conv(inputs: Any, kernel: Any, **options: Any) -> Any:
        import keras

        return keras.ops.depthwise_conv(inputs, kernel, **options)


class Plugin:
    """Counts the results of the tests of each row."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.counts: Counts = collections.defaultdict(collections.Counter)

    def pytest_configure(self) -> None:
        """Replaces our layers and operations by those of stock Keras."""
        if self.who == "stock":
            import keras

            import keras_sepconv

            for name in ("SeparableConv2D", "DepthwiseConv2D"):
                setattr(keras_sepconv, name, getattr(keras.layers, name))
            keras_sepconv.ops = StockOps

    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        """Sorts a test by how it ended."""
        if call.when != "call":
            return
        result = "right"
        if call.excinfo is not None:
            kind = call.excinfo.typename
            names = {"AssertionError": "wrong", "Failed": "accepted"}
            result = names.get(kind, "error")
        found = re.match(r"test_((?:[we]\d+_)+|arguments_)", item.name)
        assert found is not None, item.name
        for row in found[1].strip("_").split("_"):
            self.counts[row][result] += 1


def tried(who: str) -> Counts:
    """Runs the tests in this process."""
    import pytest

    plugin = Plugin(who)
    path = str(TESTS / "test_stock_defects.py")
    options = ["-q", "--tb=no", "-W", "ignore", "-p", "no:cacheprovider"]
    pytest.main([path, *options, "-k", LEFT_OUT], [plugin])
    return plugin.counts


def cell(counts: dict[str, int]) -> str:
    """Returns the results of the tests of a row in words."""
    bad = {k: n for k, n in counts.items() if k != "right"}
    if not counts:
        return ""
    if not bad:
        return "right"
    total = sum(counts.values())
    return ", ".join(f"{k} {n}/{total}" for k, n in sorted(bad.items()))


def table(found: dict[str, dict[str, Counts]]) -> str:
    """Returns the results of all runs as Markdown."""
    rows = dict.fromkeys(
        row
        for run in found.values()
        for counts in run.values()
        for row in counts
    )
    rows = sorted(rows, key=lambda row: (row[0] != "w", row[0], _number(row)))
    lines = [
        "| row | " + " | ".join(f"stock, {run}" for run in found) + " | ours |",
        "|---" * (len(found) + 2) + "|",
    ]
    for row in rows:
        stock = [cell(run["stock"].get(row, {})) for run in found.values()]
        ours = [cell(run["ours"].get(row, {})) for run in found.values()]
        said = dict.fromkeys(text for text in ours if text)
        name = {"half": "half precision", "arguments": "arguments"}
        label = name.get(row, row.upper())
        lines.append(f"| {label} | {' | '.join(stock)} | {'; '.join(said)} |")
    return "\n".join(lines) + "\n"


def _number(row: str) -> int:
    return int(row[1:]) if row[1:].isdigit() else 0


def main() -> int:
    """Runs everything in new processes; returns 1 if a test of ours fails."""
    if sys.argv[1:]:
        who, path = sys.argv[1:]
        pathlib.Path(path).write_text(json.dumps(tried(who)))
        return 0
    found = {
        run: {
            who: tables.run(__file__, who, environment=environment)
            for who in ("stock", "ours")
        }
        for run, environment in RUNS.items()
    }
    tables.write("stock_defects.md", MARK, table(found))
    ours = [counts for run in found.values() for counts in run["ours"].values()]
    return int(any(set(counts) != {"right"} for counts in ours))


if __name__ == "__main__":
    sys.exit(main())
