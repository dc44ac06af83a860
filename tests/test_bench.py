"""The benchmark: its gate, its arithmetic and its command, but no speeds."""

import dataclasses
import io
import itertools
import json
import math
import re
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import runs
import schemas
from backends import BACKEND, needs_gradients
from cases import shrunk
from rich.console import Console

from keras_sepconv import _arguments, convert_model, kernels
from keras_sepconv.__main__ import main
from keras_sepconv.bench import (
    command,
    layers,
    measure,
    networks,
    report,
    results,
)
from keras_sepconv.bench.cases import CASES, QUICK

SMALL = "small_28_64_b1"


@pytest.fixture
def result():
    return runs.invented()


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
    smaller = shrunk(case)
    cut = ("sizes", "channels", "filters", "batch", "description")
    assert math.prod(smaller.input_shape()) <= 2 * 9 ** len(case.sizes) * 6
    for name in {field.name for field in dataclasses.fields(case)} - {*cut}:
        assert getattr(smaller, name) == getattr(case, name)
    assert [n % 2 for n in smaller.sizes] == [n % 2 for n in case.sizes]


def test_a_row_of_the_table_is_read():
    (case,) = (c for c in CASES if c.name == "video_16_56_64_s2")
    assert case.input_shape() == (2, 16, 56, 56, 64)
    assert (case.filters, case.multiplier) == (128, 1)
    assert case.options() == {
        "strides": (1, 2, 2),
        "padding": "same",
        "data_format": "channels_last",
        "dilation_rate": (1, 1, 1),
    }
    (case,) = (c for c in CASES if c.name == "tcn_4000_64_d8")
    assert case.options()["dilation_rate"] == (8,)
    assert case.padding == "causal"
    (case,) = (c for c in CASES if c.name == "first_14_512")
    assert case.input_shape() == (8, 512, 14, 14)
    (case,) = (c for c in CASES if c.name == "rgb_64_m4")
    assert (case.multiplier, case.kernel_size) == (4, (3, 3))


def test_a_name_says_what_is_in_the_row():
    for case in CASES:
        kind, *parts = case.name.split("_")
        sizes = [int(part) for part in parts if part.isdigit()]
        shape = [*dict.fromkeys(case.sizes), case.channels]
        assert sizes == shape or (kind, shape) == ("rgb", [*sizes, 3])
        named = {p[0]: int(p[1:]) for p in parts if not p.isdigit()}
        assert (
            named.items()
            <= {
                "k": max(case.kernel_size),
                "m": case.multiplier,
                "s": max(case.strides),
                "d": max(case.dilation_rate),
                "b": case.batch,
            }.items()
        )
        assert (kind == "first") == (case.data_format == "channels_first")
        assert (kind == "tcn") == (case.padding == "causal")


@needs_gradients
@pytest.mark.slow("JAX compiles stock Keras, ours and flax")
@pytest.mark.each_backend("audio")
@pytest.mark.parametrize(
    "name",
    [
        *("deeplab_33_256_d2", "first_14_512", "audio_4000_16_k9_m4"),
        *("video_16_56_64_s2", "medical_32_64_d2"),
    ],
)
def test_all_that_is_timed_computes_the_same(name):
    (case,) = (shrunk(case) for case in CASES if case.name == name)
    options = _arguments.parse(["bench"])
    assert layers._contest(case, options).check()[0] == []


@needs_gradients
@pytest.mark.parametrize("name", [SMALL, "SeparableConv2D"])
def test_the_implementation_that_is_asked_for_is_timed(name, ran):
    options = _arguments.parse(["bench", "--implementation", "portable"])
    (task,) = (task for task in layers.TASKS if task.name == name)
    runs = task.contest(options).runs["forward"]
    for who in ("ours", "accelerated"):
        if who in runs:
            runs[who]()
            assert set(ran) == {"portable"}
            ran.clear()


def test_every_call_is_compared_with_stock():
    ones = np.ones((1, 1, 1, 1), "float32")
    for wrong in ("ours", "accelerated", "torch"):
        runs = {
            who: lambda factor=1.0 + (who == wrong): factor * ones
            for who in ("stock", "ours", "accelerated", "torch")
        }
        (message,) = layers._check_overhead(runs)[0]
        assert message.startswith(f"{wrong}: value is 2 at")


def test_tensorflow_takes_the_names_of_the_stock_layers():
    names = [layers.stock(case).name for case in CASES]
    assert all(re.fullmatch("[a-z0-9][a-z0-9_]*", name) for name in names)


