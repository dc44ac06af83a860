"""The benchmark: its gate, its arithmetic and its command, but no speeds."""

import copy
import dataclasses
import io
import itertools
import json
import math
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import schemas
from backends import BACKEND, needs_gradients
from rich.console import Console

from keras_sepconv import _arguments, convert_model, kernels
from keras_sepconv.__main__ import main
from keras_sepconv.bench import (
    applications,
    clock,
    command,
    gate,
    markdown,
    report,
    results,
    summary,
)
from keras_sepconv.bench.cases import CASES, QUICK
from keras_sepconv.bench.contest import Settings
from keras_sepconv.bench.measure import measure
from keras_sepconv.bench.plot import plot
from keras_sepconv.bench.processes import elsewhere

SMALL = "small_28_64_b1"


def case_result(case, speedup=2.0, wrong=()):
    times = {
        "stock": [speedup * 0.003, speedup * 0.001, speedup * 0.002],
        "ours": [0.003, 0.001, 0.002],
        "floor": [0.001, 0.001, 0.001],
        "peer": [0.003, 0.001, 0.002],
    }
    kinds = () if wrong else results.KINDS
    costs = {"compile_seconds": dict.fromkeys(results.KINDS, 1.5)}
    return {
        "name": case.name,
        "description": case.description,
        "suite": case.suite,
        "wrong": list(wrong),
        "measurements": {kind: clock.measurement(times) for kind in kinds},
        "costs": {
            "stock": {**costs, "peak_bytes": 300},
            "ours": {**costs, "peak_bytes": 200},
        },
    }


@pytest.fixture
def result():
    """An invented result with every case: one is a loss, one is wrong."""
    loss, wrong, *others = CASES
    cases = [
        case_result(loss, 0.996),
        case_result(wrong, wrong=["value is 2"]),
        *(case_result(case, 20.0) for case in others),
    ]
    backend = {
        "backend": "jax",
        "jit_compile": False,
        "implementation": None,
        "seconds": 2.0,
        "versions": {"keras": "3", "jax": "1", "flax": None},
        "device": "cpu",
        "cases": cases,
    }
    machine = {"processor": "P", "cores": 2, "threads": 4}
    machine |= {"system": "Linux", "python": "3.11"}
    return {"date": "today", "machine": machine, "backends": [backend]}


def printed(function, *arguments, width=80):
    console = Console(file=io.StringIO(), width=width)
    function(console, *arguments)
    return console.file.getvalue()


def test_names_of_cases_are_unique_and_each_has_a_suite():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert set(QUICK) <= set(names)
    assert set(_arguments.SUITES) == {case.suite for case in CASES}
    assert {c.suite for c in CASES if len(c.sizes) == 1} == {"sequence"}
    assert {c.suite for c in CASES if len(c.sizes) == 3} == {"volume"}
    images = [c for c in CASES if len(c.sizes) == 2]
    assert all((c.suite == "multiplier") == (c.multiplier > 1) for c in images)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_shrunk_case_is_small_and_of_the_same_kind(case):
    shrunk = case.shrunk()
    cut = ("sizes", "channels", "filters", "batch")
    assert math.prod(shrunk.input_shape()) <= 2 * 9 ** len(case.sizes) * 6
    for name in {field.name for field in dataclasses.fields(case)} - {*cut}:
        assert getattr(shrunk, name) == getattr(case, name)
    assert [n % 2 for n in shrunk.sizes] == [n % 2 for n in case.sizes]


@pytest.mark.parametrize(("seconds", "rounds"), [(0.001, 3), (100, 15)])
def test_every_round_runs_each_once(seconds, rounds):
    ticks, order = itertools.count(), []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    # One tick at the start, one a round beyond the third, two a run.
    times = clock.interleaved(runs, seconds, now=lambda: next(ticks))
    assert times == {name: [1] * rounds for name in "abc"}
    assert order[::2] == order[1::2], "not each warmed by itself"
    timed = order[::2]
    by_round = [timed[i : i + 3] for i in range(0, len(timed), 3)]
    assert all(sorted(names) == ["a", "b", "c"] for names in by_round)
    assert rounds == 3 or len({tuple(names) for names in by_round}) > 1


def test_a_whole_network_has_no_floor_and_maybe_no_peer(result):
    cases = result["backends"][0]["cases"]
    for kind in results.KINDS:
        cases[2]["measurements"][kind]["over_floor"] = None
        cases[2]["measurements"][kind]["peers"] = {}
    text = printed(report.report, result)
    (row,) = set(re.findall(rf"^.*{cases[2]['name']} .*$", text, re.M))
    assert row.split() == [cases[2]["name"], "20.0", "20.0-20.0", "2.00"]


