"""Networks of Keras's layers, for tests of functions that change models."""

import keras
import numpy as np

L = keras.layers


def shaken(model, seed=0):
    """Gives every variable different values, as training does."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "int" not in str(variable.dtype):
            values = rng.uniform(0.2, 1.0, variable.shape)
            sign = -1.0 if "variance" not in variable.name else 1.0
            values *= np.where(rng.random(variable.shape) < 0.5, sign, 1.0)
            variable.assign(values)
    return model


def sequential():
    return keras.Sequential(
        [
            keras.Input((16, 14, 3)),
            L.Conv2D(8, 3, strides=2, use_bias=False, name="stem"),
            L.BatchNormalization(name="stem_bn"),
            L.ReLU(),
            L.SeparableConv2D(10, 3, padding="same", name="separable"),
            L.BatchNormalization(scale=False, name="separable_bn"),
            L.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
            L.BatchNormalization(center=False, name="depthwise_bn"),
            L.Activation("relu6"),
            L.Conv2D(12, 1, name="pointwise", use_bias=False),
            L.BatchNormalization(name="pointwise_bn"),
            L.Conv2D(12, 3, groups=12, name="grouped"),
            L.BatchNormalization(name="grouped_bn"),
            L.GlobalAveragePooling2D(),
            L.Dense(6, name="dense"),
            L.BatchNormalization(name="dense_bn"),
            L.Dense(4, activation="softmax", name="classes"),
        ],
        name="sequential_one",
    )


def inverted_residuals():
    """A functional model with branches, a shared layer and two outputs."""
    left = keras.Input((12, 12, 4), name="left")
    right = keras.Input((12, 12, 4), name="right")
    shared = L.SeparableConv2D(6, 3, padding="same", name="shared")
    x, y = shared(left), shared(right)
    z = keras.ops.relu(x) + 2.0 * y
    z = L.Conv2D(12, 1, name="expand")(z)
    z = L.BatchNormalization(name="expand_bn")(z)
    z = L.ReLU(6.0)(z)
    z = L.ZeroPadding2D(((0, 1), (0, 1)))(z)
    z = L.DepthwiseConv2D(3, 2, name="depthwise", use_bias=False)(z)
    z = L.BatchNormalization(name="depthwise_bn")(z)
    z = L.ReLU(6.0)(z)
    z = L.Conv2D(5, 1, name="project")(z)
    project = L.BatchNormalization(name="project_bn")(z)
    pooled = L.GlobalAveragePooling2D()(project)
    return keras.Model(
        {"left": left, "right": right},
        {"features": project, "classes": L.Dense(3)(pooled)},
        name="residuals",
    )


def inner_model(name):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.SeparableConv2D(5, 3, name="separable"),
            L.BatchNormalization(name="bn"),
        ],
        name=name,
    )


def nested():
    """Models as layers; one is used twice, one runs over time."""
    inner = inner_model("inner")
    a, b = keras.Input((8, 8, 3)), keras.Input((4, 8, 8, 3))
    small = keras.Input((6, 6, 5))
    hidden = L.DepthwiseConv2D(3, name="small_depthwise")(small)
    hidden = L.BatchNormalization(name="small_bn")(hidden)
    twice = keras.Model(small, hidden, name="twice")
    over_time = L.TimeDistributed(inner_model("frame"), name="over_time")(b)
    # A layer and no operation: Keras 3.6 does not save the names of those.
    mean = L.Reshape((6, 6, 5))(L.AveragePooling3D((4, 1, 1))(over_time))
    return keras.Model(
        [a, b], L.Add()([twice(inner(a)), twice(mean)]), name="nested"
    )


def sequences():
    return keras.Sequential(
        [
            keras.Input((20, 4)),
            L.SeparableConv1D(6, 3, name="separable"),
            L.DepthwiseConv1D(3, name="depthwise"),
            L.Conv1D(6, 3, groups=6, padding="causal", name="causal"),
            L.Conv1D(5, 1, padding="causal", name="pointwise"),
            L.Bidirectional(L.LSTM(3), name="lstm"),
        ]
    )


def volumes():
    return keras.Sequential(
        [
            keras.Input((5, 6, 7, 3)),
            L.Conv3D(6, 3, groups=3, padding="same", name="depthwise"),
            L.BatchNormalization(),
            L.Conv3D(4, 1, strides=2, name="pointwise"),
        ]
    )


MODELS = [sequential, inverted_residuals, nested, sequences, volumes]


class Block(L.Layer):
    """A layer that creates a convolution in its own code."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = L.DepthwiseConv2D(3, name="hidden")

    def build(self, shape):
        self.convolution.build(shape)

    def call(self, inputs):
        return self.convolution(inputs)


class Library(keras.Model):
    """A model of the functional API whose config has its own arguments.

    Model libraries build such models.
    """

    def __init__(self, width, **kwargs):
        inputs = {"image": keras.Input((9, 8, 3), name="image")}
        x = L.DepthwiseConv2D(3, use_bias=False, name="depthwise")(
            inputs["image"]
        )
        x = L.BatchNormalization(name="bn")(x)
        x = L.Conv2D(width, 1, name="pointwise")(x)
        super().__init__(inputs=inputs, outputs={"features": x}, **kwargs)
        self.width = width

    def get_config(self):
        return {"width": self.width, "name": self.name}


class LibraryTask(keras.Model):
    """A model with a `Library` as a layer and a head; it has no config."""

    def __init__(self):
        inner = Library(5, name="backbone")
        features = inner(inner.input)["features"]
        head = L.SeparableConv2D(4, 3, name="head")(features)
        super().__init__(inner.input, L.GlobalMaxPooling2D()(head), name="task")
        self.backbone = inner

    def get_config(self):
        raise NotImplementedError
