"""Checks the commands in the documentation, and runs the cheap ones."""

import argparse
import configparser
import itertools
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from unittest import mock

from pages import ROOT

from keras_sepconv.__main__ import main

# The cheap commands of `python -m keras_sepconv`; others take minutes.
CHEAP = ("convert", "info", "stream")


def commands(text: str) -> Iterator[list[str]]:
    """Yields the commands of a block, each as a list of words."""
    for line in text.replace("\\\n", " ").split("\n"):
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            # Variables that are set for the one command.
            while words and re.match(r"[A-Z_]+=", words[0]):
                del words[0]
            if words:
                yield words


def check(words: list[str]) -> None:
    """Raises a `ValueError` if there is no such command, file or option."""
    name = words[0].rsplit("/", 1)[-1]
    if name not in _CHECKS:
        raise ValueError(f"no known command: {words}")
    _CHECKS[name](words[1:])


def run_if_cheap(words: list[str]) -> None:
    """Runs a command in this process, if it takes less than a second or so."""
    module, arguments = words[1:3], words[3:]
    if module == ["-m", "keras_sepconv"] and arguments[0] in CHEAP:
        code = main(arguments)
        if code:
            raise ValueError(f"exit code {code}: {words}")


class _ParsedError(Exception):
    """The arguments are right."""


def _parse_only(self: argparse.ArgumentParser, arguments: list[str]) -> None:
    # `parse_args` itself is replaced.
    _, rest = self.parse_known_args(arguments)
    if rest:
        raise ValueError(f"no known arguments: {rest}")
    raise _ParsedError


def _git(words: list[str]) -> None:
    if words[0] != "clone":
        raise ValueError(f"git is not called so here: {words}")


def _export(words: list[str]) -> None:
    if not re.fullmatch(r"KERAS_BACKEND=(jax|tensorflow|torch)", words[0]):
        raise ValueError(f"no such backend: {words}")


def _python(words: list[str]) -> None:
    if not words or words[:2] == ["-m", "venv"]:
        return
    if words[:2] == ["-m", "keras_sepconv"]:
        parsing = mock.patch.object(
            argparse.ArgumentParser, "parse_args", _parse_only
        )
        try:
            with parsing:
                main(words[2:])
        except _ParsedError:
            return
        except SystemExit as error:
            raise ValueError(f"no such command: {words}") from error
    script = ROOT / words[0]
    if not script.is_file():
        raise ValueError(f"no such file: {words[0]}")
    for word in words[1:]:
        if word.startswith("--") and word.split("=")[0] not in (
            script.read_text()
        ):
            raise ValueError(f"{words[0]} has no option {word}")


def _pip(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in words:
        extras = re.fullmatch(r"(?:\.|(?:\./)?keras_sepconv)\[([\w,]+)\]", word)
        for extra in extras[1].split(",") if extras else ():
            if extra not in project["optional-dependencies"]:
                raise ValueError(f"no such extra: {extra}")


def _tox(words: list[str]) -> None:
    if words in ([], ["list"], ["run-parallel"]):
        return
    if words[:2] != ["run", "-e"]:
        raise ValueError(f"tox is not called so here: {words}")
    unknown = set(words[2].split(",")) - tox_environments()
    if unknown:
        raise ValueError(f"no such environment: {unknown}")
    for path in words[4:] if words[3:4] == ["--"] else ():
        if not path.startswith("-") and not (ROOT / path).exists():
            raise ValueError(f"no such file: {path}")


def tox_environments() -> set[str]:
    """Returns the names of the environments in tox.ini."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    entries = [
        name.removeprefix("testenv:")
        for name in tox.sections()
        if name.startswith("testenv:")
    ]
    entries += re.split(r",(?![^{]*})|\n", tox["tox"]["env_list"])
    names = set()
    for entry in entries:
        parts = re.split(r"{([^}]*)}", entry.strip())
        choices = [
            part.split(",") if index % 2 else [part]
            for index, part in enumerate(parts)
        ]
        names |= {"".join(choice) for choice in itertools.product(*choices)}
    return names - {""}


_CHECKS: dict[str, Callable[[list[str]], None]] = {
    "export": _export,
    "git": _git,
    "python": _python,
    "python3": _python,
    "pip": _pip,
    "tox": _tox,
}
