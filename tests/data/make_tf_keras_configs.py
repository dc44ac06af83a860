"""Writes the configs that tf.keras 2.15 saves for a separable convolution.

Run with `tensorflow-cpu==2.15.*` installed, in this folder. The results are
kept beside this script, so that no test needs that old version.
"""

import json
import pathlib

import tensorflow as tf


def write(name, **options):
    layer = tf.keras.layers.SeparableConv2D(
        6,
        (3, 5),
        padding="same",
        depth_multiplier=2,
        activation="relu",
        depthwise_regularizer="l2",
        input_shape=(28, 28, 3),
        name="separable",
        **options,
    )
    path = pathlib.Path(__file__).parent / f"tf_keras_{name}.json"
    path.write_text(json.dumps(layer.get_config(), indent=2) + "\n")


write("separable")
write("separable_mixed", dtype=tf.keras.mixed_precision.Policy("mixed_float16"))