@pytest.mark.parametrize(("seconds", "rounds"), [(0.001, 3), (100, 15)])
def test_every_round_runs_each_once(seconds, rounds):
    ticks, order = itertools.count(), []
    timed = {name: lambda name=name: order.append(name) for name in "abc"}
    # One tick at the start, one a round beyond the third, two a run.
    times = measure.interleaved(timed, seconds, lambda: next(ticks))
    assert times == {name: [1] * rounds for name in "abc"}
    assert order[::2] == order[1::2], "not each warmed by itself"
    by_round = [order[i : i + 6 : 2] for i in range(0, len(order), 6)]
    assert all(sorted(names) == ["a", "b", "c"] for names in by_round)
    assert rounds == 3 or len({tuple(names) for names in by_round}) > 1


def test_several_calls_are_timed_together():
    ticks, order = itertools.count(), []
    timed = {"a": lambda: order.append("a")}
    times = measure.interleaved(timed, 0.001, lambda: next(ticks), 4)
    assert times == {"a": [0.25] * 3}
    assert len(order) == 3 * 5


def test_a_whole_network_has_no_floor_and_maybe_no_peer(result):
    cases = result["backends"][0]["cases"]
    for kind in results.KINDS:
        cases[2]["measurements"][kind]["over_floor"] = None
        cases[2]["measurements"][kind]["peers"] = {}
        cases[2]["measurements"][kind]["speedup"] = [18.0, 20.0, 25.0]
    text = printed(report.report, result)
    (row,) = set(re.findall(rf"^.*{cases[2]['name']} .*$", text, re.M))
    assert row.split() == [cases[2]["name"], "20.0", "18.0-25.0", "2.00"]


def test_ratios_are_taken_round_by_round():
    # The machine slows down to a tenth; the ratio does not.
    times = {
        "stock": [2.0, 20.0, 4.0, 6.0, 2.0],
        "ours": [1.0, 10.0, 1.0, 2.0, 1.0],
        "floor": [0.5, 5.0, 0.25, 1.0, 1.0],
        "flax": [3.0, 30.0, 3.0, 6.0, 3.0],
    }
    measured = measure.measurement(times)
    assert measured["rounds"] == 5
    assert measured["speedup"] == [2, 2, 3]
    assert measured["over_floor"] == [2, 2, 2]
    assert measured["peers"] == {"flax": [3, 3, 3]}
    assert measured["milliseconds"]["ours"] == [1000, 1000, 2000]
    assert measured["milliseconds"]["stock"] == [2000, 4000, 6000]


def test_groups(result):
    cases = result["backends"][0]["cases"]
    cases[0]["measurements"]["forward"]["speedup"][0] = 0.5
    mean = (0.996 * 20 ** (len(CASES) - 2)) ** (1 / (len(CASES) - 1))
    group = results.group(cases, "all", "forward")
    assert group.size == len(CASES) - 1
    assert group.mean == pytest.approx(mean)
    assert group.worst == pytest.approx(0.996)
    assert group.where == CASES[0].name
    group = results.group(cases, "multiplier", "training")
    assert group.size == sum(case.suite == "multiplier" for case in CASES)
    assert [group.mean, group.worst] == pytest.approx([20, 20])
    assert results.group(cases[1:2], "all", "forward") is None


def test_the_settings_are_in_the_title():
    settings = {"jit_compile": True, "implementation": "taps"}
    title = results.title({"backend": "tensorflow", **settings})
    assert title == "tensorflow, jit_compile=True, ours by 'taps'"
    settings = {"jit_compile": False, "implementation": None}
    assert results.title({"backend": "jax", **settings}) == "jax"


def test_the_cores_of_a_machine(monkeypatch, tmp_path):
    """Of three cores with two threads each."""
    path = tmp_path / "cpuinfo"
    path.write_text(
        "".join(
            f"model name\t: A fast one\nphysical id\t: 0\ncore id\t\t: {n}\n\n"
            for n in (0, 0, 1, 1, 2, 2)
        )
    )
    with monkeypatch.context() as patch:
        patch.setattr(measure.pathlib, "Path", lambda _: path)
        found = measure.machine()
    assert (found["processor"], found["cores"]) == ("A fast one", 3)


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
    assert text.startswith(
        "P, 2 cores, 4 threads, Linux, Python 3.11, today\njax on cpu: "
        "keras 3, jax 1, flax not installed; 2 s a measurement\n"
    )
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