def test_ratios_are_taken_round_by_round():
    # The machine slows down to a tenth; the ratio does not.
    times = {
        "stock": [2.0, 20.0, 4.0, 6.0, 2.0],
        "ours": [1.0, 10.0, 1.0, 2.0, 1.0],
        "floor": [0.5, 5.0, 0.25, 1.0, 1.0],
        "flax": [3.0, 30.0, 3.0, 6.0, 3.0],
    }
    measured = clock.measurement(times)
    assert measured["rounds"] == 5
    assert measured["speedup"] == [2, 2, 3]
    assert measured["over_floor"] == [2, 2, 2]
    assert measured["peers"] == {"flax": [3, 3, 3]}
    assert measured["milliseconds"]["ours"] == [1000, 1000, 2000]
    assert measured["milliseconds"]["stock"] == [2000, 4000, 6000]


def test_groups(result):
    cases = result["backends"][0]["cases"]
    mean = (0.996 * 20 ** (len(CASES) - 2)) ** (1 / (len(CASES) - 1))
    group = summary.group(cases, "all", "forward")
    assert group.size == len(CASES) - 1
    assert group.mean == pytest.approx(mean)
    assert group.worst == pytest.approx(0.996)
    assert group.where == CASES[0].name
    group = summary.group(cases, "multiplier", "training")
    assert group.size == sum(case.suite == "multiplier" for case in CASES)
    assert [group.mean, group.worst] == pytest.approx([20, 20])
    assert summary.group(cases[1:2], "all", "forward") is None


def test_other_costs(result):
    ratios = summary.cost_ratios(result["backends"][0]["cases"])
    median, worst, where = summary.median_and_worst(ratios["memory, training"])
    assert (median, worst, where) == (1.5, 1.5, min(c.name for c in CASES))
    assert ratios["compile time, forward"][0][0] == 1


