"""What Keras 3 calls otherwise, lacks or ignores in a config of tf.keras."""

import keras

# What tf.keras wrote and never used, or what Keras 3 takes no more and does
# without. tf.keras ignored `groups` in all of these layers.
UNUSED_BY_CLASS = {
    **dict.fromkeys(
        (
            "SeparableConv1D",
            "SeparableConv2D",
            "DepthwiseConv1D",
            "DepthwiseConv2D",
        ),
        (
            "groups",
            "kernel_initializer",
            "kernel_regularizer",
            "kernel_constraint",
        ),
    ),
    **dict.fromkeys(
        ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), ("groups",)
    ),
    **dict.fromkeys(
        ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
        ("noise_shape", "trainable"),
    ),
    "Discretization": ("trainable",),
    "Embedding": ("input_length",),
    "MultiHeadAttention": ("query_shape", "key_shape", "value_shape"),
}
UNUSED = ("batch_input_shape", "input_dtype")
# What Keras 3 lacks, and whose other values it cannot honour.
NEUTRAL = {
    "dynamic": False,
    "ragged": False,
    "renorm": False,
    "time_major": False,
    "type_spec": None,
    "virtual_batch_size": None,
}
RENAMED = {
    "LeakyReLU": ("LeakyReLU", {"alpha": "negative_slope"}),
    "ThresholdedReLU": ("ReLU", {"theta": "threshold"}),
    "BatchNormalizationV1": ("BatchNormalization", {}),
}
# Functions that Keras 3 computes otherwise under the same name.
CHANGED = {"hard_sigmoid": "keras_sepconv>keras_2_hard_sigmoid"}
NAMESPACES = {
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
}
DATA = ("__bytes__", "__ellipsis__", "__numpy__", "__slice__", "__tensor__")
MODELS = ("Functional", "Model", "Sequential")
# Run code that a file carries or names.
UNSAFE = ("TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer")
# Where Keras's own classes are, as a file says; and what stood before `>`.
OWNERS = ("builtins", "keras", "tensorflow", "tf_keras")
PACKAGES = ("", "keras", "Keras")
