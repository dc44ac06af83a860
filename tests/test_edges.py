"""The layers before and after a layer, in configs written by hand."""

import pytest

from keras_sepconv.tools.conversion.edges import edges


def tensor(name, call=0, number=0):
    history = [name, call, number]
    config = {"shape": [None, 3], "keras_history": history}
    return {"class_name": "__keras_tensor__", "config": config}


def node(name, *calls):
    """Returns a layer's config; each call is a list of what it reads."""
    inbound = [{"args": [reads], "kwargs": {}} for reads in calls]
    return {"name": name, "class_name": "ReLU", "inbound_nodes": inbound}


def graph(outputs, *nodes):
    return edges(list(nodes), {"output_layers": outputs})


def names(*found):
    return [one and one["name"] for one in found]


def test_a_sequence():
    nodes = [{"name": name, "config": {}} for name in "abc"]
    chain = edges(nodes, {"layers": nodes})
    assert names(*map(chain.before, "abc")) == [None, "a", "b"]
    assert names(*map(chain.after, "abc")) == ["b", "c", None]
    assert chain.uses("b") == 1
    chain.remove("b")
    assert names(chain.before("c"), chain.after("a")) == ["a", "c"]
    assert chain.config() == {"layers": [nodes[0], nodes[2]]}
    assert len(nodes) == 3, "the list of the caller is as it was"


def test_a_line():
    line = graph(
        ["c", 0, 0],
        node("in"),
        node("a", [tensor("in")]),
        node("b", [tensor("a")]),
        node("c", [tensor("b")]),
    )
    order = ["in", "a", "b", "c"]
    assert names(*map(line.before, order)) == [None, "in", "a", "b"]
    assert names(*map(line.after, order)) == ["a", "b", "c", None]
    assert [line.uses(name) for name in order] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("reader", "uses", "after"),
    [
        # Once, twice in one call, in two calls, beside another tensor.
        (node("b", [tensor("a")]), 1, "b"),
        (node("b", [tensor("a"), tensor("a")]), 2, None),
        (node("b", [tensor("a")], [tensor("a")]), 2, None),
        (node("b", [tensor("a")], [tensor("in")]), 1, None),
        (node("b", [tensor("a"), tensor("in")]), 1, "b"),
        (node("b", [tensor("in"), tensor("a", 0, 1)]), 1, "b"),
        (node("b", [tensor("in")]), 0, None),
    ],
)
def test_the_only_reader(reader, uses, after):
    found = graph([["b", 0, 0]], node("in"), node("a", [tensor("in")]), reader)
    assert found.uses("a") == max(uses, 1)
    assert names(found.after("a")) == [after]
    # What reads more than one tensor has no single layer before it.
    histories = [
        one["config"]["keras_history"][0]
        for call in reader["inbound_nodes"]
        for one in call["args"][0]
    ]
    only = histories[0] if len(histories) == 1 else None
    assert names(found.before("b")) == [only]


@pytest.mark.parametrize(
    ("outputs", "ends"),
    [
        (["b", 0, 0], 0),
        (("a", 0, 0), 1),
        ([["b", 0, 0], ["a", 0, 0]], 1),
        ([["a", 0, 0], ["b", 0, 0], ["a", 0, 1]], 2),
        ({"x": ["b", 0, 0], "y": ["a", 0, 0]}, 1),
        ({"x": [["a", 0, 0]], "y": {"z": ("a", 0, 0)}}, 2),
    ],
)
def test_what_a_model_returns_is_used_too(outputs, ends):
    found = graph(
        outputs,
        node("in"),
        node("a", [tensor("in")]),
        node("b", [tensor("a")]),
    )
    assert found.uses("a") == 1 + ends
    assert names(found.after("a")) == ["b" if ends == 0 else None]


def test_a_shared_layer_is_used_for_each_call():
    found = graph(
        ["a", 1, 0],
        node("in"),
        node("a", [tensor("in")], [tensor("in")]),
        node("b", [tensor("a")]),
    )
    assert found.uses("a") == 2
    found = graph(
        ["b", 0, 0],
        node("in"),
        node("a", [tensor("in")], [tensor("in")], [tensor("in")]),
        node("b", [tensor("a")]),
    )
    assert found.uses("a") == 3


def test_removed_layers_are_passed_over():
    nodes = [
        node("in"),
        node("a", [tensor("in", 0, 1)]),
        node("b", [tensor("a")]),
        node("c", [tensor("b")]),
        node("d", [tensor("c"), tensor("in")]),
    ]
    nodes[4]["inbound_nodes"][0]["kwargs"] = {"more": (tensor("b"), {"x": 1})}
    outputs = {"x": ["b", 0, 0], "y": [["d", 0, 0], ("c", 0, 0)]}
    found = graph(outputs, *nodes)
    found.remove("a")
    found.remove("b")
    assert names(found.before("c")) == ["in"]
    assert found.uses("in") == 4
    assert found.uses("c") == 2
    config = found.config()
    assert [one["name"] for one in config["layers"]] == ["in", "c", "d"]
    assert config["output_layers"] == {
        "x": ["in", 0, 1],
        "y": [["d", 0, 0], ["c", 0, 0]],
    }
    c, d = (one["inbound_nodes"] for one in config["layers"][1:])
    assert c == [{"args": [[tensor("in", 0, 1)]], "kwargs": {}}]
    assert d == [
        {
            "args": [[tensor("c"), tensor("in")]],
            "kwargs": {"more": (tensor("in", 0, 1), {"x": 1})},
        }
    ]
    assert config["layers"][1]["class_name"] == "ReLU"
    # The configs of the caller are as they were.
    assert nodes[3] == node("c", [tensor("b")])
