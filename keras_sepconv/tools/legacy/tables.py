"""What differs in Keras 3 from a config of tf.keras: names and arguments."""

import keras

# Arguments that tf.keras never used, or that Keras 3 no longer has or needs.
# tf.keras ignored `groups` in all of these layers.
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
UNUSED = ("batch_input_shape", "fused", "input_dtype")
# Arguments that Keras 3 lacks. A model with any other value is refused.
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
# Functions that compute something else in Keras 3 under the same name.
CHANGED = {"hard_sigmoid": "keras_sepconv>keras_2_hard_sigmoid"}
NAMESPACES = {
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
}
DATA = ("__bytes__", "__ellipsis__", "__numpy__", "__slice__", "__tensor__")
MODELS = ("Functional", "Model", "Sequential")
# Layers that run code that a file contains or names.
UNSAFE = ("TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer")
# The modules of Keras's own classes in a file, and the packages before `>`.
OWNERS = ("builtins", "keras", "tensorflow", "tf_keras")
PACKAGES = ("", "keras", "Keras")