def test_what_inference_gains_over_ours_is_no_loss(result):
    whole = runs.case_result(CASES[0], 3.0)
    whole |= {"name": "net_b8", "suite": results.OWN}
    whole["measurements"]["forward"]["peers"] = {"inference": [0.7, 0.8, 0.9]}
    result["backends"][0]["cases"] = [whole]
    text = printed(report.report, result)
    (row,) = re.findall(r"net_b8 .*", text.split("training step")[0])
    assert row.split()[-1] == "1.25"
    words = " ".join(text.split())
    assert "Ours is your model after accelerate." in words
    assert re.search(r"ours\s.*/inference", text, re.DOTALL)


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
    report.plot(result, tmp_path / "a.png")
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
    assert not layers.disagreements([forward], [backward], [magnitude])


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
    (message,) = layers.disagreements([found], [expected], [magnitude])
    assert message.startswith("value ")
    assert ("(0, 1, 2, 3)" in message) == (how in ("one", "nan"))


def test_a_small_sum_may_be_off_by_less_than_a_large_one():
    sums = np.array([1e3, 1e-3], "float32")
    found = sums + np.array([0, 1e-5], "float32")
    (message,) = layers.disagreements([found], [sums], [sums])
    assert " at (1,), stock " in message


def test_the_bound_is_far_below_what_it_bounds():
    # A sum of n terms with random signs is about as large as sqrt(n) terms. Its
    # magnitude, the sum of absolute values, is as large as n terms.
    for case in CASES:
        pixels = case.batch * math.prod(case.sizes)
        n = pixels * max(case.filters, math.prod(case.kernel_size))
        assert layers.BOUND * n < 0.01 * math.sqrt(n)


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
    names = [c.name for c in command._tasks(_arguments.parse(words))]
    expected = [
        case.name
        for case in CASES
        if case.name == SMALL or case.name.startswith(("tcn", "first_"))
    ]
    assert sorted(names) == sorted(expected)


def test_the_overhead_is_quick_too():
    words = ["bench", "--suite", "overhead", "--quick"]
    names = [task.name for task in command._tasks(_arguments.parse(words))]
    assert names == list(layers.OVERHEADS)


def test_what_another_process_is_asked_for(monkeypatch):
    """All that was asked for here, and its tables are not printed."""
    asked = []

    def run(words, env, stdout):
        options = _arguments.parse(words[words.index("bench") :])
        asked.append((options, env["KERAS_BACKEND"], stdout))
        options.json.write_text('{"backends": ["found"]}')

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)
    words = ["--case", SMALL, "tcn*", "--jit-compile", "--seconds", "0.25"]
    words = ["bench", *words, "--implementation", "portable"]
    options = _arguments.parse(words)
    tasks = command._tasks(options)
    needed = {"KERAS_BACKEND": "other"}
    assert command.elsewhere(needed, tasks, options) == "found"
    ((again, backend, stdout),) = asked
    assert (backend, stdout) == ("other", subprocess.DEVNULL)
    assert command._tasks(again) == tasks
    assert (again.seconds, again.jit_compile) == (0.25, True)
    assert again.implementation == "portable"
    # The implementations of another backend are not known here.
    other = "jax" if BACKEND == "torch" else "torch"
    options = _arguments.parse(["bench", "--implementation", "none_such"])
    assert list(command._objections(options, [other])) == []


@pytest.mark.parametrize(("code", "ends"), [(0, 1), (2, 2)])
def test_a_process_without_results_ends_this_one(monkeypatch, code, ends):
    found = types.SimpleNamespace(returncode=code)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: found)
    options = _arguments.parse(["bench", "--seconds", "1"])
    with pytest.raises(SystemExit) as end:
        command.elsewhere({}, [], options)
    assert end.value.code == ends


def test_each_backend_is_measured_once_and_one_may_be_wrong(monkeypatch):
    measured = []

    def on(backend, *_):
        measured.append(backend)
        wrong = ["value is 2"] * (backend == "jax")
        one = runs.invented()["backends"][0]
        one["cases"] = [runs.case_result(CASES[0], wrong=wrong)]
        return one

    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    monkeypatch.setattr(command, "_on", on)
    for names, code in ((["torch"], 0), (["torch", "jax", "torch"], 1)):
        measured.clear()
        assert main(["bench", "--backend", *names]) == code
        assert measured == list(dict.fromkeys(names))


