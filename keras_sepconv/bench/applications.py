"""Times the networks of `keras.applications`, stock and converted."""

import dataclasses
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_sepconv._arguments import APPLICATIONS as SUITE
from keras_sepconv.bench import _openvino, networks
from keras_sepconv.bench.contest import Settings
from keras_sepconv.tools import convert_model


@dataclasses.dataclass(frozen=True)
class Application:
    """A network with random weights.

    Attributes:
        network: Its name in `keras.applications`.
        batch: The number of images.
        side: The number of rows and columns of the images.
        missing: The backends on which Keras cannot build it.
    """

    network: str
    batch: int
    side: int = 224
    missing: tuple[str, ...] = ()
    suite = SUITE

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name in reports, and for `--case`."""
        return f"{self.network.lower()}_b{self.batch}"

    @property
    def description(self) -> str:
        """The full description of the case, for reports."""
        return f"{self.network} {self.batch}x{self.side}x{self.side}x3"

    def contest(self, settings: Settings) -> networks.NetworkContest:
        """Returns everything that is run; with OpenVINO, if it is installed."""
        keras.utils.set_random_seed(0)
        shape = (self.side, self.side, 3)
        stock = getattr(keras.applications, self.network)(
            weights=None, input_shape=shape
        )
        networks.give_signal(stock)
        ours = convert_model(
            stock, verify=False, implementation=settings.implementation
        )
        for model in (stock, ours):
            model.compile(
                keras.optimizers.SGD(0.01),
                "categorical_crossentropy",
                jit_compile=settings.jit_compile or "auto",
            )
        inference = networks.folded(stock, settings.implementation)
        models = {"stock": stock, "ours": ours, "inference": inference}
        rng = np.random.default_rng(0)
        inputs = rng.standard_normal((self.batch, *shape), dtype="float32")
        return networks.NetworkContest(
            models,
            inputs,
            networks.labels(stock, inputs),
            peers=self._peers(stock, inputs),
        )

    def _peers(
        self, stock: Any, inputs: np.ndarray
    ) -> dict[str, Callable[[], np.ndarray]]:
        if not exports() or importlib.util.find_spec("openvino") is None:
            return {}
        try:
            return {"openvino": _openvino.predictor(stock, inputs)}
        except Exception as error:  # It has several kinds of its own.
            last = str(error).strip().splitlines()[-1]
            warnings.warn(f"No OpenVINO for {self}: {last}", stacklevel=2)
            return {}


APPLICATIONS = tuple(
    Application(network, batch, **options)
    for network, options in (
        ("MobileNet", {}),
        ("MobileNetV2", {}),
        ("MobileNetV3Small", {}),
        ("EfficientNetB0", {}),
        ("EfficientNetV2B0", {}),
        ("Xception", {"side": 299}),
        ("NASNetMobile", {"missing": ("torch",)}),
        ("ConvNeXtTiny", {}),
    )
    for batch in (8, 1)
)


def exports() -> bool:
    """Tells whether Keras can export to OpenVINO from the active backend."""
    return keras.backend.backend() in ("tensorflow", "torch")
