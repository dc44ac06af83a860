"""Writes a model with TensorFlow's operations, and what it computes.

Run it after `pip install tensorflow-cpu==2.15.*`. The result is
`legacy/operations.zip`.
"""

import os
import pathlib
import tempfile
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

FOLDER = pathlib.Path(tempfile.mkdtemp())


def outputs(x, y):
    """Returns the result of each operation, called as in real networks."""
    return [
        tf.concat([x, y], axis=-1),
        tf.concat([x, y, x], 1),
        tf.stack([x, y], axis=1),
        tf.reduce_mean(x, axis=[1, 2], keepdims=True),
        tf.reduce_mean(x, [1, 2]),
        tf.reduce_sum(tf.square(x - y), axis=-1),
        tf.reduce_max(x, axis=1, keepdims=True),
        tf.reduce_min(x, axis=-1),
        tf.abs(x - y),
        tf.math.squared_difference(x, y),
        tf.sqrt(tf.maximum(tf.reduce_sum(x, axis=1), 1e-7)),
        tf.maximum(x, y),
        tf.minimum(x, 0.1),
        tf.exp(x) - tf.math.log(tf.abs(y) + 0.5),
        tf.math.rsqrt(tf.abs(x)),
        tf.pow(x, 2),
        x**2 / (tf.abs(y) + 0.5),
        -x,
        1.0 / (2.0 + x),
        tf.clip_by_value(x, -0.2, 0.3),
        tf.image.resize(x, (5, 7)),
        tf.image.resize(x, [3, 3], method="nearest"),
        x[:, 1:3, ::2],
        x[:, -1],
        x[:, :, ::-1],
        x[:, tf.newaxis, 2:],
        tf.nn.softmax(x, axis=-1),
        tf.nn.softmax(x),
        tf.reshape(x, (-1, 8, 8)),
        tf.transpose(x, (0, 3, 1, 2)),
        tf.transpose(x, perm=[0, 2, 1, 3]),
        tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]]),
        tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], mode="REFLECT"),
        tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, 1]], constant_values=2.0),
        tf.expand_dims(x, 1),
        tf.squeeze(tf.reduce_sum(x, axis=[1, 2], keepdims=True), [1, 2]),
        tf.cast(x, tf.float32),
        tf.math.l2_normalize(x, axis=-1),
        tf.linalg.matmul(x, y, transpose_b=True),
        tf.nn.leaky_relu(x, alpha=0.3),
        tf.nn.gelu(x),
        tf.identity(x),
        tf.tile(x, [1, 2, 1, 1]),
        tf.nn.depth_to_space(x, 2),
        *tf.split(x, 2, axis=-1),
        *tf.split(x, [1, 3], axis=1),
    ]


def main():
    """Writes the model, its inputs and its outputs."""
    inputs = tf.keras.Input((4, 4, 4), name="in")
    y = tf.keras.layers.SeparableConv2D(4, 3, padding="same")(inputs)
    model = tf.keras.Model(inputs, outputs(inputs, y), name="operations")
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1, 4, 4, 4)).astype("float32")
    arrays = {f"y{i}": np.asarray(y) for i, y in enumerate(model(x))}
    np.savez_compressed(FOLDER / "operations.npz", x=x, **arrays)
    model.save(FOLDER / "operations.h5")
    path = pathlib.Path(__file__).parent / "legacy" / "operations.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(FOLDER.iterdir()):
            archive.write(file, file.name)


main()