@needs_gradients
@pytest.mark.slow("it times every backend, layer and network")
def test_the_quick_bench_runs(capsys, tmp_path):
    data, picture = tmp_path / "a.json", tmp_path / "a.png"
    arguments = ["--quick", "--seconds", "0.01", "--plot", str(picture)]
    assert main(["bench", *arguments, "--json", str(data)]) == 0
    output = capsys.readouterr().out
    result = results.load(data)
    schemas.check("bench", result)
    assert result["machine"]["processor"] in output
    (backend,) = result["backends"]
    assert backend["backend"] == BACKEND
    flax = {"flax"} if BACKEND == "jax" else set()
    assert backend["versions"].keys() == {"keras", BACKEND} | flax
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


@needs_gradients
@pytest.mark.slow("it starts a process")
def test_a_backend_runs_in_a_process_of_its_own():
    words = ["--case", SMALL, "--implementation", "portable"]
    options = _arguments.parse(["bench", *words, "--seconds", "0.01"])
    tasks = command._tasks(options)
    result = command.elsewhere({"KERAS_BACKEND": BACKEND}, tasks, options)
    assert result["backend"] == BACKEND
    assert result["seconds"] == 0.01
    assert result["implementation"] == "portable"
    assert [case["name"] for case in result["cases"]] == [SMALL]


OVERHEAD = ["bench", "--suite", "overhead", "--seconds", "0.001"]