def test_numbers_have_three_digits():
    values = (0.004, 0.994, 1, 9.994, 9.996, 12.34, 99.94, 99.96, 1234.5)
    assert " ".join(map(report.number, values)) == (
        "0.00 0.99 1.00 9.99 10.0 12.3 99.9 100 1234"
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_report_fits_and_hides_nothing(result, width):
    # The longest name is also the worst one's.
    longest = max((case.name for case in CASES), key=len)
    result["backends"][0]["cases"][0]["name"] = longest
    text = printed(report.report, result, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    # Not rounded up to 1, and said in a word.
    assert re.search(rf"{longest} .*loss 0\.99 ", text)
    assert f"FAILED {CASES[1].name}: value is 2" in text
    row = next(
        line
        for line in text.splitlines()
        if line.strip().startswith(CASES[1].name)
    )
    numbers = row.replace(CASES[1].name, "").replace(CASES[1].description, "")
    assert numbers.split() == ["FAILED"]
    assert (CASES[0].description in text) == (width == 120)
    assert "flax not installed" in text
    assert "multiplier (6)" in text


def test_results_survive_their_file(result, tmp_path):
    results.save(result, tmp_path / "a.json")
    loaded = results.load(tmp_path / "a.json")
    assert flat(loaded) == {
        place: pytest.approx(value, rel=5e-4)
        if isinstance(value, float)
        else value
        for place, value in flat(result).items()
    }
    results.save(loaded, tmp_path / "b.json")
    assert results.load(tmp_path / "b.json") == loaded


def flat(value, *place):
    """Returns all values in nested dictionaries and lists, by their place."""
    if not isinstance(value, dict | list):
        return {place: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = {}
    for key, item in items:
        found |= flat(item, *place, key)
    return found


def test_a_file_is_short(result, tmp_path):
    measured = result["backends"][0]["cases"][0]["measurements"]["forward"]
    measured["speedup"] = [0.1, 1 / 3, 1234.567]
    result["backends"][0]["cases"][1]["wrong"] = ["at [1,\n 2]"]
    results.save(result, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert '"speedup": [0.1, 0.3333, 1235.0]\n' in text.replace(",\n", "\n")
    loaded = results.load(tmp_path / "a.json")["backends"][0]["cases"]
    assert loaded[0]["measurements"]["forward"]["speedup"][1] == 0.3333
    assert loaded[1]["wrong"] == ["at [1,\n 2]"]


def cells(text, start):
    """Returns a row of the only Markdown table that has it."""
    (row,) = re.findall(rf"^\| {re.escape(start)} \|.*$", text, re.M)
    return [cell.strip() for cell in row.strip("|").split("|")]


def only(result, *suites):
    """Returns the result of some suites, and of the first two cases."""
    (backend,) = result["backends"]
    kept = [c for c in backend["cases"] if c["suite"] in suites]
    return {**result, "backends": [{**backend, "cases": kept}]}


def test_markdown_hides_nothing(result):
    text = markdown.document([result])
    measurements = 2 * (len(CASES) - 1)
    assert f"faster in 2 of {measurements} measurements" in text
    losses = text[text.index("## Losses") : text.index("## Suite")]
    assert re.findall(
        r"\| (\w+) \| jax \| ([a-z ]+) \| loss 0.99 \|", losses
    ) == [
        (CASES[0].name, "forward"),
        (CASES[0].name, "training step"),
    ]
    assert f"FAILED, jax, {CASES[1].name}: value is 2" in text
    tables = text[text.index("## Suite") :]
    for case in CASES:
        rows = re.findall(rf"^\| {case.name} \| (.*) \|$", tables, re.M)
        said = [row.split(" | ") for row in rows]
        assert {shape for _, shape in said} == {case.description}
        assert [cell for cell, _ in said] == (
            ["FAILED"] * 4
            if case is CASES[1]
            else [
                "loss 0.99 / loss 0.99" if case is CASES[0] else "20.0 / 20.0",
                "2.00 / 2.00",
                "2.00 / 2.00",
                "1.00 / 1.00",
            ]
        )
    mean = cells(text, "separable")
    assert mean[1] == "19"
    assert mean[3] == f"loss 0.99 ({CASES[0].name})"
    assert "P, 2 cores, 4 threads, Linux, Python 3.11; today" in text
    assert "flax not installed" in text
    assert {line.count("|") for line in text.splitlines() if "|" in line} == {
        4,
        6,
        7,
    }


def test_markdown_puts_runs_together(result):
    whole = case_result(CASES[0], 3.0)
    whole |= {"name": "net_b8", "suite": applications.SUITE}
    whole["measurements"]["training"]["milliseconds"] = {"ours": [1.0] * 3}
    times = {"stock": [6.0] * 3, "ours": [2.0] * 3, "inference": [1.5] * 3}
    whole["measurements"]["forward"]["milliseconds"] = times
    networks = copy.deepcopy(only(result))
    networks["backends"][0]["cases"] = [whole]
    other = copy.deepcopy(only(result, "volume"))
    other["backends"][0]["backend"] = "torch"
    text = markdown.document([only(result, "volume"), networks, other])
    volume = text[text.index("## Suite `volume`") :]
    assert "| case | jax | torch | shape |" in volume
    assert text.count("## Suite") == 1
    predicting = text[text.index("Predicting, stock/inference") :]
    assert cells(predicting, "net_b8")[1:-1] == ["4.00"]
    assert "openvino" not in text
    with pytest.raises(ValueError, match=r"jax has the case \w+ twice"):
        markdown.document([result, result])


def test_what_inference_gains_over_ours_is_no_loss(result):
    whole = case_result(CASES[0], 3.0)
    whole |= {"name": "net_b8", "suite": applications.SUITE}
    whole["measurements"]["forward"]["peers"] = {"inference": [0.7, 0.8, 0.9]}
    result["backends"][0]["cases"] = [whole]
    text = printed(report.report, result)
    (row,) = re.findall(r"net_b8 .*", text.split("training step")[0])
    assert row.split()[-1] == "1.25"
    assert re.search(r"ours\s.*/inference", text, re.DOTALL)


def test_comparing(result):
    new = copy.deepcopy(result)
    new["machine"]["processor"] = "Q"
    new["backends"][0]["versions"]["jax"] = "2"
    new["backends"][0]["cases"][2] = case_result(CASES[2], 30.0)
    old = result
    del old["backends"][0]["cases"][3]
    text = printed(report.compare, old, new)
    assert "processor: P then, Q now" in text
    assert "jax, jax: 1 then, 2 now" in text
    assert re.search(rf"{CASES[2].name} +forward +20\.0 +30\.0 +\+50 %", text)
    assert re.search(rf"{CASES[3].name} +forward +- +20\.0 *\n", text)
    assert re.search(rf"{CASES[1].name} +forward +- +- *\n", text)
    assert "Not the same" not in printed(report.compare, old, old)
    new["backends"][0]["jit_compile"] = True
    assert "nothing that can be compared" in printed(report.compare, old, new)


def assert_is_png(path):
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    width, height = (
        int.from_bytes(content[i : i + 4], "big") for i in (16, 20)
    )
    assert min(width, height) > 300


def test_the_plot_is_a_picture(result, tmp_path):
    result["backends"].append(result["backends"][0])
    plot(result, tmp_path / "a.png")
    assert_is_png(tmp_path / "a.png")


@pytest.fixture
def terms(rng):
    """The terms of the sums that the gate checks."""
    return rng.standard_normal((1, 4, 4, 64, 2000)).astype("float32")


def test_the_gate_lets_rounding_pass(terms):
    forward = np.cumsum(terms, -1)[..., -1]
    backward = np.cumsum(terms[..., ::-1], -1)[..., -1]
    assert np.any(forward != backward)
    magnitude = np.abs(terms).sum(-1)
    assert not gate.disagreements([forward], [backward], [magnitude])


@pytest.mark.parametrize("how", ["one", "scaled", "nan", "shape"])
def test_the_gate_stops_what_is_wrong(terms, how):
    expected, magnitude = terms.sum(-1), np.abs(terms).sum(-1)
    found = expected.copy()
    if how == "one":
        found[0, 1, 2, 3] += 5e-3
    elif how == "scaled":
        found *= 1.001
    elif how == "nan":
        found[0, 1, 2, 3] = np.nan
    else:
        found = found[:, :1]
    (message,) = gate.disagreements([found], [expected], [magnitude])
    assert message.startswith("value ")
    assert ("(0, 1, 2, 3)" in message) == (how in ("one", "nan"))


def test_the_bound_is_far_below_what_it_bounds():
    # A sum of n terms with random signs is about as large as sqrt(n) terms. Its
    # magnitude, the sum of absolute values, is as large as n terms.
    for case in CASES:
        pixels = case.batch * math.prod(case.sizes)
        n = pixels * max(case.filters, math.prod(case.kernel_size))
        assert gate.BOUND * n < 0.01 * math.sqrt(n)


def scaled(outputs, inputs):
    return outputs * 1.001


def wrong_gradient(outputs, inputs):
    total = keras.ops.sum(inputs)
    return outputs + 0.01 * (total - keras.ops.stop_gradient(total))


def spoil_kernels(monkeypatch, spoil):
    """Lets every kernel return something else."""

    def choose(call, implementation=None):
        kernel = original(call, implementation)

        def run(spec, inputs, *weights):
            return spoil(kernel.run(spec, inputs, *weights), inputs)

        return kernels.Kernel("wrong", kernel.why_not, run)

    original = kernels.choose
    monkeypatch.setattr(kernels, "choose", choose)


@needs_gradients
@pytest.mark.parametrize("spoil", [scaled, wrong_gradient])
def test_a_wrong_kernel_gets_no_speed_up(monkeypatch, capsys, tmp_path, spoil):
    spoil_kernels(monkeypatch, spoil)
    path = tmp_path / "a.json"
    arguments = ["--case", SMALL, "--seconds", "0.01", "--json", str(path)]
    assert main(["bench", *arguments]) == 1
    output = capsys.readouterr().out
    what = "value" if spoil is scaled else "in training, gradient of inputs"
    assert f"FAILED {SMALL}: {what} is" in output
    (case,) = results.load(path)["backends"][0]["cases"]
    assert case["measurements"] == {}
    assert not re.search(rf"{SMALL} +(loss )?\d", output)


def test_an_option_given_twice_asks_for_both():
    words = ["bench", "--suite", "separable", "--case", SMALL, "tcn*"]
    words += ["--case", "first_*", "--suite", "sequence"]
    names = [c.name for c in command._cases(_arguments.parse(words))]
    expected = [
        case.name
        for case in CASES
        if case.name == SMALL or case.name.startswith(("tcn", "first_"))
    ]
    assert sorted(names) == sorted(expected)


@needs_gradients
@pytest.mark.slow("it times every backend, layer and network")
def test_the_quick_bench_runs(capsys, tmp_path):
    data, picture = tmp_path / "a.json", tmp_path / "a.png"
    page = tmp_path / "a.md"
    arguments = ["--quick", "--seconds", "0.01", "--markdown", str(page)]
    arguments += ["--json", str(data), "--plot", str(picture)]
    assert main(["bench", *arguments]) == 0
    output = capsys.readouterr().out
    result = results.load(data)
    schemas.check("bench", result)
    assert result["machine"]["processor"] in output
    (backend,) = result["backends"]
    assert backend["backend"] == BACKEND
    assert [case["name"] for case in backend["cases"]] == list(QUICK)
    for case in backend["cases"]:
        assert case["wrong"] == []
        for kind in results.KINDS:
            measured = case["measurements"][kind]
            assert measured["rounds"] >= 3
            assert {"stock", "ours", "floor"} <= measured["milliseconds"].keys()
            low, middle, high = measured["speedup"]
            assert 0 < low <= middle <= high
            assert f"{report.number(measured['over_floor'][1])}" in output
        assert ("stock" in case["costs"]) == (BACKEND == "jax")
    assert_is_png(picture)
    assert result["machine"]["processor"] in page.read_text()


@needs_gradients
@pytest.mark.slow("it starts a process")
def test_a_backend_runs_in_a_process_of_its_own():
    cases = [case for case in CASES if case.name == SMALL]
    settings = Settings(0.01, implementation="portable")
    result = elsewhere(BACKEND, cases, settings)
    assert result["backend"] == BACKEND
    assert result["seconds"] == 0.01
    assert result["implementation"] == "portable"
    assert [case["name"] for case in result["cases"]] == [SMALL]


BAD_ARGUMENTS = {
    "backend": (["--backend", "numpy"], "argument --backend: .*'numpy'.*torch"),
    "suite": (["--suite", "fast"], "argument --suite: .*'fast'.*multiplier"),
    "case": (["--case", "vgg*"], "argument --case: must match .*Received: vgg"),
    "not_quick": (
        ["--quick", "--case", "replknet*"],
        "argument --case: .* in --quick. Received: replknet",
    ),
    "seconds": (["--seconds", "0"], "argument --seconds: must be a positive"),
    "nan": (["--seconds", "nan"], "positive number of seconds. Received: nan"),
    "words": (["--seconds", "two"], "positive number.* Received: two"),
    "json": (["--json", "no/a.json"], "argument --json: .* Received: no/a"),
    "markdown": (["--markdown", "no/a.md"], "argument --markdown: .*no/a"),
    "plot": (["--plot", "a.gif"], "argument --plot: must end in .png.*a.gif"),
    "compare": (["--compare", "no.json"], "argument --compare: .*no.json"),
    "unknown": (["--fast"], "unrecognized arguments: --fast"),
    "without": (
        ["a.keras", "--case", "vgg"],
        "argument --case: must be used without FILE. Received: a.keras",
    ),
    "with": (
        ["--loss", "mse"],
        "argument --loss: must be used with FILE. Received: no FILE",
    ),
    "loss": (
        ["a.keras", "--loss", "least"],
        "argument --loss: .* Received: le",
    ),
    "batch": (["a.keras", "--batch", "1,0"], "argument --batch: .*eived: 1,0"),
}
bad_arguments = pytest.mark.parametrize(
    ("arguments", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys()
)


def assert_refused(arguments, message, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2
    assert re.search(message, capsys.readouterr().err)


@bad_arguments
def test_bad_arguments(arguments, message, capsys, monkeypatch):
    assert_refused(arguments, message, capsys, monkeypatch)


@needs_gradients
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--implementation", "x"], "argument --implementation: .*'x'"),
        (
            ["--backend", "torch", "jax", "--jit-compile"],
            "argument --jit-compile: must be for .* Received: --backend torch",
        ),
    ],
)
def test_bad_arguments_of_a_backend(arguments, message, capsys, monkeypatch):
    # As if all were installed.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    assert_refused(arguments, message, capsys, monkeypatch)


def test_other_files_are_not_compared_with(capsys, tmp_path):
    for content in ("{", "[]", json.dumps({"date": 1})):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(SystemExit):
            main(["bench", "--compare", str(tmp_path / "a.json")])
        assert "must be a file that --json wrote" in capsys.readouterr().err


def test_a_backend_that_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as caught:
        main(["bench", "--backend", "jax"])
    assert caught.value.code == 2
    assert "must be installed. Received: --backend jax" in (
        capsys.readouterr().err
    )


def test_the_process_ends_with_the_code():
    run = subprocess.run(
        [sys.executable, "-m", "keras_sepconv", "bench", "--seconds", "-1"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert "must be a positive number of seconds. Received: -1" in run.stderr
    assert run.stdout == ""


if BACKEND == "numpy":

    def test_the_numpy_backend_is_refused(capsys):
        with pytest.raises(SystemExit) as caught:
            main(["bench"])
        assert caught.value.code == 2
        message = "which can compute gradients. Received: numpy, which is"
        assert message in capsys.readouterr().err


def small_network(weights, input_shape):
    assert weights is None
    assert input_shape == (224, 224, 3)
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.AveragePooling2D(16),
            keras.layers.DepthwiseConv2D(3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Conv2D(4, 1),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )


NETWORK = ["bench", "--suite", "applications", "--case", "mobilenet_b8"]


@needs_gradients
def test_a_whole_network_is_timed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(keras.applications, "MobileNet", small_network)
    path = tmp_path / "a.json"
    arguments = ["--seconds", "0.01", "--json", str(path)]
    assert main([*NETWORK, *arguments]) == 0
    (case,) = results.load(path)["backends"][0]["cases"]
    assert case["suite"] == "applications"
    assert case["wrong"] == []
    forward, training = (case["measurements"][kind] for kind in results.KINDS)
    assert {"stock", "ours", "inference"} <= forward["milliseconds"].keys()
    assert training["milliseconds"].keys() == {"stock", "ours"}
    assert "inference" in capsys.readouterr().out


@needs_gradients
@pytest.mark.parametrize("name", ["depthwise_conv2d", "dense"])
def test_a_wrong_conversion_gets_no_speed_up(monkeypatch, capsys, name):
    def convert(model, **options):
        other = convert_model(model, **options)
        kernel = next(v for v in other.weights if name in v.path)
        kernel.assign(kernel * 1.01)
        return other

    monkeypatch.setattr(keras.applications, "MobileNet", small_network)
    monkeypatch.setattr(applications, "convert_model", convert)
    assert main([*NETWORK, "--seconds", "0.01"]) == 1
    assert "ours predicts something else" in capsys.readouterr().out


@needs_gradients
def test_a_network_that_a_backend_lacks_is_left_out():
    missing = applications.Application("MobileNet", 1, missing=(BACKEND,))
    settings = Settings(0.01)
    assert measure([missing], settings, print)["cases"] == []


def own_model(path, compiled=True):
    """Saves a model whose second convolution needs the gradient of inputs."""
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.DepthwiseConv2D(3),
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(4, 1, activation="tanh"),
            keras.layers.Dropout(0.5),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="softmax"),
        ],
        name="mine",
    )
    if compiled:
        loss = "sparse_categorical_crossentropy"
        model.compile("adam", loss, metrics=["accuracy"])
    model.save(path)
    return ["bench", str(path), "--input-shape", "9,9,3", "--seconds", "0.01"]


@needs_gradients
def test_a_model_of_ones_own_is_timed(capsys, tmp_path):
    words = own_model(tmp_path / "a.keras")
    before = (tmp_path / "a.keras").read_bytes()
    assert main([*words, "--json", str(tmp_path / "a.json")]) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    schemas.check("bench", result)
    small, large = result["backends"][0]["cases"]
    assert [small["name"], large["name"]] == ["mine_b1", "mine_b8"]
    assert large["description"] == "8x9x9x3"
    for case in (small, large):
        forward, training = (case["measurements"][k] for k in results.KINDS)
        assert forward["milliseconds"].keys() == {"stock", "ours", "inference"}
        assert training["milliseconds"].keys() == {"stock", "ours"}
    said = capsys.readouterr()
    assert "mine: 2 of 2 convolutions run fast" in said.err
    assert "mine_b8" in said.out
    assert before == (tmp_path / "a.keras").read_bytes()


@needs_gradients
def test_a_model_without_a_loss_predicts_only(capsys, tmp_path):
    words = own_model(tmp_path / "a.keras", compiled=False)
    page, picture = tmp_path / "a.md", tmp_path / "a.png"
    words += ["--batch", "2", "--markdown", str(page), "--plot", str(picture)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "no training step is timed: the model is not compiled" in said.err
    assert "forward" in said.out
    assert "training step" not in said.out
    assert "mine_b2" in page.read_text()


@needs_gradients
def test_a_wrong_acceleration_gets_no_speed_up(monkeypatch, capsys, tmp_path):
    words = own_model(tmp_path / "a.keras", compiled=False)
    spoil_kernels(monkeypatch, wrong_gradient)
    assert main([*words, "--batch", "2", "--loss", "mse"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "FAILED mine_b2: ours, after a training step, is off by" in said


@needs_gradients
def test_a_file_that_is_not_there(capsys, tmp_path):
    assert main(["bench", str(tmp_path / "a.keras")]) == 1
    assert "must be a file that exists" in capsys.readouterr().err
