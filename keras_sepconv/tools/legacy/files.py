"""Opens files that may be damaged or malicious, and finds their format."""

import contextlib
import io
import json
import math
import os
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from keras_sepconv._checks import short_text

# A file is refused if its content is larger than both limits: this many bytes,
# and this many times the bytes that are stored. No real model is like that.
_FLOOR_BYTES = 1 << 28
_MAX_EXPANSION = 100


class RefusedError(Exception):
    """Why a file is not loaded; the message is the end of a sentence."""


def check(name: str, path: Any) -> str:
    """Returns the path of an existing file, or of a folder of Keras 3.

    Args:
        name: The name of the argument.
        path: Its value.

    Raises:
        FileNotFoundError: The file does not exist.
        IsADirectoryError: It is another directory.
        TypeError: It is not a path.
        ValueError: It is a pipe or a device.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"`{name}` must be a path. Received: {name}={short_text(path)} "
            f"(of type {type(path).__name__})"
        )
    text = os.fspath(path)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if os.path.isdir(text) and not is_folder_of_keras(text):
        way_out = ""
        if os.path.exists(os.path.join(text, "saved_model.pb")):
            way_out = (
                ", in the SavedModel format, which Keras 3 does not load. Save "
                "the model in tf.keras as `.keras` or `.h5`, or wrap the "
                "folder in a `keras.layers.TFSMLayer`"
            )
        raise IsADirectoryError(
            f"`{name}` must be a file; this is a directory{way_out}. "
            f"Received: {name}={short_text(text)}"
        )
    if not os.path.exists(text):
        raise FileNotFoundError(
            f"`{name}` must be a file that exists. "
            f"Received: {name}={short_text(text)}"
        )
    if not os.path.isdir(text) and not os.path.isfile(text):
        # Opening a pipe would wait until another process writes to it.
        raise ValueError(
            f"`{name}` must be a regular file, not a pipe or a device. "
            f"Received: {name}={short_text(text)}"
        )
    return text


def is_folder_of_keras(path: str) -> bool:
    """Tells whether this is a folder that Keras 3 or Orbax has saved.

    Orbax names a folder for each step by its number.
    """
    return os.path.isdir(path) and any(
        name == "config.json" or name.isdigit() for name in os.listdir(path)
    )


def kind(path: str) -> str:
    """Returns `"zip"`, `"hdf5"`, `"json"` or `"folder"` by the content.

    Raises:
        RefusedError: It is none of these.
    """
    if os.path.isdir(path):
        return "folder"
    with open(path, "rb") as file:
        head = file.read(64)
    if not head:
        raise RefusedError("it is empty")
    if head.startswith(b"PK"):
        return "zip"
    if h5py.is_hdf5(path):
        return "hdf5"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return "json"
    raise RefusedError(
        "it is neither a `.keras` archive, nor HDF5, nor JSON (is it whole, "
        "and a model?)"
    )


def parsed(text: str | bytes, what: str) -> dict[str, Any]:
    """Returns a JSON object.

    Raises:
        RefusedError: `text` is not a JSON object; `what` names it.
    """
    try:
        result = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{what} is not JSON ({error})") from error
    if not isinstance(result, dict):
        raise RefusedError(f"{what} is not a JSON object")
    return result


def read_json(path: str) -> dict[str, Any]:
    """Returns the config in a JSON file of a model's architecture."""
    config = parsed(pathlib.Path(path).read_bytes(), "it")
    if "class_name" not in config or "config" not in config:
        raise RefusedError(
            "it is JSON, but no model's: there is no `class_name`"
        )
    return config


@contextlib.contextmanager
def archive(path: str) -> Iterator[zipfile.ZipFile]:
    """Opens a `.keras` archive; checks the name and size of every member.

    Raises:
        RefusedError: The archive is broken or not a model.
    """
    try:
        opened = zipfile.ZipFile(path)
    except Exception as error:  # Damaged bytes may raise anything.
        raise RefusedError(
            f"it is not a whole zip archive ({error})"
        ) from error
    with opened:
        for info in opened.infolist():
            parts = info.filename.replace("\\", "/").split("/")
            if ".." in parts or not parts[0] or ":" in parts[0]:
                raise RefusedError(
                    "its archive has a member that points outside: "
                    f"{short_text(info.filename)}"
                )
            if _is_bomb(info.file_size, info.compress_size):
                raise RefusedError(
                    f"its archive has a member of {info.file_size} bytes that "
                    f"stores {info.compress_size}: {short_text(info.filename)}"
                )
        if "config.json" not in opened.namelist():
            raise RefusedError("it is a zip archive without a `config.json`")
        yield opened


def member(opened: zipfile.ZipFile, name: str) -> bytes:
    """Returns a member's bytes; raises `RefusedError` if they are damaged."""
    try:
        return opened.read(name)
    except Exception as error:  # Damaged bytes may raise anything.
        raise RefusedError(f"its `{name}` cannot be read ({error})") from error


@contextlib.contextmanager
def hdf5(file: Any) -> Iterator[h5py.File]:
    """Opens an HDF5 file, from a path or from memory."""
    try:
        opened = h5py.File(file, "r")
    except OSError as error:
        raise RefusedError(f"it is not a whole HDF5 file ({error})") from error
    with opened:
        yield opened


def with_slashes(content: bytes) -> io.BytesIO:
    """Returns HDF5 in memory; replaces the backslashes that Windows wrote."""
    result = io.BytesIO(content)
    try:
        with h5py.File(result, "r+") as opened:
            for name in [key for key in opened if "\\" in key]:
                opened.move(name, name.replace("\\", "/"))
    except Exception as error:  # Damaged bytes may raise anything.
        raise RefusedError(f"it is not a whole HDF5 file ({error})") from error
    return result


def text(attribute: Any) -> str:
    """Returns an HDF5 attribute that is a string."""
    if isinstance(attribute, bytes):
        return attribute.decode("utf-8")
    return str(attribute)


def names(group: h5py.Group, key: str) -> list[str]:
    """Returns a list of names; HDF5 may have split it into pieces."""
    pieces = [key] if key in group.attrs else []
    while f"{key}{len(pieces)}" in group.attrs:
        pieces.append(f"{key}{len(pieces)}")
    return [text(name) for piece in pieces for name in group.attrs[piece]]


def slashless(name: Any) -> Any:
    """Returns a name without slashes, for Keras 3; others stay unchanged."""
    return name.replace("/", "_") if isinstance(name, str) else name


def below(group: h5py.Group, path: str) -> Any:
    """Returns the item at `path` in a group of this file.

    Raises:
        RefusedError: There is no such item, or it is a link.
    """
    found: Any = group
    for part in path.split("/"):
        if not isinstance(found, h5py.Group) or part not in found:
            raise RefusedError(f"its weights lack '{path}'")
        if not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise RefusedError(f"its weights have a link at '{path}'")
        found = found[part]
    return found


def array(group: h5py.Group, path: str) -> np.ndarray:
    """Returns the numbers at `path`.

    Raises:
        RefusedError: There are no numbers, they are in another file, or there
            are far too many.
    """
    dataset = below(group, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
        raise RefusedError(f"its weights have no numbers at '{path}'")
    if dataset.external or dataset.is_virtual:
        raise RefusedError(f"its weights are in another file, at '{path}'")
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    if _is_bomb(size, dataset.id.get_storage_size()):
        raise RefusedError(
            f"it stores far fewer weights than it says, at '{path}'"
        )
    return np.asarray(dataset)


def _is_bomb(size: int, stored: int) -> bool:
    return size > _FLOOR_BYTES and size > _MAX_EXPANSION * stored
