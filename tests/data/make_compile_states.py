"""Writes the compile states that tf.keras saves, with results of training.

Run it in an environment with one version of TensorFlow, such as `pip install
tensorflow-cpu==2.4.*`, and then with the next version. Each run adds its cases
to `legacy/compile_states.zip`. The archive in the repository has three
versions: 2.4, the oldest with these formats; 2.10, the last with the old
optimizers; and 2.15.
"""

import json
import os
import pathlib
import tempfile
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import h5py
import numpy as np
import tensorflow as tf

K = tf.keras
VERSION = tuple(int(part) for part in tf.__version__.split(".")[:2])
PATH = pathlib.Path(__file__).parent / "legacy" / "compile_states.zip"
FOLDER = pathlib.Path(tempfile.mkdtemp())
RNG = np.random.RandomState(0)
X = RNG.uniform(-1, 1, (8, 4, 4, 2)).astype("float32")
LABELS = np.arange(8) % 3
TARGETS = {
    "sparse": LABELS,
    "one_hot": np.eye(3, dtype="float32")[LABELS],
    "two": [np.eye(3, dtype="float32")[LABELS], RNG.uniform(size=(8, 2))],
}
WEIGHTS = {}


def one():
    return K.Sequential(
        [
            K.layers.SeparableConv2D(3, 2, input_shape=(4, 4, 2), name="s"),
            K.layers.GlobalAveragePooling2D(name="g"),
            K.layers.Dense(3, activation="softmax", name="d"),
        ],
        name="one",
    )


def two():
    inputs = K.Input((4, 4, 2), name="in")
    x = K.layers.SeparableConv2D(3, 2, name="s")(inputs)
    x = K.layers.GlobalAveragePooling2D(name="g")(x)
    first = K.layers.Dense(3, activation="softmax", name="a")(x)
    second = K.layers.Dense(2, name="b")(x)
    return K.Model(inputs, [first, second], name="two")


def old(name, **options):
    """An optimizer of 2.10 or older."""
    module = getattr(K.optimizers, "legacy", K.optimizers)
    return getattr(module, name)(**options)


def cases():
    """Yields a name, the targets and the arguments of `compile`."""
    losses, metrics, optimizers = K.losses, K.metrics, K.optimizers
    schedules = optimizers.schedules
    yield (
        "loss_object",
        "sparse",
        {
            "optimizer": "sgd",
            "loss": losses.SparseCategoricalCrossentropy(),
            "metrics": ["accuracy"],
        },
    )
    yield (
        "loss_under_a_name",
        "one_hot",
        {
            "optimizer": "adam",
            "loss": {"d": losses.Huber(delta=0.2)},
            "loss_weights": {"d": 0.5},
            "metrics": {"d": ["mse", "cosine_similarity"]},
        },
    )
    yield (
        "old_names",
        "one_hot",
        {
            "optimizer": "adagrad",
            "loss": "kullback_leibler_divergence",
            "metrics": ["kullback_leibler_divergence", "logcosh"],
        },
    )
    yield (
        "metric_objects",
        "one_hot",
        {
            "optimizer": "ftrl",
            "loss": "logcosh",
            "metrics": [
                metrics.AUC(name="area", num_thresholds=20),
                losses.mean_squared_error,
            ],
        },
    )
    yield (
        "decay",
        "one_hot",
        {"optimizer": old("SGD", learning_rate=0.5, decay=0.5), "loss": "mse"},
    )
    yield (
        "epsilon_beside_the_root",
        "one_hot",
        {
            "optimizer": old("RMSprop"),
            "loss": losses.CategoricalCrossentropy(reduction="sum"),
        },
    )
    yield (
        "schedule",
        "one_hot",
        {
            "optimizer": optimizers.SGD(
                schedules.InverseTimeDecay(0.5, 1, 0.5), momentum=0.9
            ),
            "loss": "huber_loss" if VERSION < (2, 6) else "huber",
        },
    )
    yield (
        "scaled_loss",
        "one_hot",
        {
            "optimizer": K.mixed_precision.LossScaleOptimizer(
                optimizers.Adam(0.05)
            ),
            "loss": losses.CategoricalCrossentropy(label_smoothing=0.1),
        },
    )
    yield (
        "two_outputs",
        "two",
        {
            "optimizer": "sgd",
            "loss": ["categorical_crossentropy", losses.MeanSquaredError()],
            "metrics": {"a": ["accuracy"]},
        },
    )
    yield (
        "for_each_output",
        "two",
        {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]},
    )


def fresh(targets):
    K.backend.clear_session()
    make = two if targets == "two" else one
    model = make()
    if make not in WEIGHTS:
        WEIGHTS[make] = [
            RNG.uniform(-0.7, 0.7, w.shape) for w in model.get_weights()
        ]
    model.set_weights(WEIGHTS[make])
    return model


def states(model):
    """Returns the compile state in the files of a compiled model."""
    model.save(FOLDER / "m.h5")
    with h5py.File(FOLDER / "m.h5", "r") as file:
        found = [json.loads(file.attrs["training_config"])]
    if VERSION >= (2, 12):
        model.save(FOLDER / "m.keras")
        with zipfile.ZipFile(FOLDER / "m.keras") as archive:
            config = json.loads(archive.read("config.json"))
        found.append(config["compile_config"])
    return found


def main():
    """Adds this version's cases to the archive."""
    files, rows = {}, []
    if PATH.exists():
        with zipfile.ZipFile(PATH) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        rows = json.loads(files["compile_states.json"])["rows"]
    version = ".".join(map(str, VERSION))
    rows = [row for row in rows if row["version"] != version]
    for name, targets, options in cases():
        model = fresh(targets)
        if VERSION == (2, 4):
            model.save(FOLDER / f"{model.name}.h5", include_optimizer=False)
            content = (FOLDER / f"{model.name}.h5").read_bytes()
            files[f"{model.name}.h5"] = content
        model.compile(**options)
        y = TARGETS[targets]
        evaluated = model.evaluate(X, y, verbose=0, return_dict=True)
        found = states(model)
        for _ in range(2):
            model.train_on_batch(X, y)
        row = {
            "version": version,
            "name": name,
            "model": model.name,
            "targets": targets,
            "evaluated": {k: float(v) for k, v in evaluated.items()},
            "trained": [w.tolist() for w in model.get_weights()],
        }
        rows += [{**row, "state": state} for state in found]
    targets = {
        key: [part.tolist() for part in y] if key == "two" else y.tolist()
        for key, y in TARGETS.items()
    }
    content = {"x": X.tolist(), "targets": targets, "rows": rows}
    files["compile_states.json"] = json.dumps(content)
    with zipfile.ZipFile(PATH, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(name, content)


main()
