"""Compiles a model as tf.keras up to 2.15 had compiled it."""

from typing import Any

import keras

from keras_sepconv.tools.legacy.files import array, below, names
from keras_sepconv.tools.legacy.nodes import Node

# Options of tf.keras's optimizers that do not change a step of Keras 3.
_DROPPED = ("is_legacy_optimizer", "jit_compile", "schedule_decay")
# For these metrics the name counts, not the function in the file. `compile`
# chooses the function by the shapes of the outputs, and before training
# tf.keras had to guess.
_ACCURACY = ("acc", "accuracy")
_CROSSENTROPY = ("ce", "crossentropy")
# Names that differ in Keras 3.
_LOSSES = {
    "huber_loss": "huber",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}
_METRICS = {
    "KLD": "KLDivergence",
    "cosine_proximity": "CosineSimilarity",
    "kld": "KLDivergence",
    "kullback_leibler_divergence": "KLDivergence",
    "log_cosh": "LogCoshError",
    "logcosh": "LogCoshError",
}


def compile_alike(model: Any, config: Any, objects: dict[str, Any]) -> None:
    """Compiles `model`.

    Args:
        model: The model.
        config: The optimizer, loss and metrics in the file.
        objects: The `custom_objects` of `keras.models.load_model`.

    Raises:
        Exception: Keras does not understand something in the config.
    """
    with keras.saving.custom_object_scope(objects):
        optimizer = config.get("optimizer_config") or config["optimizer"]
        loss = config.get("loss")
        weights = config.get("loss_weights")
        if len(model.outputs) == 1:
            # Keras 3 does not accept the name of a Sequential's output.
            loss, weights = _lone(loss), _lone(weights)
        metrics = _Metrics(model, loss)
        model.compile(
            optimizer=_optimizer(optimizer),
            loss=_losses(loss),
            metrics=metrics.of(config.get("metrics")),
            weighted_metrics=metrics.of(config.get("weighted_metrics")),
            loss_weights=weights,
        )
    model.optimizer.build(model.trainable_variables)


def renew_optimizer(model: Any, file: Any, objects: dict[str, Any]) -> None:
    """Gives a model that Keras 3 loaded from HDF5 an optimizer that can train.

    Keras 3.6 to 3.15 builds the optimizer without variables (in
    `legacy_h5_format`). So its state is not restored, and it cannot take a
    step.

    Args:
        model: The model, compiled or not.
        file: The HDF5 file of the model.
        objects: The `custom_objects` of `keras.models.load_model`.
    """
    old = getattr(model, "optimizer", None)
    if old is None:
        return
    with keras.saving.custom_object_scope(objects):
        new = keras.optimizers.deserialize(keras.optimizers.serialize(old))
    new.build(model.trainable_variables)
    model.optimizer = new
    if "optimizer_weights" in file:
        group = below(file, "optimizer_weights")
        values = [array(group, path) for path in names(group, "weight_names")]
        shapes = [tuple(variable.shape) for variable in new.variables]
        if [value.shape for value in values] == shapes:
            new.set_weights(values)


def _optimizer(config: Any) -> Any:
    if not isinstance(config, dict):
        return keras.optimizers.get(config)
    options = _options(config)
    if "inner_optimizer" in options:
        # Keras 3 scales the loss itself if the dtype policy needs it.
        return _optimizer(options["inner_optimizer"])
    for key in _DROPPED:
        options.pop(key, None)
    if "lr" in options:
        options["learning_rate"] = options.pop("lr")
    schedule = options.get("learning_rate")
    if isinstance(schedule, dict):
        options["learning_rate"] = _made(
            keras.optimizers.schedules, schedule, _options(schedule)
        )
    _from_before_2_11(config, options)
    return _made(keras.optimizers, config, options)


def _from_before_2_11(config: Node, options: Node) -> None:
    """Translates the options of an older optimizer to those of Keras 3."""
    decay, rate = options.pop("decay", 0), options.get("learning_rate")
    if decay:
        if not isinstance(rate, float):
            raise ValueError("it has a schedule, and `decay` beside it")
        options["learning_rate"] = keras.optimizers.schedules.InverseTimeDecay(
            rate, decay_steps=1, decay_rate=decay
        )
    if options.get("epsilon") is None:
        options.pop("epsilon", None)
    new = "weight_decay" in options or options.get("momentum")
    if str(config["class_name"]).endswith("RMSprop") and not new:
        # It was added to the root; now it is added before the root is taken.
        options["epsilon"] = options.get("epsilon", 1e-7) ** 2


def _losses(config: Any) -> Any:
    """Returns the losses of all outputs, in the form of the file."""
    if isinstance(config, list):
        return [_losses(item) for item in config]
    if _is_named(config):
        return {key: _losses(item) for key, item in config.items()}
    return _loss(config)


