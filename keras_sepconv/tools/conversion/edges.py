"""Finds the layers before and after another layer in the config of a model."""

import collections
from collections.abc import Iterator
from typing import Any

from keras_sepconv.tools.inspection.tree import Node, name_of


def edges(nodes: list[Node], config: dict[str, Any]) -> "Chain | Graph":
    """Returns the order of the layers of a model.

    Args:
        nodes: The configs of the layers.
        config: The config of the model.
    """
    if "output_layers" in config:
        return Graph(nodes, config["output_layers"])
    return Chain(nodes)


class Chain:
    """The layers of a Sequential."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = list(nodes)

    def before(self, name: str) -> Node | None:
        """Returns the only layer whose output a layer reads, if so."""
        at = [name_of(node) for node in self._nodes].index(name)
        return self._nodes[at - 1] if at > 0 else None

    def after(self, name: str) -> Node | None:
        """Returns the only reader of a layer's output, if it is called once."""
        at = [name_of(node) for node in self._nodes].index(name) + 1
        return self._nodes[at] if at < len(self._nodes) else None

    def uses(self, name: str) -> int:
        """Returns how many readers the outputs of all calls of a layer have."""
        return 1

    def remove(self, name: str) -> None:
        """Removes a layer; its readers then read what it read."""
        self._nodes = [node for node in self._nodes if name_of(node) != name]

    def config(self) -> dict[str, Any]:
        """Returns the part of the model's config that lists the layers."""
        return {"layers": self._nodes}


class Graph:
    """The layers of a functional model.

    A tensor is described by its history: the name of the layer that computed
    it, the number of the call, and the number of the output.
    """

    def __init__(self, nodes: list[Node], outputs: Any) -> None:
        self._nodes = {node["name"]: node for node in nodes}
        self._outputs = outputs
        self._instead: dict[str, list[Any]] = {}

    def before(self, name: str) -> Node | None:
        """Returns the only layer whose output a layer reads, if so."""
        tensors = list(_histories(self._nodes[name]["inbound_nodes"]))
        if len(tensors) != 1:
            return None
        return self._nodes[self._now(tensors[0])[0]]

    def after(self, name: str) -> Node | None:
        """Returns the only reader of a layer's output, if it is called once."""
        readers = [
            node
            for node in self._nodes.values()
            for history in _histories(node["inbound_nodes"])
            if self._now(history)[0] == name
        ]
        alone = len(readers) == self.uses(name) == 1
        if not alone or len(readers[0]["inbound_nodes"]) != 1:
            return None
        return readers[0]

    def _now(self, history: Any) -> list[Any]:
        """Returns the history of a tensor, without the removed layers."""
        while history[0] in self._instead:
            history = self._instead[history[0]]
        return list(history)

    def uses(self, name: str) -> int:
        """Returns how many readers the outputs of all calls of a layer have."""
        found = collections.Counter(
            self._now(history)[0]
            for node in self._nodes.values()
            for history in _histories(node["inbound_nodes"])
        )
        ends = sum(self._now(end)[0] == name for end in _ends(self._outputs))
        calls: list[Any] = self._nodes[name]["inbound_nodes"]
        return int(max(found[name] + ends, len(calls)))

    def remove(self, name: str) -> None:
        """Removes a layer; its readers then read what it read."""
        (history,) = _histories(self._nodes[name]["inbound_nodes"])
        self._instead[name] = history
        del self._nodes[name]

    def config(self) -> dict[str, Any]:
        """Returns the part of the model's config that lists the layers."""
        return {
            "layers": [
                {**node, "inbound_nodes": self._rewired(node["inbound_nodes"])}
                for node in self._nodes.values()
            ],
            "output_layers": self._moved(self._outputs),
        }

    def _rewired(self, value: Any) -> Any:
        if _is_tensor(value):
            history = self._now(value["config"]["keras_history"])
            config = {**value["config"], "keras_history": history}
            return {**value, "config": config}
        if isinstance(value, dict):
            return {k: self._rewired(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._rewired(item) for item in value)
        return value

    def _moved(self, ends: Any) -> Any:
        if _is_end(ends):
            return self._now(ends)
        if isinstance(ends, dict):
            return {key: self._moved(end) for key, end in ends.items()}
        return [self._moved(end) for end in ends]


def _is_tensor(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("class_name") == "__keras_tensor__"
    )


def _histories(value: Any) -> Iterator[list[Any]]:
    """Yields the history of each tensor in the arguments of a call."""
    if _is_tensor(value):
        yield value["config"]["keras_history"]
    elif isinstance(value, dict):
        for item in value.values():
            yield from _histories(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _histories(item)


def _is_end(value: Any) -> bool:
    # It begins with a name; a structure of ends does not.
    return isinstance(value, (list, tuple)) and isinstance(value[0], str)


def _ends(value: Any) -> Iterator[Any]:
    """Yields the tensors that a model returns."""
    if _is_end(value):
        yield value
    else:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _ends(item)