@needs_gradients
def test_the_overhead_of_a_call(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert main([*OVERHEAD, "--json", str(tmp_path / "a.json")]) == 0
    result = results.load(tmp_path / "a.json")
    schemas.check("bench", result)
    cases = result["backends"][0]["cases"]
    assert [case["name"] for case in cases] == list(layers.OVERHEADS)
    pair = {"torch"} if BACKEND == "torch" else set()
    layer = {"stock", "ours", "accelerated"}
    for case, who in zip(
        cases, (layer | pair, layer, {"stock", "ours"} | pair), strict=True
    ):
        (measured,) = case["measurements"].values()
        assert measured["milliseconds"].keys() == who
    text = capsys.readouterr().out
    (row,) = re.findall(r"^ *separable_conv .*", text, re.M)
    median = measured["milliseconds"]["ours"][1]
    assert report.number(1000 * median) in row.split()
    assert "microseconds" in text
    assert "accelerated: stock Keras after accelerate." in " ".join(
        text.split()
    )


@needs_gradients
def test_a_wrong_operation_has_no_overhead(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    convolve = keras.ops.separable_conv
    monkeypatch.setattr(
        "keras_sepconv.ops.separable_conv",
        lambda *arrays, implementation=None, **options: (
            1.001 * convolve(*arrays, **options)
        ),
    )
    assert main([*OVERHEAD, "--case", "separable_conv"]) == 1
    text = capsys.readouterr().out
    assert "FAILED separable_conv: ours: value is" in text


def test_the_overhead_is_measured_on_one_thread(monkeypatch):
    asked = []
    monkeypatch.setattr(
        command, "elsewhere", lambda needed, *_: asked.append(needed)
    )
    monkeypatch.setattr(command, "measure", lambda *_: asked.append("here"))
    options = _arguments.parse(OVERHEAD)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    command._on(BACKEND, [], options)
    assert asked.pop() == {"KERAS_BACKEND": BACKEND, "OMP_NUM_THREADS": "1"}
    command._on(BACKEND, [], _arguments.parse(["bench"]))
    assert asked.pop() == "here"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command._on(BACKEND, [], options)
    assert asked.pop() == "here"


BAD_ARGUMENTS = {
    "backend": (["--backend", "numpy"], "argument --backend: .*'numpy'.*torch"),
    "suite": (["--suite", "fast"], "argument --suite: .*'fast'.*multiplier"),
    "case": (["--case", "vgg*"], "argument --case: must match .*Received: vgg"),
    "not_quick": (
        ["--quick", "--case", "replknet*"],
        "argument --case: .* in --quick. Received: replknet",
    ),
    "alone": (
        ["--suite", "overhead", "volume"],
        "argument --suite: must be overhead alone.* Received: overhead volume",
    ),
    "eager": (
        ["--suite", "overhead", "--jit-compile"],
        "argument --suite: .* Received: overhead and --jit-compile",
    ),
    "seconds": (["--seconds", "0"], "argument --seconds: must be a positive"),
    "nan": (["--seconds", "nan"], "positive number of seconds. Received: nan"),
    "words": (["--seconds", "two"], "positive number.* Received: two"),
    "json": (["--json", "no/a.json"], "argument --json: .* Received: no/a"),
    "plot": (["--plot", "a.gif"], "argument --plot: must end in .png.*a.gif"),
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


def test_a_backend_that_is_not_installed(capsys, monkeypatch):
    here = {"torch": True}
    monkeypatch.setattr("importlib.util.find_spec", here.get)
    with pytest.raises(SystemExit) as caught:
        _arguments.parse(["bench", "--backend", "torch", "jax"])
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


def test_a_model_is_asked_for_what_it_does_not_predict():
    """Then a training step changes it much more than rounding does."""
    inputs = keras.Input((3,))
    outputs = [
        keras.layers.Dense(4, activation="softmax")(inputs),
        keras.layers.Dense(2)(inputs),
    ]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", ["sparse_categorical_crossentropy", "mse"])
    x = np.random.default_rng(0).standard_normal((8, 3), "float32")
    classes, numbers = networks._labels(model, x)
    shares, values = networks.predicted(model, x)
    assert classes.shape == (8,)
    assert not np.any(classes == shares.argmax(-1))
    np.testing.assert_allclose(numbers, 1 - values, atol=1e-6)


def test_the_loss_and_the_sizes_of_a_model_of_ones_own(tmp_path):
    words = own_model(tmp_path / "a.keras", compiled=False)
    options = _arguments.parse([*words, "--loss", "mse"])
    _, load, _ = networks.own(options)[0].contest.args
    assert isinstance(load().optimizer, keras.optimizers.SGD)
    fixed = keras.Sequential(
        [keras.Input(batch_shape=(3, 4)), keras.layers.ReLU()]
    )
    fixed.name = "fixed"
    fixed.save(tmp_path / "a.keras")
    options = _arguments.parse(["bench", str(tmp_path / "a.keras")])
    with pytest.warns(UserWarning, match="accepts only batches of 3"):
        (task,) = networks.own(options)
    assert (task.name, task.description) == ("fixed_b3", "3x4")
    unbuilt = keras.Sequential([keras.layers.ReLU()])
    with pytest.warns(UserWarning, match="not yet been built"):
        unbuilt.save(tmp_path / "a.keras")
    options = _arguments.parse(["bench", str(tmp_path / "a.keras")])
    unknown = r"^its input's shape is not known yet\. Give --input-shape$"
    with pytest.raises(ValueError, match=unknown):
        networks.own(options)


@needs_gradients
def test_the_implementation_of_a_model_of_ones_own(tmp_path, ran):
    words = own_model(tmp_path / "a.keras", compiled=False)
    words += ["--batch", "2", "--loss", "mse", "--implementation", "portable"]
    options = _arguments.parse(words)
    (task,) = networks.own(options)
    runs = task.contest(options).runs["forward"]
    for who in ("ours", "inference"):
        ran.clear()
        runs[who]()
        assert set(ran) == {"portable"}


@needs_gradients
def test_a_model_without_a_loss_predicts_only(capsys, tmp_path):
    words = own_model(tmp_path / "a.keras", compiled=False)
    words += ["--batch", "2", "--plot", str(tmp_path / "a.png")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "no training step is timed: the model is not compiled" in said.err
    assert "forward" in said.out
    assert "training step" not in said.out


@needs_gradients
def test_a_wrong_acceleration_gets_no_speed_up(monkeypatch, capsys, tmp_path):
    words = own_model(tmp_path / "a.keras", compiled=False)
    spoil_kernels(monkeypatch, wrong_gradient)
    assert main([*words, "--batch", "2", "--loss", "mse"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "FAILED mine_b2: ours, after a training step, is off by" in said


@needs_gradients
def test_a_wrong_conversion_gets_no_speed_up(monkeypatch, capsys, tmp_path):
    def convert(model, **options):
        other = convert_model(model, **options)
        kernel = next(v for v in other.weights if "dense" in v.path)
        kernel.assign(kernel * 1.01)
        return other

    words = own_model(tmp_path / "a.keras", compiled=False)
    monkeypatch.setattr(networks, "convert_model", convert)
    assert main([*words, "--batch", "2"]) == 1
    said = capsys.readouterr().out
    assert "FAILED mine_b2: inference predicts something else" in said


@needs_gradients
def test_a_file_that_is_not_there(capsys, tmp_path):
    assert main(["bench", str(tmp_path / "a.keras")]) == 1
    assert "must be a file that exists" in capsys.readouterr().err
