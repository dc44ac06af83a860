"""Rewrites the graph of a functional model of tf.keras.

A call of a layer in tf.keras is a list with an entry for each input:

    [["name of the layer before", 1, 0, {"training": False}], ...]

That is the second call of that layer, its first output, and the arguments of
this call, which each entry repeats. Keras 3 writes the inputs and the arguments
apart. Both count calls from 0, but for a nested model tf.keras counts from 1,
because making the model was its first call. Keras 3 does so only for the
outputs of a nested model.
"""

from typing import Any, Protocol

from keras_sepconv.tools.legacy import ops as _ops
from keras_sepconv.tools.legacy.files import RefusedError
from keras_sepconv.tools.legacy.nodes import Node


class Rewrites(Protocol):
    """An object that rewrites the layers of the graph."""

    def layer(self, node: Node) -> Node:
        """Returns the rewritten node of a layer."""

    def known(self, name: Any) -> bool:
        """Tells whether the caller passed this class."""


def functional(config: Node, rewriter: Rewrites) -> Node:
    """Returns the rewritten config of a functional model.

    Args:
        config: The config of tf.keras.
        rewriter: The object that rewrites the layers.

    Raises:
        RefusedError: The graph has loops, or Keras 3 has no layer for an
            operation.
    """
    graph = _Graph(config)
    layers = []
    for node in config["layers"]:
        calls = [graph.call(data) for data in node.get("inbound_nodes", ())]
        base = str(node["class_name"])
        if base in ("TFOpLambda", "SlicingOpLambda") and not rewriter.known(
            base
        ):
            new, calls = _operation(node, calls)
        else:
            new = rewriter.layer(node)
        layers.append({**new, "name": node["name"], "inbound_nodes": calls})
    _check_order(layers)
    return {
        **{k: v for k, v in config.items() if k in ("name", "trainable")},
        "layers": layers,
        "input_layers": graph.ends(config["input_layers"]),
        "output_layers": graph.ends(config["output_layers"]),
    }


class _Graph:
    """Knows the number of each layer's first call."""

    def __init__(self, config: Node) -> None:
        self.names = {node["name"] for node in config["layers"]}
        self.models = {
            node["name"]
            for node in config["layers"]
            if "input_layers" in node["config"]
        }
        # Something refers to every call in the config.
        self.first: dict[str, int] = {}
        self._scan([node.get("inbound_nodes") for node in config["layers"]])
        self._scan([config["input_layers"], config["output_layers"]])

    def _scan(self, data: Any) -> None:
        if self._is_reference(data):
            name, index = data[:2]
            self.first[name] = min(index, self.first.get(name, index))
            data = data[3:]
        if isinstance(data, dict):
            data = list(data.values())
        if isinstance(data, list):
            for item in data:
                self._scan(item)

    def _is_reference(self, data: Any) -> bool:
        return (
            isinstance(data, list)
            and len(data) in (3, 4)
            and isinstance(data[0], str)
            and data[0] in self.names
            and all(isinstance(i, int) for i in data[1:3])
        )

    def _tensor(self, reference: list[Any]) -> Node:
        name, index, output, *_ = reference
        history = [name, index - self.first[name], output]
        # Keras ignores this shape; it puts the real tensor here.
        config = {"shape": [], "dtype": "float32", "keras_history": history}
        return {"class_name": "__keras_tensor__", "config": config}

    def _arguments(self, data: Any, others: Node) -> Any:
        """Returns an argument with its tensors; adds others to `others`."""
        if self._is_reference(data):
            others.update(data[3] if len(data) == 4 else {})
            return self._tensor(data)
        if isinstance(data, list) and data[:2] == ["_CONSTANT_VALUE", -1]:
            others.update(data[3])
            return data[2]
        if isinstance(data, list):
            return [self._arguments(item, others) for item in data]
        if isinstance(data, dict):
            return {k: self._arguments(v, others) for k, v in data.items()}
        return data

    def call(self, data: Any) -> Node:
        """Returns the arguments of one call in the form of Keras 3."""
        others: Node = {}
        inputs = self._arguments(data, others)
        if isinstance(inputs, list) and len(inputs) == 1:
            inputs = inputs[0]
        kwargs = {
            key: self._arguments(value, {})
            for key, value in others.items()
            if value is not None
        }
        return {"args": [inputs], "kwargs": kwargs}

    def ends(self, data: Any) -> Any:
        """Returns the inputs or outputs, with call numbers of Keras 3."""
        if isinstance(data, list) and len(data) == 1:
            data = data[0]
        return self._ends(data)

    def _ends(self, data: Any) -> Any:
        if self._is_reference(data):
            name, index, output, *_ = data
            first = self.first[name] - (name in self.models)
            return [name, index - first, output]
        if isinstance(data, dict):
            return {key: self._ends(value) for key, value in data.items()}
        if isinstance(data, list):
            return [self._ends(item) for item in data]
        raise RefusedError("its inputs or outputs are not those of its layers")


def _operation(node: Node, calls: list[Node]) -> tuple[Node, list[Node]]:
    function = str(node["config"].get("function", "getitem"))
    if len(calls) != 1:
        raise RefusedError(f"its layer '{node['name']}' has several calls")
    kwargs = dict(calls[0]["kwargs"])
    for key, value in kwargs.items():
        if key not in ("y", "b") and _needs(value):
            function += f" with a tensor for {key}"
            kwargs = {}
            break
    first = calls[0]["args"][0]
    new, inputs = _ops.layer_for(node["name"], function, first, kwargs)
    return new, [{"args": [inputs], "kwargs": {}}]


def _check_order(layers: list[Node]) -> None:
    """Refuses loops: old versions of Keras 3 would run for ever."""
    waiting = [
        ((layer["name"], index), _needs(call))
        for layer in layers
        for index, call in enumerate(layer["inbound_nodes"])
    ]
    done = {(x["name"], 0) for x in layers if not x["inbound_nodes"]}
    while waiting:
        ready = [call for call in waiting if call[1] <= done]
        if not ready:
            raise RefusedError(
                "its graph has loops or calls that nothing feeds, at layer "
                f"'{waiting[0][0][0]}'"
            )
        done.update(key for key, _ in ready)
        waiting = [call for call in waiting if call not in ready]


def _needs(data: Any) -> set[tuple[str, int]]:
    if isinstance(data, dict) and data.get("class_name") == "__keras_tensor__":
        name, index, _ = data["config"]["keras_history"]
        return {(name, index)}
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        return set().union(*map(_needs, data))
    return set()
