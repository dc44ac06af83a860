"""What the command line makes of its words; other tests run the commands."""

import pathlib
import sys

import pytest

from keras_sepconv import _arguments

FILES = {"weights": "a.h5", "modules": ["b", "c"], "unsafe": True}
WORDS = [
    *("--weights", "a.h5", "--import", "b", "--import", "c", "--unsafe"),
]
SHAPES = ["--input-shape", "8,7,3", "--input-shape", "1"]

# For each command: words that leave each option off its default, and what they
# mean.
EVERY_OPTION = {
    "bench of a file": (
        [
            *("bench", "in.keras", *WORDS, *SHAPES, "--batch", "1,16"),
            *("--loss", "mse", "--quick", "--seconds", "0.25"),
            *("--implementation", "taps", "--json", "out.json"),
            *("--plot", "out.SVG"),
        ],
        {
            "model": "in.keras",
            **FILES,
            "input_shape": [(8, 7, 3), (1,)],
            "batch": (1, 16),
            "loss": "mse",
            **dict.fromkeys(("backend", "suite", "case")),
            "quick": True,
            "seconds": 0.25,
            "jit_compile": False,
            "implementation": "taps",
            "json": pathlib.Path("out.json"),
            "plot": pathlib.Path("out.SVG"),
        },
    ),
    "bench": (
        [
            *("bench", "--backend", "jax", "torch", "--backend", "tensorflow"),
            *("--suite", "volume", "--suite", "sequence", "--case", "a*", "b"),
            *("--case", "c", "--jit-compile"),
        ],
        {
            **dict.fromkeys(("model", "weights", "input_shape", "batch")),
            **{"modules": [], "unsafe": False, "quick": False},
            "backend": ["jax", "torch", "tensorflow"],
            "suite": ["volume", "sequence"],
            "case": ["a*", "b", "c"],
            "jit_compile": True,
            **dict.fromkeys(("loss", "seconds", "implementation")),
            **dict.fromkeys(("json", "plot")),
        },
    ),
    "convert": (
        [
            *("convert", "in.h5", "out.keras", *WORDS, "--no-verify"),
            *("--force", "--json", "--inference", "--restore"),
            *("--implementation", "taps", "--no-copies", "--equalize"),
            "--verbose",
        ],
        {
            "source": "in.h5",
            "target": pathlib.Path("out.keras"),
            **FILES,
            **dict.fromkeys(("no_verify", "force", "json"), True),
            **dict.fromkeys(("inference", "restore", "equalize"), True),
            "implementation": "taps",
            "copies": False,
            "verbose": True,
        },
    ),
    "info": (
        ["info", "in.keras", *WORDS, *SHAPES, "--json"],
        {
            "model": "in.keras",
            **FILES,
            "input_shape": [(8, 7, 3), (1,)],
            "json": True,
        },
    ),
    "stream": (
        [
            *("stream", "in.keras", "out.keras", *WORDS, "--no-verify"),
            *("--force", "--json", "--chunk", "10", "--window", "1"),
        ],
        {
            "source": "in.keras",
            "target": pathlib.Path("out.keras"),
            **FILES,
            **dict.fromkeys(("no_verify", "force", "json"), True),
            "chunk": 10,
            "window": 1,
        },
    ),
}
# The defaults that are neither `None` nor, of a flag, `False`.
DEFAULTS = {"modules": [], "chunk": 1, "copies": None}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def parsed(words):
    options = vars(_arguments.parse(words))
    assert callable(options.pop("refuse"))
    return options


@pytest.mark.parametrize("case", EVERY_OPTION)
def test_every_option(case, monkeypatch):
    every = _arguments.importlib.util
    monkeypatch.setattr(every, "find_spec", lambda name: name)
    words, expected = EVERY_OPTION[case]
    assert parsed(words) == {"command": words[0], **expected}


@pytest.mark.parametrize("command", ["bench", "convert", "info", "stream"])
def test_every_default(command):
    names = ("model", "source", "target")
    required = ("source", "target") + ("model",) * (command == "info")
    expected, files = {"command": command}, []
    for name, value in EVERY_OPTION[command][1].items():
        default = False if isinstance(value, bool) else None
        expected[name] = DEFAULTS.get(name, default)
        if name in names and name in required:
            expected[name] = value
            files.append(str(value))
    assert parsed([command, *files]) == expected


def test_the_suite_of_one_small_call_runs_alone():
    for suites in (["overhead"], ["overhead", "overhead"]):
        assert parsed(["bench", "--suite", *suites])["suite"] == suites


def test_copies_are_asked_for_or_refused():
    files = ["convert", "in.keras", "out.keras"]
    assert parsed([*files, "--copies"])["copies"] is True


