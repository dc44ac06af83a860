"""Reads files of models in all supported formats."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_sepconv._checks import short_text
from keras_sepconv.tools.inspection.words import short_error
from keras_sepconv.tools.legacy import compile as _compile
from keras_sepconv.tools.legacy import files as _files
from keras_sepconv.tools.legacy import weights as _weights
from keras_sepconv.tools.legacy.config import Rewriter
from keras_sepconv.tools.legacy.files import RefusedError
from keras_sepconv.tools.legacy.nodes import Node, without_slashes

_WEIGHTS = "model.weights.h5"


def read(
    filepath: Any,
    custom_objects: dict[str, Any],
    compile: bool,
    safe_mode: bool,
    weights: Any,
) -> tuple[Any, list[str]]:
    """Returns the model of a file, and messages for the user.

    The arguments are those of `load_model`.

    Args:
        filepath: The file.
        custom_objects: Classes and functions by the names in the file.
        compile: Whether to compile the model as it was.
        safe_mode: Whether to refuse code that the file contains.
        weights: The file with the weights, if `filepath` is a JSON file.

    Raises:
        Exception: The errors of `load_model`.
    """
    path = _files.check("filepath", filepath)
    with refusing("filepath", path):
        kind = _files.kind(path)
    reader = Reader(path, custom_objects, compile, safe_mode)
    if kind == "json":
        return reader.from_json(weights), reader.notes
    no_weights(weights)
    return reader.whole(kind), reader.notes


def no_weights(weights: Any) -> None:
    """Raises a `ValueError` for a file of weights beside a whole model."""
    if weights is not None:
        raise ValueError(
            "`weights` must be None where `filepath` is a whole model. "
            f"Received: weights={short_text(weights)}"
        )


class Reader:
    """Reads one file; the arguments are those of `load_model`."""

    def __init__(
        self,
        path: str,
        custom_objects: dict[str, Any],
        compile: bool,
        safe_mode: bool,
    ) -> None:
        self.path = path
        self.custom_objects = custom_objects
        self.compile = compile
        self.safe_mode = safe_mode
        # Messages for the user.
        self.notes: list[str] = []

    def from_json(self, weights: Any) -> Any:
        """Returns the model of an architecture and a file of weights."""
        with refusing("filepath", self.path):
            config = _files.read_json(self.path)
            if weights is None:
                raise RefusedError(
                    "it is an architecture without weights. Name their file "
                    "with `weights=`"
                )
        source = _files.check("weights", weights)
        with refusing("filepath", self.path):
            # Only Keras 3 writes a module for each class.
            old = "module" not in config or _is_old(config.get("keras_version"))
            if old:
                config = without_slashes(config)
                model = self._made(config)
            else:
                model = self._deserialized(config)
        with refusing("weights", source):
            if not old:
                model.load_weights(source)
                return model
            kind = _files.kind(source)
            if kind not in ("hdf5", "zip"):
                raise RefusedError("weights are in an HDF5 or a `.keras` file")
            with _weights_of(source, kind) as file:
                _weights.load(model, _weights.Order(config), file)
        return model

    def whole(self, kind: str) -> Any:
        """Returns the model of a file or folder that contains all of it."""
        with refusing("filepath", self.path):
            if kind == "zip":
                return self.from_zip()
            return self.from_hdf5() if kind == "hdf5" else self._by_keras()

    def from_zip(self) -> Any:
        """Returns the model of a `.keras` archive."""
        with _files.archive(self.path) as archive:
            names = archive.namelist()
            version = None
            if "metadata.json" in names:
                text = _files.member(archive, "metadata.json")
                metadata = _files.parsed(text, "its `metadata.json`")
                version = metadata.get("keras_version")
            text = _files.member(archive, "config.json")
            config = _files.parsed(text, "its `config.json`")
            if not any(name.startswith("model.weights") for name in names):
                raise RefusedError(f"it has no weights (no `{_WEIGHTS}`)")
            if not _is_old(version):
                return self._by_keras()
        config = without_slashes(config)
        model = self._made(config)
        with _weights_of(self.path, "zip") as file:
            _weights.load(model, _weights.Order(config), file)
            self._compile(model, config.get("compile_config"))
        return model

    def from_hdf5(self) -> Any:
        """Returns the model of an HDF5 file."""
        with _files.hdf5(self.path) as file:
            text = file.attrs.get("model_config")
            if text is None:
                raise RefusedError(
                    "it is HDF5 without a `model_config`, so weights at most. "
                    "Pass the JSON of the model's architecture as `filepath`, "
                    "and this as `weights`"
                )
            training = file.attrs.get("training_config")
            if training is not None:
                training = _files.parsed(
                    _files.text(training), "its `training_config`"
                )
            # Keras 1 wrote no version.
            version = file.attrs.get("keras_version", "1")
            if not _is_old(_files.text(version)):
                model = self._by_keras(training)
                _compile.renew_optimizer(model, file, self.custom_objects)
                return model
            config = _files.parsed(_files.text(text), "its `model_config`")
            config = without_slashes(config)
            model = self._made(config)
            _weights.load(model, _weights.Order(config), file)
            self._compile(model, training)
        return model

    def _by_keras(self, training: Any = None) -> Any:
        def load(compile: bool) -> Any:
            return keras.models.load_model(
                self.path, self.custom_objects, compile, self.safe_mode
            )

        try:
            return load(self.compile)
        except Exception as error:
            if not self.compile:
                raise
            failed = error
            try:
                model = load(False)
            except Exception:
                # The compile state was not the reason.
                raise error from None
        if training is not None:
            # Keras 3.6 to 3.15 cannot read a metric given by name from HDF5.
            with contextlib.suppress(Exception):
                _compile.compile_alike(model, training, self.custom_objects)
                return model
        self._not_compiled(failed)
        return model

    def _made(self, config: Node) -> Any:
        """Returns the model of a tf.keras config, without its weights."""
        rewriter = Rewriter(self.custom_objects, self.safe_mode)
        node = rewriter.layer(config)
        model = self._deserialized(node)
        self.notes += rewriter.notes
        return model

    def _deserialized(self, node: Node) -> Any:
        try:
            model = keras.saving.deserialize_keras_object(
                node, self.custom_objects, self.safe_mode
            )
        except Exception as error:
            if _is_marshal(error):
                raise RefusedError(
                    "the Python code of a Lambda in it is of another version "
                    "of Python. Pass a function by the layer's name, as "
                    "custom_objects={'lambda_1': <a function>}"
                ) from error
            raise
        if not isinstance(model, keras.Model):
            raise RefusedError(f"it is a {type(model).__name__}, not a model")
        if not model.built:
            raise RefusedError(
                "its model has no input shape, so it has no weights"
            )
        return model

    def _compile(self, model: Any, config: Any) -> None:
        if not self.compile or not config:
            return
        try:
            _compile.compile_alike(model, config, self.custom_objects)
        except Exception as error:
            self._not_compiled(error)
        else:
            self.notes.append(
                "the optimizer's state is that of tf.keras, so it is not "
                "restored. Pass compile=False to load the model without this "
                "warning"
            )

    def _not_compiled(self, error: Exception) -> None:
        self.notes.append(
            "the optimizer, loss or metrics are not those that Keras knows, so "
            f"the model is not compiled: {short_error(error)}. Compile it to "
            "train it, and pass compile=False to load it without this warning"
        )


def _is_old(version: Any) -> bool:
    """Tells whether a version is older than Keras 3."""
    major = str(version).split(".")[0]
    return major.isdigit() and int(major) < 3


def _is_marshal(error: Exception) -> bool:
    """Tells whether an error says that bytecode could not be read."""
    text = str(error)
    return "marshal data" in text or "EOF read where" in text


@contextlib.contextmanager
def _weights_of(path: str, kind: str) -> Iterator[Any]:
    if kind == "hdf5":
        content = pathlib.Path(path).read_bytes()
    else:
        with _files.archive(path) as archive:
            content = _files.member(archive, _WEIGHTS)
    with _files.hdf5(_files.with_slashes(content)) as file:
        yield file


@contextlib.contextmanager
def refusing(name: str, path: str) -> Iterator[None]:
    """Turns every error about a file into one clear `ValueError`."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, RefusedError) else error
        raise ValueError(
            f"`{name}` must be a model's file that can be loaded: "
            f"{short_error(error)}. Received: {name}={short_text(path)}"
        ) from cause
