"""The models of the table: models of libraries, and some as users write them.

Each has random weights and small images, so that a row is quick. The script
that loads a saved model imports this file without `keras_sepconv`.
"""

import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import hub
import keras
import numpy as np
import own

SHAPE = hub.SHAPE
CLASSES = hub.CLASSES

Make = Callable[[], Any]


def _drawn(self: Any, shape: Any, dtype: Any = None) -> Any:
    size = 0.02 * np.random.default_rng(0).standard_normal(shape, "float32")
    return keras.ops.convert_to_tensor(size, dtype or "float32")


# JAX compiles a random function for each shape, which takes longer than
# everything else. The table gives the kernels other weights anyway.
for _kind in (
    keras.initializers.VarianceScaling,
    keras.initializers.RandomNormal,
    keras.initializers.TruncatedNormal,
    keras.initializers.RandomUniform,
):
    _kind.__call__ = _drawn


def _application(name: str) -> Any:
    return getattr(keras.applications, name)(
        weights=None,
        input_shape=SHAPE,
        classes=CLASSES,
        classifier_activation=None,
    )


def _kimm(name: str) -> Any:
    import kimm

    return getattr(kimm.models, name)(
        weights=None,
        input_shape=SHAPE,
        classes=CLASSES,
        classifier_activation="linear",
        include_preprocessing=False,
    )


def import_kecam() -> Any:
    """Imports kecam, which uses the name of the preview of Keras 3."""
    os.environ["KECAM_BACKEND"] = "keras_core"
    sys.modules.setdefault("keras_core", keras)
    sys.modules.setdefault("keras_core.utils", keras.utils)
    import kecam

    return kecam


def own_classes(name: str) -> dict[str, Any]:
    """Imports a subject's library, which registers its classes.

    Returns:
        The classes that it does not register, by name.
    """
    library, model = name.split(maxsplit=1)
    if library == "kecam":
        import_kecam()
    elif library == "keras_hub":
        importlib.import_module(library)
    elif library == "kimm":
        kimm = importlib.import_module(library)
        return {model: getattr(kimm.models, model)}
    return {}


def _kecam(path: str) -> Any:
    module, model = path.split(".")
    return getattr(getattr(import_kecam(), module), model)(
        pretrained=None,
        input_shape=SHAPE,
        num_classes=CLASSES,
        classifier_activation=None,
    )


_APPLICATIONS = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "NASNetMobile",
    "Xception",
    "ConvNeXtTiny",
    "DenseNet121",
    "ResNet50",
)
_KIMM = (
    "MobileNetV3W050Small",
    "TinyNetE",
    "GhostNetW050",
    "LCNet050",
    "MobileViTXXS",
    "InceptionNeXtTiny",
    "RegNetY002",
)
_KECAM = {
    "MobileNetV3Small050": "mobilenetv3.MobileNetV3Small050",
    "GhostNet_050": "ghostnet.GhostNet_050",
    "FasterNetT0": "fasternet.FasterNetT0",
    "RepViT_M09": "repvit.RepViT_M09",
}

# By library and name, for example `keras_hub MiTBackbone`.
SUBJECTS: dict[str, Make] = {
    **{
        f"keras.applications {name}": functools.partial(_application, name)
        for name in _APPLICATIONS
    },
    **{f"keras_hub {name}": make for name, make in hub.MODELS.items()},
    **{f"kimm {name}": functools.partial(_kimm, name) for name in _KIMM},
    **{
        f"kecam {name}": functools.partial(_kecam, path)
        for name, path in _KECAM.items()
    },
    "functional EEGNet": own.eegnet,
    "subclassed classifier": own.Classifier,
    "subclassed GAN": own.Gan,
}
