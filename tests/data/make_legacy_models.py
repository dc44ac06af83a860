"""Writes small models as tf.keras 2.15 saves them, with what they predict.

Run it after `pip install tensorflow-cpu==2.15.*`, in any folder. The results go
to an archive in the folder `legacy` beside this script, so no test needs the
old version. Then, after `pip install keras==2.13.1`, `python
make_legacy_models.py 2.13` writes one model with the layout of weights of 2.12
to 2.14.
"""

import os
import pathlib
import sys
import tempfile
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

if sys.argv[1:] == ["2.13"]:
    import keras
else:
    keras = tf.keras
layers = keras.layers

FOLDER = pathlib.Path(tempfile.mkdtemp())
EXPECTED = {}
RNG = np.random.default_rng(0)


def finish(name, model, dtype="float32"):
    """Gives every weight its own values, and stores what `model` predicts."""
    weights = [
        w + RNG.uniform(0.05, 0.3, w.shape).astype(w.dtype)
        for w in model.get_weights()
    ]
    model.set_weights(weights)
    shape = [2, *model.input_shape[1:]]
    inputs = RNG.uniform(-1, 1, shape).astype(dtype)
    EXPECTED[f"{name}_inputs"] = inputs
    EXPECTED[f"{name}_outputs"] = model(inputs, training=False).numpy()


def sequential():
    """A small Xception, trained for one step, so that it has a state."""
    model = keras.Sequential(
        [
            layers.SeparableConv2D(
                4,
                3,
                padding="same",
                depthwise_regularizer="l2",
                input_shape=(6, 6, 2),
            ),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.SpatialDropout2D(0.2),
            layers.DepthwiseConv2D(3, strides=2, use_bias=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ],
        name="xception",
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    labels = np.array([0, 1, 2, 0])
    model.fit(RNG.uniform(size=(4, 6, 6, 2)), labels, verbose=0)
    finish("sequential", model)
    model.save(FOLDER / "sequential.h5")
    model.save(FOLDER / "sequential.keras")


def functional():
    """Nested, shared and frozen layers, wrappers, operations, branches."""
    inner_inputs = keras.Input((4, 4, 3))
    x = layers.DepthwiseConv2D(3, padding="same", trainable=False)(inner_inputs)
    x = layers.SeparableConv2D(3, 3, padding="same")(x)
    inner = keras.Model(inner_inputs, layers.BatchNormalization()(x), name="m")

    inputs = keras.Input((4, 4, 3))
    x = layers.Rescaling(0.5)(inputs)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1, 2, 3])(x)
    shared = layers.SeparableConv2D(3, 3, padding="same", name="shared")
    x = layers.Concatenate()([shared(x), shared(shared(x))])
    x = layers.Conv2DTranspose(3, 2, padding="same")(x)
    x = inner(inner(x))
    x = tf.nn.relu6(1.0 - x / 2.0) * 3.0 + layers.LeakyReLU(0.1)(x)
    # Two layers of one class and shape. They are created in one order and used
    # in the other.
    last = layers.SeparableConv2D(3, 3, padding="same", name="last")
    x = layers.SeparableConv2D(3, 3, padding="same", name="a/before")(x)
    x = last(x)
    gate = keras.Sequential(
        [
            layers.SeparableConv2D(3, 1, input_shape=(4, 4, 3)),
            layers.Activation("hard_sigmoid"),
        ]
    )
    x = layers.Multiply()([x, gate(x)])
    x = layers.Reshape((2, 2, 4, 3))(x)
    x = layers.TimeDistributed(layers.SeparableConv2D(2, 2))(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling3D()(x), name="f")
    finish("functional", model)
    model.save(FOLDER / "functional.h5")
    model.save(FOLDER / "functional.keras")
    model.save_weights(FOLDER / "functional.weights.h5")
    model.save_weights(FOLDER / "functional_by_layer.h5")
    (FOLDER / "functional.json").write_text(model.to_json() + "\n")


def causal():
    """A layer that stock Keras 3 lacks, and recurrent layers after it."""
    model = keras.Sequential(
        [
            layers.SeparableConv1D(
                3, 3, padding="causal", dilation_rate=2, input_shape=(8, 2)
            ),
            layers.DepthwiseConv1D(2),
            layers.Bidirectional(layers.GRU(2)),
        ],
        name="causal",
    )
    finish("causal", model)
    model.save(FOLDER / "causal.h5")
    model.save(FOLDER / "causal.keras")


def mixed():
    """Each layer has a policy of mixed precision."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    inputs = keras.Input((6, 6, 2))
    x = layers.SeparableConv2D(3, 3)(inputs)
    x = layers.DepthwiseConv2D(2, dtype="float32")(x)
    model = keras.Model(inputs, x, name="mixed")
    finish("mixed", model)
    model.save(FOLDER / "mixed.keras")
    keras.mixed_precision.set_global_policy("float32")


def adapted():
    """A layer that computes with numbers derived from its weights."""
    normalization = layers.Normalization()
    normalization.adapt(RNG.uniform(size=(8, 4, 4, 2)))
    inputs = keras.Input((4, 4, 2))
    x = layers.DepthwiseConv2D(2)(normalization(inputs))
    model = keras.Model(inputs, x, name="adapted")
    finish("adapted", model)
    model.save(FOLDER / "adapted.h5")
    model.save(FOLDER / "adapted.keras")


def with_lambda():
    """Python code inside a file."""
    model = keras.Sequential(
        [
            layers.DepthwiseConv2D(2, input_shape=(3, 3, 1)),
            layers.Lambda(lambda x: x * 2),
        ],
        name="with_lambda",
    )
    model.save(FOLDER / "lambda.h5")
    model.save(FOLDER / "lambda.keras")


def layout_2_13():
    """Two layers of one class, which that version numbers 0 and 2."""
    inner_inputs = keras.Input((4, 4, 2))
    x = layers.SeparableConv2D(2, 3, padding="same")(inner_inputs)
    x = layers.SeparableConv2D(2, 3, padding="same")(x)
    inner = keras.Model(inner_inputs, x, name="inner")
    inputs = keras.Input((4, 4, 2))
    x = layers.SeparableConv2D(2, 3, padding="same")(inputs)
    x = layers.SeparableConv2D(2, 3, padding="same")(inner(x))
    model = keras.Model(inputs, x, name="layout")
    finish("layout_2_13", model)
    model.save(FOLDER / "layout_2_13.keras")


def main(name, makers):
    """Writes an archive of the models and their predictions."""
    for make in makers:
        keras.backend.clear_session()
        make()
    np.savez(FOLDER / f"{name}.npz", **EXPECTED)
    path = pathlib.Path(__file__).parent / "legacy" / f"{name}.zip"
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(FOLDER.iterdir()):
            archive.write(file, file.name)


if sys.argv[1:] == ["2.13"]:
    main("keras_2_13", [layout_2_13])
else:
    makers = [sequential, functional, causal, mixed, adapted, with_lambda]
    main("keras_2_15", makers)
