"""Compiles a model as tf.keras up to 2.15 had compiled it."""

from typing import Any

import keras

from keras_sepconv.tools.legacy.files import array, below, names

# Of tf.keras's optimizers; none changes a step that Keras 3 makes.
_DROPPED = ("is_legacy_optimizer", "jit_compile")
# Metrics that `compile` chooses by the shapes of the outputs.
_BY_SHAPE = (None, "acc", "accuracy", "ce", "crossentropy")


def compile_alike(model: Any, config: Any, objects: dict[str, Any]) -> None:
    """Compiles `model`.

    Args:
        model: It.
        config: What the file says of it: optimizer, loss and metrics.
        objects: As `keras.models.load_model` takes `custom_objects`.

    Raises:
        Exception: Whatever Keras does not understand there.
    """
    with keras.saving.custom_object_scope(objects):
        optimizer = config.get("optimizer_config") or config["optimizer"]
        model.compile(
            optimizer=_optimizer(optimizer),
            loss=_nested(_loss, config.get("loss")),
            metrics=_metrics(config.get("metrics")),
            weighted_metrics=_metrics(config.get("weighted_metrics")),
            loss_weights=config.get("loss_weights"),
        )
    model.optimizer.build(model.trainable_variables)


def renew_optimizer(model: Any, file: Any, objects: dict[str, Any]) -> None:
    """Gives a model that Keras 3 loaded from HDF5 an optimizer that can train.

    Keras builds it for no variables, and so neither restores its state nor can
    it take a step: `legacy_h5_format` in 3.6 to 3.15.

    Args:
        model: It, compiled or not.
        file: The HDF5 file it is from.
        objects: As `keras.models.load_model` takes `custom_objects`.
    """
    old = getattr(model, "optimizer", None)
    if old is None:
        return
    with keras.saving.custom_object_scope(objects):
        new = keras.optimizers.deserialize(keras.optimizers.serialize(old))
    new.build(model.trainable_variables)
    if len(new.variables) == len(old.variables):
        return
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
    name, options = _bare(config)
    if "inner_optimizer" in options:
        # Keras 3 scales the loss by itself where the policy asks for it.
        return _optimizer(options["inner_optimizer"])
    for key in _DROPPED:
        options.pop(key, None)
    if "lr" in options:
        options["learning_rate"] = options.pop("lr")
    if not options.get("decay"):
        options.pop("decay", None)
    schedule = options.get("learning_rate")
    if isinstance(schedule, dict):
        of, arguments = _bare(schedule)
        options["learning_rate"] = {
            "module": "keras.optimizers.schedules",
            "class_name": of,
            "config": arguments,
        }
    return _made(keras.optimizers, name, options)


def _loss(config: Any) -> Any:
    if isinstance(config, dict) and config["class_name"] == "function":
        config = config["config"]
    if not isinstance(config, dict):
        return _by_name(keras.losses, config)
    name, options = _bare(config)
    if options.get("reduction") == "auto":
        options["reduction"] = "sum_over_batch_size"
    return _made(keras.losses, name, options)


def _metrics(config: Any) -> Any:
    # One list for each output, as tf.keras writes it for a single one too.
    if isinstance(config, list) and len(config) == 1:
        config = config[0] if isinstance(config[0], list) else config
    return _nested(_metric, config)


def _metric(config: Any) -> Any:
    if isinstance(config, dict) and config["class_name"] == "function":
        config = config["config"]
    if not isinstance(config, dict):
        known = config in _BY_SHAPE
        return config if known else _by_name(keras.metrics, config)
    name, options = _bare(config)
    function = options.pop("fn", None)
    if name in ("MeanMetricWrapper", "SumOverBatchSizeMetricWrapper"):
        shown = str(options.get("name"))
        return _metric(shown if shown in _BY_SHAPE else function)
    return _made(keras.metrics, name, options)


def _nested(read: Any, config: Any) -> Any:
    if isinstance(config, list):
        return [_nested(read, item) for item in config]
    if isinstance(config, dict) and "class_name" not in config:
        return {key: _nested(read, item) for key, item in config.items()}
    return read(config)


def _by_name(module: Any, name: Any) -> Any:
    custom = keras.saving.get_registered_object(name)
    if custom is None:
        # Raises for what Keras does not know, which `compile` would not yet.
        module.get(name)
    return name if custom is None else custom


def _made(module: Any, name: str, options: dict[str, Any]) -> Any:
    result = module.deserialize({"class_name": name, "config": options})
    if isinstance(result, (str, dict)):
        # What Keras does not know, it returns as it came.
        raise ValueError(f"Keras knows no {name}")
    return result


def _bare(node: dict[str, Any]) -> tuple[str, Any]:
    """Returns the class and a copy of the config, without the module."""
    name = str(node["class_name"]).split(">")[-1]
    config = node["config"]
    return name, dict(config) if isinstance(config, dict) else {}
