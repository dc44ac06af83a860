"""Translates a config of tf.keras up to 2.15 to one of Keras 3.

Nothing that a file names is imported. The names of modules are dropped. Each
class is looked up in Keras's public namespaces and in the objects that the
caller passed or registered.
"""

from typing import Any

import keras

from keras_sepconv.tools.legacy import graph as _graph
from keras_sepconv.tools.legacy import tables as _tables
from keras_sepconv.tools.legacy.files import RefusedError
from keras_sepconv.tools.legacy.nodes import (
    Node,
    base_name,
    input_shape,
    layers_of,
    named,
)


class Rewriter:
    """Rewrites one model.

    Args:
        custom_objects: Those of `keras.models.load_model`.
        safe_mode: Whether to refuse code that the file contains.
    """

    def __init__(self, custom_objects: dict[str, Any], safe_mode: bool) -> None:
        self.custom_objects = custom_objects
        self.safe_mode = safe_mode
        # Messages for the user.
        self.notes: list[str] = []

    def known(self, name: Any) -> bool:
        """Tells whether the caller passed or registered this name."""
        return isinstance(name, str) and bool(
            keras.saving.get_registered_object(name, self.custom_objects)
        )

    def layer(self, node: Node) -> Node:
        """Returns the node of a layer or model, rewritten.

        Raises:
            RefusedError: Keras 3 lacks something, or something is unsafe.
        """
        base = base_name(node)
        if base == "Lambda" and self._given(node["config"]):
            return self._class(base, self._replaced(node["config"]))
        for name in (node.get("registered_name"), node["class_name"]):
            if self.known(name):
                config = self._values(node["config"])
                build = {k: v for k, v in node.items() if k == "build_config"}
                return {**build, **named(base, config, name)}
        if base in _tables.MODELS:
            return self._model(base, node)
        config = self._values(node["config"])
        if base == "InputLayer":
            config["batch_shape"] = node["config"].get("batch_input_shape")
        if base == "Lambda":
            self._check_lambda(config)
        if base in _tables.UNSAFE and self.safe_mode:
            raise RefusedError(f"it has a layer {base}, which runs code")
        self._check_owner(node)
        base, renamed = _tables.RENAMED.get(base, (base, {}))
        for old, new in renamed.items():
            if old in config:
                config[new] = config.pop(old)
        self._drop(base, config)
        return self._class(base, config)

    def _check_owner(self, node: Node) -> None:
        """Refuses a user's class with the name of a class of Keras."""
        module = str(node.get("module") or "keras").split(".")[0]
        name = str(node.get("registered_name") or node["class_name"])
        package = name.rpartition(">")[0]
        if module not in _tables.OWNERS or package not in _tables.PACKAGES:
            raise RefusedError(
                f"its layer {name} is a class of its own, and not Keras's. "
                f"Pass custom_objects={{'{name}': <the class>}}"
            )

    def _class(self, base: str, config: Node) -> Node:
        if base == "SeparableConv1D" and config.get("padding") == "causal":
            name = config.get("name")
            self.notes.append(
                f"layer '{name}' has padding='causal', which Keras 3's "
                "SeparableConv1D lacks: it is a keras_sepconv.SeparableConv1D"
            )
            return named(base, config, f"keras_sepconv>{base}")
        if base == "LayerScale":
            # ConvNeXt has this layer; in Keras 3 it is not public.
            channels = config.pop("projection_dim")
            config.pop("init_values")
            scaled = {"equation": "...d,d->...d", "output_shape": [channels]}
            base, config = "EinsumDense", {**config, **scaled}
        cls = getattr(keras.layers, base, None)
        if not (isinstance(cls, type) and issubclass(cls, keras.layers.Layer)):
            raise RefusedError(
                f"layer '{config.get('name')}' is a {base}, which Keras 3 does "
                f"not have. Pass custom_objects={{'{base}': <a class>}}, or "
                "replace the layer in tf.keras and save again"
            )
        return {"module": "keras.layers", "class_name": base, "config": config}

    def _model(self, base: str, node: Node) -> Node:
        config = node["config"]
        if base == "Sequential":
            config = self._sequential(node)
            return {"module": "keras", "class_name": base, "config": config}
        if "input_layers" not in config:
            raise RefusedError(
                "it is a subclassed model. Pass its class in custom_objects"
            )
        config = _graph.functional(config, self)
        return {"module": "keras", "class_name": "Model", "config": config}

    def _sequential(self, node: Node) -> Node:
        config, build = node["config"], node.get("build_config")
        nodes = layers_of(node)
        layers = [self.layer(inner) for inner in nodes]
        shape = input_shape(node)
        if shape is not None and base_name(nodes[0]) != "InputLayer":
            config_of_input = {"batch_shape": shape}
            layers.insert(0, self._class("InputLayer", config_of_input))
        if isinstance(config, list):
            # It has a name only if a functional model around it has given one.
            config = {"name": node["name"]} if "name" in node else {}
        result = {"name": None, **config, "layers": layers}
        if isinstance(build, dict) and "input_shape" in build:
            result.setdefault("build_input_shape", build["input_shape"])
        return result

    def _drop(self, base: str, config: Node) -> None:
        """Takes out what Keras 3 does not take."""
        for key in (*_tables.UNUSED, *_tables.UNUSED_BY_CLASS.get(base, ())):
            config.pop(key, None)
        for key, neutral in _tables.NEUTRAL.items():
            if config.pop(key, neutral) != neutral:
                raise RefusedError(
                    f"layer '{config.get('name')}' ({base}) has a `{key}`, "
                    "which Keras 3 does not have. Change the layer in tf.keras "
                    "and save again"
                )
        axis = config.get("axis")
        if isinstance(axis, list) and len(axis) == 1:
            config["axis"] = axis[0]  # `BatchNormalization` takes one number.

    def _given(self, config: Node) -> bool:
        """Tells whether the caller passed a function for this Lambda."""
        return callable(self.custom_objects.get(str(config.get("name"))))

    def _replaced(self, config: Node) -> Node:
        """Returns a Lambda's config with the caller's function as its code."""
        kept = ("name", "trainable", "dtype", "arguments")
        result = self._values({k: v for k, v in config.items() if k in kept})
        name = config["name"]
        return {**result, "function": named("function", name, name)}

    def _check_lambda(self, config: Node) -> None:
        functions = [config.get(k) for k in ("function", "output_shape")]
        # Old files have a list of the code, its defaults and its closure.
        is_list = isinstance(functions[0], list)
        if self.safe_mode and (is_list or any(map(_is_lambda, functions))):
            raise RefusedError(
                f"layer '{config.get('name')}' is a Lambda, whose Python code "
                "the file carries. Pass a function by the layer's name, "
                f"custom_objects={{'{config.get('name')}': <a function>}}, or, "
                "if you trust the file, safe_mode=False"
            )
        if isinstance(functions[0], list):
            code, defaults, closure = functions[0]
            named = {"code": code, "defaults": defaults, "closure": closure}
            config["function"] = {"class_name": "__lambda__", "config": named}
        elif isinstance(functions[0], str):
            config["function"] = self._function("function", functions[0])
        for key in ("function", "output_shape"):
            if _is_lambda(config.get(key)):
                config[key] = _with_tuple(config[key])
        for key in (
            "module",
            "function_type",
            "output_shape_type",
            "output_shape_module",
        ):
            config.pop(key, None)

    def _function(self, key: str, name: Any) -> Any:
        """Returns a function that a config names, never a builtin of Python."""
        if self.known(name):
            return named("function", name, name)
        if key.endswith("activation") and hasattr(keras.activations, name):
            return name
        raise RefusedError(
            f"its `{key}` is a function {name!r}, which is not Keras's. Pass "
            f"custom_objects={{{name!r}: <the function>}}"
        )

    def _values(self, config: Node) -> Node:
        return {key: self._value(key, value) for key, value in config.items()}

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(key, item) for item in value]
        if isinstance(value, str):
            if not key.endswith("activation"):
                return value
            value = _tables.CHANGED.get(value, value)
            return self._function(key, value) if self.known(value) else value
        if not isinstance(value, dict):
            return value
        if "class_name" not in value:
            return self._values(value)
        return self._object(key, value)

    def _object(self, key: str, value: Node) -> Any:
        """Returns a rewritten object from inside the config of a layer."""
        base = base_name(value)
        if base in ("__tuple__", "TensorShape"):
            return self._value(key, value["items"])
        if base == "__lambda__":
            if self.safe_mode:
                raise RefusedError(
                    f"it carries Python code as `{key}`. If you trust the "
                    "file, pass safe_mode=False"
                )
            return value
        if base in _tables.DATA:
            return value
        if base == "function":
            return self._function(key, value["config"])
        if base.startswith("Policy"):
            name = str(value["config"]["name"])
            return None if name.endswith("infer") else name
        for registered in (value.get("registered_name"), value["class_name"]):
            if self.known(registered):
                return named(base, self._values(value["config"]), registered)
        kind = key.rsplit("_", 1)[-1]
        namespace = _tables.NAMESPACES.get(kind)
        if namespace is None:
            return self.layer(value)
        config = self._values(value["config"])
        config.pop("dtype", None)
        if not isinstance(getattr(namespace, base, None), type):
            raise RefusedError(
                f"its `{key}` is a {base}, which Keras 3 does not have. Pass "
                f"custom_objects={{'{base}': <a class>}}"
            )
        return {
            "module": f"keras.{kind}s",
            "class_name": base,
            "config": config,
        }


def _with_tuple(function: Node) -> Node:
    """Returns a Lambda's code with its defaults as Keras 3 needs them."""
    config = function["config"]
    if config.get("defaults") is not None:
        config = {**config, "defaults": tuple(config["defaults"])}
    return {**function, "config": config}


def _is_lambda(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__lambda__"