# The words after the command, and how the message begins after "argument ".
REFUSED = {
    "sizes_zero": ("bench --batch 4,0", "--batch: must be positive whole"),
    "sizes_half": ("bench --batch 1.5", "--batch: must be positive whole"),
    "sizes_none": ("info a --input-shape ,", "--input-shape: must be positive"),
    "number_zero": (
        "stream a b.keras --chunk 0",
        "--chunk: must be a positive",
    ),
    "number_sign": ("stream a b.keras --window +1", "--window: must be a pos"),
    "seconds_zero": ("bench --seconds 0", "--seconds: must be a positive num"),
    "seconds_inf": ("bench --seconds inf", "--seconds: must be a positive num"),
    "seconds_nan": ("bench --seconds nan", "--seconds: must be a positive num"),
    "seconds_word": ("bench --seconds one", "--seconds: must be a positive n"),
    "backend": ("bench --backend numpy", "--backend: invalid choice: 'numpy'"),
    "suite": ("bench --suite all", "--suite: invalid choice: 'all'"),
    "target_suffix": ("convert a b.h5", "OUT.keras: must be a .keras file in"),
    "target_nowhere": ("convert a no/b.keras", "OUT.keras: must be a .keras"),
    "target_folder": ("stream a c.keras", "OUT.keras: must be a .keras file"),
    "json_nowhere": ("bench --json no/a.json", "--json: must be a file in a "),
    "json_folder": ("bench --json c.keras", "--json: must be a file in a "),
    "plot_folder": ("bench --plot no/a.png", "--plot: must be a file in a "),
    "plot_suffix": ("bench --plot a.gif", "--plot: must end in .png, .svg, "),
    **{
        f"with{option}": (
            f"bench {option}",
            f"{option.split()[0]}: must be used with FILE. Received: no FILE",
        )
        for option in (
            *("--batch 1", "--input-shape 1", "--loss mse", "--weights a.h5"),
            *("--import b", "--unsafe"),
        )
    },
    **{
        f"without{option}": (
            f"bench {option} a.keras",
            f"{option.split('=')[0]}: must be used without FILE. Received: a.k",
        )
        for option in (
            *("--backend=jax", "--suite=volume", "--case=x", "--jit-compile"),
        )
    },
    "suites": (
        "bench --suite overhead volume",
        "--suite: must be overhead alone, because",
    ),
    "compiled": (
        "bench --suite overhead --jit-compile",
        "--suite: must be overhead alone, because",
    ),
    "twice": (
        "bench -- -- a",
        "--: must be used once. Received: bench -- -- a",
    ),
}


@pytest.mark.parametrize(
    ("words", "message"), REFUSED.values(), ids=REFUSED.keys()
)
def test_bad_words(words, message, capsys):
    pathlib.Path("c.keras").mkdir()
    with pytest.raises(SystemExit) as end:
        _arguments.parse(words.split())
    assert end.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f": error: argument {message}" in error
    if "Received" in error:
        assert error.endswith(("no FILE", words.split()[-1]))


def test_a_picture_needs_matplotlib(monkeypatch, capsys):
    monkeypatch.setattr(_arguments.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit):
        _arguments.parse(["bench", "--plot", "a.png"])
    error = capsys.readouterr().err
    assert "argument --plot: needs matplotlib; the" in error
    assert error.endswith("Received: a.png\n")


@pytest.mark.parametrize("words", [[], ["-h", "x"], ["draw"]])
def test_there_must_be_a_command(words, capsys):
    with pytest.raises(SystemExit) as end:
        _arguments.parse(words)
    assert end.value.code == (0 if "-h" in words else 2)
    text = "".join(capsys.readouterr())
    assert text.startswith("usage: python -m keras_sepconv")
    if words == []:
        assert "the following arguments are required: COMMAND" in text


def test_a_later_refusal_names_the_command(capsys):
    with pytest.raises(SystemExit) as end:
        _arguments.parse(["info", "a.keras"]).refuse("no such thing")
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("usage: python -m keras_sepconv info ")
    assert text.endswith("error: no such thing\n")


STARTS = {
    "module": (["-m", "--help"], ["python", "-m", "keras_sepconv", "--help"]),
    "short": (["-m", "--help"], ["python", "-mkeras_sepconv", "--help"]),
    "options": (
        ["-m", "-h"],
        ["python", "-W", "error", "-mkeras_sepconv", "-h"],
    ),
    "script": (["bin/keras-sepconv", "-h"], ["python", "bin/keras-sepconv"]),
    "windows": (["keras-sepconv.exe", "-h"], ["keras-sepconv.exe", "-h"]),
}
OTHERS = {
    "module": (["-m", "--help"], ["python", "-m", "pytest", "--help"]),
    "inside": (["-m", "-h"], ["python", "-m", "keras_sepconv.ops", "-h"]),
    "script": (["bin/pytest", "-h"], ["python", "bin/pytest", "-h"]),
    "embedded": ([], []),
}


@pytest.mark.parametrize(("argv", "original"), STARTS.values(), ids=STARTS)
def test_the_command_is_answered_first(argv, original, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    with pytest.raises(SystemExit) as end:
        _arguments.answer_first()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m keras_sepconv")


@pytest.mark.parametrize(("argv", "original"), OTHERS.values(), ids=OTHERS)
def test_other_programs_are_left_alone(argv, original, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    _arguments.answer_first()


def test_after_dashes_a_file_may_begin_with_a_dash():
    assert _arguments.parse(["info", "--", "-a.keras"]).model == "-a.keras"
