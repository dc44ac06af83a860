"""Times a user's model: as it is, accelerated, and converted."""

import argparse
import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_sepconv.bench import networks
from keras_sepconv.bench.contest import Settings
from keras_sepconv.bench.report import OWN
from keras_sepconv.tools import accelerate
from keras_sepconv.tools.commands import shared
from keras_sepconv.tools.conversion import comparison
from keras_sepconv.tools.inspection.inputs import known_input
from keras_sepconv.tools.inspection.words import said

_BATCHES = (1, 8)


@dataclasses.dataclass(frozen=True)
class OwnModel:
    """A saved model with a batch.

    Attributes:
        name: The name of the model, with the batch size.
        description: The shape of the batch.
        load: Reads the model from its file. Each case needs a new one, because
            training changes the weights.
        inputs: The batch.
    """

    name: str
    description: str
    load: Callable[[], Any]
    inputs: Any
    suite = OWN
    missing = ()

    def __str__(self) -> str:
        return self.name

    def contest(self, settings: Settings) -> networks.NetworkContest:
        """Returns everything that is run for the case."""
        stock, ours = self.load(), self.load()
        # Files of tf.keras have no seeds, so both models draw their own.
        for one, other in zip(stock.variables, ours.variables, strict=True):
            # A copy, because a training step on JAX deletes its old arrays.
            other.assign(keras.ops.copy(one.value))
        implementation = settings.implementation
        accelerate(ours, implementation=implementation, verify=False)
        models = {"stock": stock, "ours": ours}
        try:
            models["inference"] = networks.folded(stock, implementation)
        except (TypeError, ValueError) as error:
            self._warn("conversion with inference=True", said(error))
        labels, trains = None, False
        if not stock.compiled:
            self._warn("training step", "the model is not compiled; see --loss")
        else:
            try:
                labels = networks.labels(stock, self.inputs)
                networks.step(stock, self.inputs, labels)
                trains = True
            except Exception as error:  # A loss may raise anything.
                self._warn("training step", said(error))
        return networks.NetworkContest(models, self.inputs, labels, trains)

    def _warn(self, what: str, why: str) -> None:
        warnings.warn(f"{self}: no {what} is timed: {why}.", stacklevel=3)


def cases(options: argparse.Namespace) -> list[OwnModel]:
    """Returns a case for each batch size.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file has no model, or the model does not accept such a
            batch.
    """

    def load() -> Any:
        model = shared.load(options, options.model)
        if options.loss is not None:
            model.compile("sgd", options.loss)
        return model

    model = load()
    print(accelerate(model, verify=False))
    first, *_ = keras.tree.flatten(known_input(model)) or [None]
    fixed = None if first is None else first.shape[0]
    batches = options.batch or _BATCHES
    if fixed is not None:
        batches = (fixed,)
        warnings.warn(
            f"The model accepts only batches of {fixed}.", stacklevel=2
        )
    found = []
    for batch in batches:
        try:
            inputs = comparison.sample(model, batch, options.input_shape)
        except comparison.CannotPredictError as error:
            raise ValueError(f"{error.args[0]}. Give --input-shape") from error
        shapes = [array.shape for array in keras.tree.flatten(inputs)]
        text = ", ".join("x".join(map(str, shape)) for shape in shapes)
        found.append(OwnModel(f"{model.name}_b{batch}", text, load, inputs))
    return found