def _loss(config: Any) -> Any:
    if not isinstance(config, dict):
        custom = keras.saving.get_registered_object(config)
        # This raises an error for an unknown name; `compile` would not yet.
        return custom or keras.losses.get(_LOSSES.get(config, config))
    if config["class_name"] == "function":
        return _loss(config["config"])
    options = _options(config)
    if options.get("reduction") == "auto":
        options["reduction"] = "sum_over_batch_size"
    function = options.pop("fn", None)
    if config["class_name"] == "LossFunctionWrapper":
        return _loss(function)
    return _made(keras.losses, config, options)


class _Metrics:
    """Makes the metrics of a model, with the names that tf.keras gave them."""

    def __init__(self, model: Any, loss: Any) -> None:
        self._model = model
        self._loss = loss

    def of(self, config: Any) -> Any:
        """Returns the argument of `compile` for the metrics in a file."""
        if config is None:
            return None
        if len(self._model.outputs) == 1:
            config = _lone(config)
            # tf.keras writes a list for each output, even if there is only one.
            if isinstance(config, list) and len(config) == 1:
                config = config[0] if isinstance(config[0], list) else config
            return self._listed(config)
        if _is_named(config):
            return {name: self._listed(config[name], name) for name in config}
        outputs = self._model.output_names
        config = config if isinstance(config, list) else [config]
        if not any(isinstance(item, list) for item in config):
            # In tf.keras the metrics are for every output.
            config = [config] * len(outputs)
        return [
            self._listed(item, output)
            for item, output in zip(config, outputs, strict=True)
        ]

    def _listed(self, config: Any, output: str = "") -> list[Any]:
        items = config if isinstance(config, list) else [config]
        items = [item for item in items if item is not None]
        if output:
            items = [_short(item, output) for item in items]
        return [self._one(item) for item in items]

    def _one(self, config: Any) -> Any:
        if not isinstance(config, dict):
            return self._by_name(config, config, {})
        if config["class_name"] == "function":
            return self._one(config["config"])
        options = _options(config)
        if config["class_name"] not in (
            "MeanMetricWrapper",
            "SumOverBatchSizeMetricWrapper",
        ):
            options.pop("fn", None)
            return _made(keras.metrics, config, options)
        function = options.pop("fn")
        if isinstance(function, dict):
            function = function["config"]
        name = options.pop("name")
        if name in (*_ACCURACY, *_CROSSENTROPY):
            function = name
        return self._by_name(function, name, options)

    def _by_name(self, function: Any, name: Any, options: Node) -> Any:
        """Returns the metric with the name of a function or of a class."""
        if function in _ACCURACY:
            return function
        custom = keras.saving.get_registered_object(function)
        if isinstance(custom, type):
            return custom()
        if custom is not None:
            wrapper = keras.metrics.MeanMetricWrapper
            return wrapper(custom, name=name, **options)
        if function in _CROSSENTROPY:
            function = self._crossentropy()
        metric = keras.metrics.get(_METRICS.get(function, function))
        if name == type(metric).__name__:
            return metric
        return type(metric)(name=name, **options)

    def _crossentropy(self) -> str:
        (output,) = self._model.outputs
        if output.shape[-1] == 1:
            return "binary_crossentropy"
        sparse = "sparse" in str(self._loss).lower()
        return f"{'sparse_' * sparse}categorical_crossentropy"


def _is_named(config: Any) -> bool:
    """Tells whether a dict has the names of outputs, and is not an object."""
    return isinstance(config, dict) and "class_name" not in config


def _lone(config: Any) -> Any:
    """Returns the value for the only output."""
    return next(iter(config.values())) if _is_named(config) else config


def _short(config: Any, output: str) -> Any:
    """Removes the name of the output from a metric; Keras adds it again."""
    if not isinstance(config, dict) or not isinstance(config["config"], dict):
        return config
    options = dict(config["config"])
    while str(options.get("name")).startswith(f"{output}_"):
        options["name"] = options["name"].removeprefix(f"{output}_")
    return {**config, "config": options}


def _made(module: Any, config: Node, options: Node) -> Any:
    """Returns an object of a user's class, or of a class in `module`.

    Raises:
        ValueError: There is no such class.
    """
    for name in (config.get("registered_name"), config["class_name"]):
        custom = name and keras.saving.get_registered_object(name)
        if custom:
            return custom.from_config(options)
    name = str(config["class_name"]).removeprefix("Custom>")
    found: Any = getattr(module, name, None)
    if not hasattr(found, "from_config"):
        raise ValueError(f"Keras 3 has no {name}")
    return found.from_config(options)


def _options(node: Node) -> Node:
    """Returns a copy of a config; Keras 3 does not accept None as a name."""
    config = dict(node["config"])
    if config.get("name", "") is None:
        del config["name"]
    return config
