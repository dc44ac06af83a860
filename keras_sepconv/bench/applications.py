"""Times the networks of `keras.applications`, stock and converted."""

import dataclasses
import functools
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_sepconv.bench import _openvino
from keras_sepconv.bench.contest import Settings
from keras_sepconv.bench.results import Costs
from keras_sepconv.tools import convert_model
from keras_sepconv.tools._verify import disagreement

SUITE = "applications"

# After a training step, ours may differ from stock Keras by this many times the
# change that one rounding of the inputs and weights causes in stock Keras.
# Every layer rounds.
ROUNDINGS = 8


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


class ApplicationContest:
    """Everything that is run for one network.

    It runs what users run, `predict_on_batch` and `train_on_batch`, with all
    the overhead of Keras. For prediction it also runs the network converted
    with `inference=True`, and OpenVINO with the stock network if it is
    installed.

    Args:
        case: The network.
        settings: How to measure.
    """

    def __init__(self, case: Application, settings: Settings) -> None:
        keras.utils.set_random_seed(0)
        shape = (case.side, case.side, 3)
        stock = getattr(keras.applications, case.network)(
            weights=None, input_shape=shape
        )
        _give_signal(stock)
        self._models = {
            "stock": stock,
            "ours": convert_model(
                stock, verify=False, implementation=settings.implementation
            ),
            "inference": convert_model(
                stock,
                inference=True,
                verify=False,
                implementation=settings.implementation,
            ),
        }
        jit_compile = settings.jit_compile or "auto"
        for name, model in self._models.items():
            if name != "inference":
                model.compile(
                    keras.optimizers.SGD(0.01),
                    "categorical_crossentropy",
                    jit_compile=jit_compile,
                )
            elif settings.jit_compile:
                model.compile(jit_compile=True)
        rng = np.random.default_rng(0)
        self._inputs = rng.standard_normal(
            (case.batch, *shape), dtype="float32"
        )
        labels = rng.integers(0, stock.output_shape[-1], case.batch)
        self._labels = np.eye(stock.output_shape[-1], dtype="float32")[labels]
        self._predict: dict[str, Callable[[], Any]] = {
            name: functools.partial(model.predict_on_batch, self._inputs)
            for name, model in self._models.items()
        }
        if exports() and importlib.util.find_spec("openvino") is not None:
            try:
                predict = _openvino.predictor(stock, self._inputs)
            except Exception as error:  # OpenVINO has its own exceptions.
                last = str(error).strip().splitlines()[-1]
                warnings.warn(f"No OpenVINO for {case}: {last}", stacklevel=2)
            else:
                self._predict["openvino"] = predict

    def runs(self, kind: str) -> dict[str, Callable[[], object]]:
        """Returns the functions to time, by name."""
        if kind == "forward":
            return dict(self._predict)
        return {
            name: functools.partial(
                self._models[name].train_on_batch, self._inputs, self._labels
            )
            for name in ("stock", "ours")
        }

    def costs(self) -> dict[str, Costs]:
        """Returns nothing, because Keras compiles these functions itself."""
        return {}

    def wrong(self) -> list[str]:
        """Compares all with stock Keras, returns errors, and warms all up."""
        values = {name: predict() for name, predict in self._predict.items()}
        wrong = [
            f"{name} predicts something else: {found}"
            for name, value in values.items()
            if (found := disagreement([values["stock"]], [value]))
        ]
        # The change that one rounding causes in a step of stock Keras shows how
        # much rounding matters in a network with random weights.
        expected = self._step("stock")
        moved = self._step("stock", rounded)
        bound = ROUNDINGS * distance(moved, expected)
        far = distance(self._step("ours"), expected)
        if not far <= bound:
            wrong.append(
                f"ours, after a training step, is off by {far:.2g} of the "
                f"step, which rounding explains up to {bound:.2g}"
            )
        return wrong

    def _step(
        self, name: str, change: Callable[[np.ndarray], np.ndarray] = np.array
    ) -> list[np.ndarray]:
        """Returns what a training step adds to the weights; undoes it.

        Args:
            name: The name of the model.
            change: Applied to its inputs and weights before the step.
        """
        model = self._models[name]
        # The variables include the seeds of dropout, but not torch's own seed.
        before = [keras.ops.copy(v.value) for v in model.variables]
        weights = [change(array) for array in model.get_weights()]
        model.set_weights(weights)
        keras.utils.set_random_seed(0)
        model.train_on_batch(change(self._inputs), self._labels)
        after = model.get_weights()
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
        return [a - b for a, b in zip(after, weights, strict=True)]


def rounded(array: np.ndarray) -> np.ndarray:
    """Returns numbers that are changed by one unit of rounding, up or down."""
    if array.dtype != "float32":
        return array
    signs = np.random.default_rng(1).choice([-1, 1], array.shape)
    moved: np.ndarray = array * (1 + 2.0**-23 * signs).astype("float32")
    return moved


def distance(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns the difference of two steps, relative to the expected one."""
    far, size = (
        sum(float(np.sum(np.square(array, dtype="float64"))) for array in step)
        for step in (map(np.subtract, found, expected), expected)
    )
    return float((far / size) ** 0.5)


def _give_signal(model: Any) -> None:
    """Sets random weights with which predictions differ between images.

    With Keras's default weights, all predictions are the same, because Keras
    takes wrong fans for a depthwise kernel. These weights are those of He et
    al. (2015), scaled for what each kernel sums over.
    """
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            axes = -2 if "depthwise" in variable.path else -1
            fan_in = np.prod(variable.shape[:axes])
            values = rng.standard_normal(variable.shape)
            variable.assign(values * np.sqrt(2 / fan_in))
        elif variable.name == "moving_mean":
            variable.assign(0.1 * rng.standard_normal(variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
