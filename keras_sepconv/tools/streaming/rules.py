"""How each kind of layer runs step by step: `RULES`, by the name of the class.

A rule is a function of a layer and of the `Stream` that it reads. It returns a
`Plan`, or it raises `RefusedError` with the reason and the way out. To add a
kind of layer, add its name to `RULES`; most kinds need no function of their
own. Time is axis 1 of every tensor.
"""

from typing import Any

from keras_sepconv.tools.inspection.calls import product
from keras_sepconv.tools.streaming.stream import (
    Plan,
    RefusedError,
    Rule,
    Sizes,
    Stream,
)
from keras_sepconv.tools.streaming.windows import global_pooling, windows


def alone(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    """A layer that treats each step alone: it needs no state."""
    return Plan(stream.stride, stream.field)


def _along(*names: str) -> Rule:
    """Returns the rule of layers that act along the axes in an attribute."""

    def rule(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
        rank = len(stream.shape)
        for name in names:
            value = getattr(layer, name)
            axes = (value,) if isinstance(value, int) else tuple(value or ())
            if 1 in [axis % rank for axis in axes]:
                raise RefusedError(
                    f"works along the axis of time ({name}={value})",
                    "Let it work along the other axes",
                )
        return alone(layer, stream, sizes)

    return rule


def _last_axis(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    if len(stream.shape) == 2:
        raise RefusedError(
            "works along the last axis, which is the time here",
            "Put an axis of channels behind, by Reshape((-1, 1))",
        )
    return alone(layer, stream, sizes)


def _prelu(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    if 1 not in (layer.shared_axes or ()):
        raise RefusedError(
            "has a weight for each step of the sequence",
            "Share them, by shared_axes=[1]",
        )
    return alone(layer, stream, sizes)


def _permute(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    if layer.dims[0] != 1:
        raise RefusedError(
            "moves the axis of time", "Leave axis 1 in its place"
        )
    return alone(layer, stream, sizes)


def _reshape(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    before = stream.shape[1:]
    after = layer.compute_output_shape(stream.shape)[1:]
    sizes_before, sizes_after = product(*before[1:]), product(*after[1:])
    if before[0] != after[0] or sizes_before != sizes_after:
        raise RefusedError(
            f"makes {after} of {before}, which mixes steps",
            "Leave axis 1 as it is, by Reshape((-1, ...))",
        )
    changes = {"target_shape": (-1, *after[1:])}
    return Plan(stream.stride, stream.field, changes=changes)


def _embedding(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    if layer.mask_zero:
        raise RefusedError(*REFUSED["Masking"])
    return alone(layer, stream, sizes)


def _pairs(value: Any) -> list[tuple[int, int]]:
    """Returns what an argument means for each axis, before and after."""
    if value and isinstance(value[0], int):
        value = [value]
    return [tuple(pair) for pair in value]


def _zero_padding(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    (before, after), *others = _pairs(layer.padding)
    if after:
        raise RefusedError(
            f"puts {after} zeros after the last step, so later layers look "
            "ahead",
            f"Put all zeros before: ({before + after}, 0)",
        )
    return Plan(
        stream.stride,
        stream.field,
        zeros=before,
        changes={"padding": ((0, 0), *others)} if others else {},
        is_left_out=not others,
    )


def _cropping(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    first = _pairs(layer.cropping)[0]
    if any(first):
        raise RefusedError(
            f"removes steps ({first})", "Leave all steps in the sequence"
        )
    return alone(layer, stream, sizes)


def _up_sampling(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    size = layer.size if isinstance(layer.size, int) else layer.size[0]
    way = getattr(layer, "interpolation", "nearest")
    if size > 1 and way != "nearest":
        raise RefusedError(
            f"looks ahead, because it interpolates ({way})",
            'Use interpolation="nearest"',
        )
    assert stream.stride is not None, "`plan` sorts out those without steps"
    return Plan(stream.stride / size, stream.field)


def _recurrent(layer: Any, stream: Stream, sizes: Sizes) -> Plan:
    if layer.go_backwards:
        raise RefusedError(
            "reads the sequence from its end", "Use go_backwards=False"
        )
    if layer.stateful or layer.return_state:
        raise RefusedError(
            "keeps or returns its state itself",
            "Use stateful=False and return_state=False",
        )
    stride = stream.stride if layer.return_sequences else None
    changes = {"return_state": True}
    return Plan(stride, None, changes=changes, is_recurrent=True)


_CONVOLUTIONS = [
    f"{kind}Conv{n}D" for kind in ("", "Separable", "Depthwise") for n in "123"
]
_POOLINGS = [f"{kind}Pooling{n}D" for kind in ("Average", "Max") for n in "123"]
_GLOBAL = [f"Global{name}" for name in _POOLINGS]
_NOISE = "Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout"
_SPATIAL = [f"SpatialDropout{n}D" for n in "123"]
# Layers that may get several tensors.
MERGES = {
    *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply"),
    "Subtract",
}

RULES: dict[str, Rule] = {
    **dict.fromkeys(_CONVOLUTIONS, windows),
    **dict.fromkeys(_POOLINGS, windows),
    **dict.fromkeys(_GLOBAL, global_pooling),
    **dict.fromkeys([f"ZeroPadding{n}D" for n in "123"], _zero_padding),
    **dict.fromkeys([f"Cropping{n}D" for n in "123"], _cropping),
    **dict.fromkeys([f"UpSampling{n}D" for n in "123"], _up_sampling),
    **dict.fromkeys(("SimpleRNN", "GRU", "LSTM"), _recurrent),
    **dict.fromkeys(MERGES - {"Concatenate"}, alone),
    "Concatenate": _along("axis"),
    **dict.fromkeys((*_NOISE, *_SPATIAL, "ActivityRegularization"), alone),
    **dict.fromkeys(("ReLU", "LeakyReLU", "ELU", "Identity"), alone),
    "Activation": _last_axis,
    "BatchNormalization": _along("axis"),
    "Dense": _last_axis,
    "Embedding": _embedding,
    "LayerNormalization": _along("axis"),
    "Normalization": _along("axis"),
    "PReLU": _prelu,
    "Permute": _permute,
    "Rescaling": alone,
    "Reshape": _reshape,
    "RMSNormalization": _along("axis"),
    "Softmax": _along("axis"),
    "TimeDistributed": alone,
    "UnitNormalization": _along("axis"),
}

_READS_ALL = (
    "reads the whole sequence at each step",
    "Use causal convolutions, a GRU or an LSTM instead",
)
_AHEAD = (
    "looks ahead, because it also reads the sequence from its end",
    "Use the layer inside without it",
)
_SPREADS = (
    "adds to several later steps",
    "Use UpSampling, and a causal convolution after it",
)
REFUSED: dict[str, tuple[str, str]] = {
    "AdditiveAttention": _READS_ALL,
    "Attention": _READS_ALL,
    "Bidirectional": _AHEAD,
    "Conv1DTranspose": _SPREADS,
    "Conv2DTranspose": _SPREADS,
    "Conv3DTranspose": _SPREADS,
    "Dot": _READS_ALL,
    "Flatten": (
        "joins all steps into one vector",
        "Use a global pooling, or flatten each step: "
        "TimeDistributed(Flatten())",
    ),
    "GroupNormalization": (
        "normalizes over time",
        "Use BatchNormalization or LayerNormalization",
    ),
    "GroupedQueryAttention": _READS_ALL,  # `GroupQueryAttention` of Keras.
    "Masking": (
        "makes a mask of steps, and a live signal has none",
        "Leave it out, or use mask_zero=False",
    ),
    "MultiHeadAttention": _READS_ALL,
}

# Operations in a functional model that act on each number alone.
ELEMENTWISE = {
    *("Absolute", "Add", "Cast", "Clip", "Divide", "Elu", "Exp", "Gelu"),
    *("HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Log", "Log10"),
    *("Log1p", "Maximum", "Minimum", "Multiply", "Negative", "Power", "Relu"),
    *("Relu6", "Reciprocal", "Selu", "Sigmoid", "Sign", "Silu", "Softplus"),
    *("Softsign", "Sqrt", "Square", "Subtract", "Tanh", "TrueDivide"),
}
