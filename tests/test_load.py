import base64
import io
import json
import marshal
import pathlib
import shutil
import sys
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from backends import HAS_GRADIENTS, array, needs_gradients

import keras_sepconv
from keras_sepconv.tools.legacy import compile as legacy_compile
from keras_sepconv.tools.legacy import files as legacy_files
from keras_sepconv.tools.legacy import operations, reading
from keras_sepconv.tools.legacy import weights as legacy_weights
from keras_sepconv.tools.legacy.config import Rewriter
from keras_sepconv.tools.legacy.files import RefusedError
from keras_sepconv.tools.legacy.load import load_model
from keras_sepconv.tools.legacy.ops import keras_2_hard_sigmoid, layer_for

LEGACY = pathlib.Path(__file__).parent / "data" / "legacy"

WHOLE = {
    "sequential.h5": "sequential",
    "sequential.keras": "sequential",
    "functional.h5": "functional",
    "functional.keras": "functional",
    "causal.h5": "causal",
    "causal.keras": "causal",
    "mixed.keras": "mixed",
    "adapted.h5": "adapted",
    "adapted.keras": "adapted",
    "layout_2_13.keras": "layout_2_13",
}
WEIGHTS = (
    "functional.weights.h5",
    "functional_by_layer.h5",
    "functional.h5",
    "functional.keras",
)
OURS = (
    keras_sepconv.SeparableConv1D,
    keras_sepconv.SeparableConv2D,
    keras_sepconv.DepthwiseConv1D,
    keras_sepconv.DepthwiseConv2D,
)


@pytest.fixture(scope="module")
def legacy(tmp_path_factory):
    """The folder of what tf.keras saved."""
    folder = tmp_path_factory.mktemp("legacy")
    for path in LEGACY.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    return folder


def check_predictions(model, legacy, name):
    expected = {}
    for path in legacy.glob("keras_*.npz"):
        with np.load(path) as arrays:
            expected.update(arrays)
    outputs = array(model(expected[f"{name}_inputs"], training=False))
    wanted = expected[f"{name}_outputs"].astype("float32")
    tolerance = 2e-3 if name == "mixed" else 2e-6
    np.testing.assert_allclose(
        outputs, wanted, atol=tolerance * np.abs(wanted).max(), rtol=0
    )


def quietly(path, **options):
    """Loads without the warnings about what does not exist in Keras 3."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In .*", UserWarning)
        return load_model(path, **options)


@pytest.mark.parametrize("file", WHOLE)
def test_whole_models_predict_what_tf_keras_predicted(legacy, file):
    model = quietly(legacy / file)
    check_predictions(model, legacy, WHOLE[file])
    if WHOLE[file] != "causal":
        assert not any(isinstance(x, OURS) for x in model._flatten_layers())


@pytest.mark.parametrize("file", WEIGHTS)
def test_architecture_and_weights(legacy, file):
    model = load_model(legacy / "functional.json", weights=legacy / file)
    check_predictions(model, legacy, "functional")
    assert not model.compiled


@pytest.mark.parametrize("file", ["functional.keras", "sequential.h5"])
def test_convert(legacy, file):
    model = quietly(legacy / file, convert=True)
    check_predictions(model, legacy, WHOLE[file])
    convolutions = [
        layer
        for layer in model._flatten_layers()
        if type(layer).__name__.startswith(("Separable", "Depthwise"))
    ]
    assert convolutions
    assert all(isinstance(layer, OURS) for layer in convolutions)


@pytest.mark.parametrize("file", ["functional.keras", "functional.h5"])
def test_what_the_layers_were_stays(legacy, file):
    model = load_model(legacy / file)
    inner = model.get_layer("m")
    frozen = [x.name for x in inner.layers if not x.trainable]
    assert len(frozen) == 1
    kind = type(inner.get_layer(frozen[0]))
    assert kind is keras.layers.DepthwiseConv2D
    distributed = model.get_layer("time_distributed")
    assert type(distributed.layer) is keras.layers.SeparableConv2D
    assert type(model.get_layer("shared")) is keras.layers.SeparableConv2D
    assert sum(layer.name == "shared" for layer in model.layers) == 1
    # Keras 3 takes no `/` in a name.
    assert model.get_layer("a_before").built


@pytest.mark.parametrize("file", ["functional.keras", "causal.h5"])
def test_loaded_models_save_and_load_again(legacy, file, tmp_path):
    model = quietly(legacy / file)
    model.save(tmp_path / "again.keras")
    again = load_model(tmp_path / "again.keras")
    check_predictions(again, legacy, WHOLE[file])


def test_what_has_no_version_is_old(legacy, tmp_path):
    path = tmp_path / "m.h5"
    shutil.copy(legacy / "sequential.h5", path)
    with h5py.File(path, "r+") as file:
        del file.attrs["keras_version"]
    check_predictions(load_model(path, compile=False), legacy, "sequential")


def test_what_windows_wrote(legacy, tmp_path):
    path = tmp_path / "m.keras"
    with (
        zipfile.ZipFile(legacy / "functional.keras") as old,
        zipfile.ZipFile(path, "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "model.weights.h5":
                content = with_backslashes(content)
            new.writestr(name, content)
    check_predictions(quietly(path), legacy, "functional")


def with_backslashes(content):
    result = io.BytesIO()
    with (
        h5py.File(io.BytesIO(content)) as old,
        h5py.File(result, "w") as new,
    ):

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                layer, index = name.split("/vars/")
                layer = layer.replace("/", "\\")
                new[f"{layer}/vars/{index}"] = item[()]

        old.visititems(copy)
    return result.getvalue()


def test_the_name_does_not_matter(legacy, tmp_path):
    # tf.keras before 2.12 wrote HDF5 into `.keras` files.
    for name in ("model.keras", "model", "model.bin"):
        path = str(tmp_path / name)
        shutil.copy(legacy / "functional.h5", path)
        check_predictions(load_model(path), legacy, "functional")


def test_mixed_precision(legacy):
    model = load_model(legacy / "mixed.keras")
    policies = [layer.dtype_policy.name for layer in model.layers]
    assert policies == ["float32", "mixed_float16", "float32"]


@pytest.mark.parametrize("file", ["causal.h5", "causal.keras"])
def test_causal_padding_is_ours_and_said(legacy, file):
    words = r"layer 'separable_conv1d' has padding='causal'.*SeparableConv1D"
    with pytest.warns(UserWarning, match=words) as found:
        model = load_model(legacy / file)
    assert found[0].filename == __file__
    assert isinstance(model.layers[0], keras_sepconv.SeparableConv1D)
    assert model.layers[0].padding == "causal"


# Compile state.


@pytest.mark.parametrize("file", ["sequential.h5", "sequential.keras"])
def test_compiled_as_it_was(legacy, file):
    with pytest.warns(UserWarning, match="optimizer's state"):
        model = load_model(legacy / file)
    assert model.compiled
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    if HAS_GRADIENTS:
        x, y = np.zeros((4, 6, 6, 2), "float32"), np.array([0, 1, 2, 0])
        model.fit(x, y, verbose=0)
        assert "accuracy" in model.evaluate(x, y, verbose=0, return_dict=True)


@pytest.mark.parametrize("file", ["sequential.h5", "sequential.keras"])
def test_not_compiled(legacy, file):
    assert not load_model(legacy / file, compile=False).compiled


def with_training(legacy, folder, **changes):
    """Returns a copy of a model's file with another compile state."""
    path = folder / "changed.h5"
    shutil.copy(legacy / "sequential.h5", path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["training_config"])
        file.attrs["training_config"] = json.dumps({**config, **changes})
    return path


def my_loss(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), -1)


UNIT = {"class_name": "Custom>SGD", "config": {"lr": 0.5, "decay": 0.0}}


@pytest.mark.parametrize(
    ("changes", "optimizer"),
    [
        (
            {
                "loss": {
                    "class_name": "CategoricalCrossentropy",
                    "config": {"reduction": "auto", "from_logits": True},
                },
                "metrics": ["accuracy", {"class_name": "AUC", "config": {}}],
            },
            "adam",
        ),
        ({"loss": "my_loss", "metrics": None}, "adam"),
        ({"optimizer_config": UNIT}, "sgd"),
        (
            {
                "optimizer_config": {
                    "class_name": "LossScaleOptimizer",
                    "config": {"inner_optimizer": UNIT, "dynamic": True},
                }
            },
            "sgd",
        ),
        (
            {
                "optimizer_config": {
                    "class_name": "Custom>RMSprop",
                    "config": {
                        "learning_rate": {
                            "class_name": "ExponentialDecay",
                            "config": {
                                "initial_learning_rate": 0.1,
                                "decay_steps": 10,
                                "decay_rate": 0.5,
                                "staircase": False,
                                "name": None,
                            },
                        }
                    },
                }
            },
            "rmsprop",
        ),
    ],
)
def test_compile_states(legacy, tmp_path, changes, optimizer):
    path = with_training(legacy, tmp_path, **changes)
    with pytest.warns(UserWarning, match="optimizer's state"):
        model = load_model(path, custom_objects={"my_loss": my_loss})
    assert model.compiled
    assert type(model.optimizer).__name__.lower() == optimizer
    rate = {"adam": 0.01, "sgd": 0.5, "rmsprop": 0.1}[optimizer]
    assert float(model.optimizer.learning_rate) == pytest.approx(rate)


def node(class_name, **config):
    return {"class_name": class_name, "config": config}


class TheirLoss(keras.losses.MeanSquaredError):
    pass


class OurLoss(keras.losses.MeanSquaredError):
    pass


class TheirMetric(keras.metrics.MeanSquaredError):
    pass


def compiled(outputs=("a",), objects=None, **config):
    """Returns a model that is compiled by the state in a file."""
    x = keras.Input((2,))
    units = {"a": 3, "b": 3, "one": 1}
    dense = [keras.layers.Dense(units[name], name=name) for name in outputs]
    model = keras.Model(x, [layer(x) for layer in dense])
    config = {"optimizer": "sgd", "loss": "mse", **config}
    legacy_compile.compile_alike(model, config, objects or {})
    return model


def wrapped(name, function):
    return node("MeanMetricWrapper", name=name, fn=function, dtype="float32")


def metrics_of(model):
    """Returns the names and classes of a compiled model's metrics."""
    size = {"a": 3, "b": 3, "one": 1}
    y = [np.zeros((2, size[name]), "float32") for name in model.output_names]
    if "sparse" in str(model.loss).lower():
        y = [np.zeros((2, 1), "int32")]
    x = np.zeros((2, 2), "float32")
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    metrics = model._compile_metrics
    return set(found) - {"loss"}, {type(m).__name__ for m in metrics.metrics}


SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("outputs", "loss", "metric", "name", "kind"),
    [
        (["a"], "mse", "KLD", "KLD", "KLDivergence"),
        (["a"], "mse", "kld", "kld", "KLDivergence"),
        (["a"], "mse", "log_cosh", "log_cosh", "LogCoshError"),
        (["a"], "mse", "logcosh", "logcosh", "LogCoshError"),
        (
            ["a"],
            "mse",
            "kullback_leibler_divergence",
            "kullback_leibler_divergence",
            "KLDivergence",
        ),
        (
            ["a"],
            "mse",
            "cosine_proximity",
            "cosine_proximity",
            "CosineSimilarity",
        ),
        (["a"], "mse", "ce", "ce", "CategoricalCrossentropy"),
        (["a"], SPARSE, "ce", "ce", "SparseCategoricalCrossentropy"),
        (
            ["a"],
            node("SparseCategoricalCrossentropy", reduction="auto"),
            "ce",
            "ce",
            "SparseCategoricalCrossentropy",
        ),
        (["one"], "mse", "crossentropy", "crossentropy", "BinaryCrossentropy"),
        # What tf.keras wrote for the name is a guess.
        (
            ["one"],
            "mse",
            wrapped("ce", "categorical_crossentropy"),
            "ce",
            "BinaryCrossentropy",
        ),
        (["a"], "mse", wrapped("acc", "x"), "acc", "CategoricalAccuracy"),
        (["a"], "mse", wrapped("mine", "mae"), "mine", "MeanAbsoluteError"),
        (
            ["a"],
            "mse",
            wrapped("mine", node("function") | {"config": "mae"}),
            "mine",
            "MeanAbsoluteError",
        ),
        (
            ["a"],
            "mse",
            node("SumOverBatchSizeMetricWrapper", name="m", fn="mse"),
            "m",
            "MeanSquaredError",
        ),
        (["a"], "mse", "MeanSquaredError", None, "MeanSquaredError"),
        (
            ["a"],
            "mse",
            node("MeanSquaredError", name="m", fn="mse"),
            "m",
            "MeanSquaredError",
        ),
        (
            ["a"],
            "mse",
            wrapped("mine", "my_loss"),
            "mine",
            "MeanMetricWrapper",
        ),
    ],
)
def test_names_of_metrics(outputs, loss, metric, name, kind):
    model = compiled(outputs, {"my_loss": my_loss}, loss=loss, metrics=[metric])
    names, kinds = metrics_of(model)
    assert names == {name or "mean_squared_error"}
    assert kinds == {kind}


def test_losses_and_metrics_by_the_names_of_outputs():
    both = ["a", "b"]
    model = compiled(
        both,
        loss={"a": "mse", "b": "mae"},
        loss_weights={"a": 1.0, "b": 0.5},
        metrics={"a": "mae", "b": [wrapped("b_b_mse", "mse"), None]},
    )
    assert set(model.loss) == {"a", "b"}
    assert model.loss["b"] is keras.losses.mean_absolute_error
    names, kinds = metrics_of(model)
    assert names >= {"a_mae", "b_mse"}
    assert kinds == {"MeanAbsoluteError", "MeanSquaredError"}
    names, _ = metrics_of(compiled(both, metrics="mae"))
    assert names >= {"a_mae", "b_mae"}


def test_crossentropy_is_chosen_by_the_last_axis():
    x = keras.Input((1, 2))
    model = keras.Model(x, keras.layers.Dense(3)(x))
    config = {"optimizer": "sgd", "loss": "mse", "metrics": ["ce"]}
    legacy_compile.compile_alike(model, config, {})
    model.evaluate(np.zeros((2, 1, 2)), np.zeros((2, 1, 3)), verbose=0)
    (metric,) = model._compile_metrics.metrics
    assert type(metric) is keras.metrics.CategoricalCrossentropy


def test_metrics_that_keras_3_does_not_have():
    with pytest.raises(ValueError, match="Keras 3 has no NoSuch"):
        compiled(metrics=[node("NoSuch")])


def test_losses_of_users_and_old_names():
    objects = {"TheirLoss": TheirLoss, "my>TheirLoss": OurLoss}
    old = node("TheirLoss", name=None)
    assert type(compiled(objects=objects, loss=old).loss) is TheirLoss
    # The name with the package comes first.
    full = {**old, "registered_name": "my>TheirLoss"}
    assert type(compiled(objects=objects, loss=full).loss) is OurLoss
    mean = compiled(objects={"my_mean": TheirMetric}, metrics=["my_mean"])
    assert metrics_of(mean)[1] == {"TheirMetric"}
    for name, wanted in {
        "huber_loss": keras.losses.huber,
        "kullback_leibler_divergence": keras.losses.kl_divergence,
        "logcosh": keras.losses.log_cosh,
    }.items():
        for loss in (name, node("LossFunctionWrapper", fn=name)):
            assert compiled(loss=loss).loss is wanted
        assert compiled(loss=[name]).loss == [wanted]


@pytest.mark.parametrize("key", ["jit_compile", "schedule_decay"])
def test_options_of_optimizers_without_an_effect(key):
    options = {"learning_rate": 0.5, key: False, "is_legacy_optimizer": True}
    model = compiled(optimizer=node("Nadam", **options, epsilon=None))
    assert isinstance(model.optimizer, keras.optimizers.Nadam)
    assert model.optimizer.epsilon == 1e-7


@pytest.mark.parametrize(
    ("options", "epsilon"),
    [
        ({}, 1e-14),
        ({"epsilon": 0.1}, 0.01),
        ({"epsilon": 0.1, "momentum": 0.9}, 0.1),
        ({"epsilon": 0.1, "weight_decay": None}, 0.1),
    ],
)
def test_epsilon_of_rmsprop(options, epsilon):
    model = compiled(optimizer=node("RMSprop", **options))
    assert model.optimizer.epsilon == pytest.approx(epsilon)


def test_a_decay_of_the_rate_is_a_schedule():
    model = compiled(optimizer=node("SGD", learning_rate=0.5, decay=0.25))
    for step, wanted in ((0, 0.5), (1, 0.4), (4, 0.25)):
        model.optimizer.iterations.assign(step)
        found = float(array(model.optimizer.learning_rate))
        assert found == pytest.approx(wanted)
    assert model.optimizer.built


def test_losses_in_all_their_forms():
    wrapper = {"class_name": "function", "config": "mae"}
    wanted = keras.losses.mean_absolute_error
    assert compiled(loss=wrapper).loss is wanted
    assert compiled(loss={"a": wrapper}).loss is wanted
    for reduction, kept in (("sum", "sum"), ("auto", "sum_over_batch_size")):
        options = {"reduction": reduction, "fn": "unused"}
        loss = compiled(loss=node("MeanSquaredError", **options)).loss
        assert loss.reduction == kept


def measured(outputs, **config):
    """Returns what a model of ones measures, for targets of zeros."""
    model = compiled(outputs, **config)
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    x, y = np.ones((2, 2), "float32"), [np.zeros((2, 3))] * len(outputs)
    return model.evaluate(x, y, verbose=0, return_dict=True)


def test_losses_and_metrics_with_weights():
    """The outputs are 3, so the mean error is 3 and the squared one 9."""
    one = measured(
        ["a"],
        loss={"a": "mse"},
        loss_weights={"a": 0.5},
        metrics={"a": ["mae"]},
        weighted_metrics=["mse"],
    )
    assert one == pytest.approx({"loss": 4.5, "mae": 3.0, "mse": 9.0})
    two = measured(
        ["a", "b"],
        loss=["mse", "mae"],
        loss_weights=[0.5, 2.0],
        metrics=[["mae"], ["mse"]],
    )
    assert two["loss"] == pytest.approx(0.5 * 9 + 2 * 3)
    assert (two["a_mae"], two["b_mse"]) == pytest.approx((3.0, 9.0))
    assert not {"a_mse", "b_mae"} & set(two)


@pytest.mark.parametrize(
    "metrics", [["mae", "mse"], [["mae", "mse"]], {"a": ["mae", "mse"]}]
)
def test_metrics_of_one_output(metrics):
    found = measured(["a"], metrics=metrics)
    assert found == pytest.approx({"loss": 9.0, "mae": 3.0, "mse": 9.0})


def test_no_metrics():
    assert measured(["a"], metrics=[]) == pytest.approx({"loss": 9.0})


def test_metrics_of_all_outputs():
    for metrics in (["mae"], "mae"):
        found = measured(["a", "b"], metrics=metrics)
        assert {"a_mae", "b_mae"} < set(found)


def test_options_of_metrics_are_kept():
    for function in ("mae", "my_loss"):
        config = node(
            "MeanMetricWrapper", name="m", fn=function, dtype="float16"
        )
        model = compiled(objects={"my_loss": my_loss}, metrics=[config])
        metrics_of(model)
        (metric,) = model._compile_metrics.metrics
        assert (metric.name, metric.dtype) == ("m", "float16")


def test_the_state_of_another_optimizer_is_not_taken(tmp_path):
    model = stock_model()
    model.compile("adam", keras.losses.MeanSquaredError())
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(7)
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        attributes = file["optimizer_weights"].attrs
        attributes["weight_names"] = attributes["weight_names"][:-1]
    loaded = load_model(tmp_path / "model.h5")
    assert int(array(loaded.optimizer.iterations)) == 0


def test_a_decay_beside_a_schedule_is_refused():
    rate = node(
        "ExponentialDecay",
        initial_learning_rate=0.1,
        decay_steps=10,
        decay_rate=0.5,
    )
    with pytest.raises(ValueError, match="`decay` beside it"):
        compiled(optimizer=node("SGD", learning_rate=rate, decay=0.1))


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "no_such_loss"},
        {"metrics": [{"class_name": "NoSuchMetric", "config": {}}]},
        {"optimizer_config": {"class_name": "Custom>NoSuch", "config": {}}},
        {"optimizer_config": 3},
    ],
)
def test_strange_compile_state_leaves_the_model_uncompiled(
    legacy, tmp_path, changes
):
    path = with_training(legacy, tmp_path, **changes)
    with pytest.warns(UserWarning, match="the model is not compiled"):
        model = load_model(path)
    assert not model.compiled
    check_predictions(model, legacy, "sequential")


with zipfile.ZipFile(LEGACY / "compile_states.zip") as file:
    STATES = json.loads(file.read("compile_states.json"))


@pytest.mark.parametrize(
    "row",
    STATES["rows"],
    ids=lambda row: f"{row['name']}-{row['version']}",
)
def test_evaluates_and_trains_as_tf_keras_did(legacy, tmp_path, row):
    path = tmp_path / "m.h5"
    shutil.copy(legacy / f"{row['model']}.h5", path)
    with h5py.File(path, "r+") as file:
        file.attrs["training_config"] = json.dumps(row["state"])
    with pytest.warns(UserWarning, match="optimizer's state"):
        model = load_model(path)
    x = np.array(STATES["x"], "float32")
    y = STATES["targets"][row["targets"]]
    y = [np.array(p) for p in y] if row["targets"] == "two" else np.array(y)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found == pytest.approx(row["evaluated"], rel=1e-5, abs=1e-6)
    if HAS_GRADIENTS:
        for _ in range(2):
            model.train_on_batch(x, y)
        for value, wanted in zip(model.weights, row["trained"], strict=True):
            np.testing.assert_allclose(array(value), wanted, atol=5e-6)


# Models of Keras 3.


def stock_model():
    return keras.Sequential(
        [keras.Input((5, 5, 2)), keras.layers.SeparableConv2D(3, 3)]
    )


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "folder"])
def test_what_keras_3_wrote_goes_to_keras(tmp_path, name):
    model = stock_model()
    model.compile("adam", keras.losses.MeanSquaredError())
    path = tmp_path / name
    # Keras warns where a file's optimizer has no state.
    model.optimizer.build(model.trainable_variables)
    if name == "folder":
        keras.saving.save_model(model, path, zipped=False)
    else:
        model.save(path)
    loaded = load_model(path)
    assert loaded.compiled
    for value, wanted in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(array(value), array(wanted))
    assert type(loaded.layers[0]) is keras.layers.SeparableConv2D
    assert not load_model(path, compile=False).compiled
    converted = load_model(str(path), convert=True)
    assert type(converted.layers[0]) is keras_sepconv.SeparableConv2D


@needs_gradients
def test_training_goes_on_after_hdf5_of_keras_3(tmp_path):
    model = stock_model()
    model.compile("adam", keras.losses.MeanSquaredError())
    x, y = np.ones((2, 5, 5, 2)), np.ones((2, 3, 3, 3))
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    assert float(array(loaded.optimizer.iterations)) == 1
    for trained in (model, loaded):
        trained.fit(x, y, verbose=0)
    for value, wanted in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_allclose(array(value), array(wanted), rtol=1e-5)


def test_metrics_by_name_in_hdf5_of_keras_3(tmp_path):
    model = stock_model()
    model.compile("adam", "mse", metrics=["mae", "accuracy"])
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(7)
    model.save(tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    x, y = np.ones((2, 5, 5, 2)), np.ones((2, 3, 3, 3))
    wanted = model.evaluate(x, y, verbose=0, return_dict=True)
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == wanted
    assert int(array(loaded.optimizer.iterations)) == 7


def test_code_in_what_keras_3_wrote(tmp_path, rng):
    model = stock_of(keras.layers.Lambda(lambda x: 3 * x))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="Received: filepath="):
        load_model(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", safe_mode=False)
    same(loaded, lambda x: 3 * x, rng)


def test_an_optimizer_of_a_user_in_hdf5_of_keras_3(tmp_path):
    class Their(keras.optimizers.SGD):
        pass

    model = stock_model()
    model.compile(Their(0.5), keras.losses.MeanSquaredError())
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.h5")
    objects = {"Their": Their}
    loaded = load_model(tmp_path / "model.h5", custom_objects=objects)
    assert type(loaded.optimizer) is Their
    assert loaded.optimizer.built


def test_an_unknown_loss_in_what_keras_3_wrote(tmp_path):
    model = stock_model()
    model.compile("adam", my_loss)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match=r"not compiled: .*my_loss"):
        loaded = load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    loaded = load_model(
        tmp_path / "model.keras", custom_objects={"my_loss": my_loss}
    )
    assert loaded.compiled


def test_architecture_of_keras_3(tmp_path):
    model = stock_model()
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = load_model(
        tmp_path / "model.json", weights=tmp_path / "model.weights.h5"
    )
    for value, wanted in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(array(value), array(wanted))


# Configs that are not in the files that tf.keras saved; they are made here.


SEPARABLE = node(
    "SeparableConv2D",
    name="separable",
    filters=2,
    kernel_size=[3, 3],
    groups=1,
    kernel_initializer=None,
)
INPUT = node("InputLayer", name="in", batch_input_shape=[None, 5, 5, 2])


def sequential(*layers):
    return node("Sequential", name="s", layers=list(layers))


def load_config(folder, config, stock=None, **options):
    """Loads a config of tf.keras with the weights of `stock`."""
    (folder / "m.json").write_text(
        json.dumps({"keras_version": "2.15.0", **config})
    )
    stock = stock or stock_model()
    stock.save_weights(folder / "m.weights.h5")
    return load_model(
        folder / "m.json", weights=folder / "m.weights.h5", **options
    )


def stock_of(*layers):
    return keras.Sequential([keras.Input((5, 5, 2)), *layers])


def same(model, stock, rng):
    x = rng.normal(size=(2, 5, 5, 2)).astype("float32")
    np.testing.assert_allclose(
        array(model(x)), array(stock(x)), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("layer", "stock"),
    [
        (
            node("LayerScale", init_values=1e-6, projection_dim=2),
            lambda: keras.layers.EinsumDense("abcd,d->abcd", (None, None, 2)),
        ),
        (
            node("ThresholdedReLU", theta=0.5),
            lambda: keras.layers.ReLU(threshold=0.5),
        ),
        (
            node("LeakyReLU", alpha=0.5),
            lambda: keras.layers.LeakyReLU(negative_slope=0.5),
        ),
        (
            node("BatchNormalizationV1", axis=[3], fused=True, renorm=False),
            lambda: keras.layers.BatchNormalization(axis=3),
        ),
        (
            node("DepthwiseConv2D", kernel_size=[2, 2], groups=2),
            lambda: keras.layers.DepthwiseConv2D(2),
        ),
        (
            node("Conv2DTranspose", filters=2, kernel_size=[2, 2], groups=1),
            lambda: keras.layers.Conv2DTranspose(2, 2),
        ),
        (
            node("SpatialDropout2D", rate=0.2, trainable=True),
            lambda: keras.layers.SpatialDropout2D(0.2),
        ),
        (
            node(
                "Conv2D",
                filters=2,
                kernel_size=1,
                kernel_initializer=node(
                    "VarianceScaling", distribution="normal", dtype="float32"
                ),
                dtype=node("Policy", name="float32"),
            ),
            lambda: keras.layers.Conv2D(2, 1),
        ),
    ],
    ids=lambda x: x["class_name"] if isinstance(x, dict) else "",
)
def test_layers_around(tmp_path, rng, layer, stock):
    model = stock_of(keras.layers.SeparableConv2D(2, 3), stock())
    loaded = load_config(tmp_path, sequential(INPUT, SEPARABLE, layer), model)
    same(loaded, model, rng)
    assert len(loaded.layers) == 2


def test_recurrent_layers(tmp_path, rng):
    layer = node("ConvLSTM2D", filters=2, kernel_size=[2, 2], time_major=False)
    model = stock_of(
        keras.layers.Reshape((5, 5, 2, 1)), keras.layers.ConvLSTM2D(2, 2)
    )
    reshape = node("Reshape", target_shape=[5, 5, 2, 1])
    loaded = load_config(tmp_path, sequential(INPUT, reshape, layer), model)
    for value, wanted in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(array(value), array(wanted))


def test_a_sequential_without_an_input_layer(tmp_path, rng):
    model = stock_of(keras.layers.SeparableConv2D(2, 3))
    first = node(
        "SeparableConv2D",
        **{**SEPARABLE["config"], "batch_input_shape": [None, 5, 5, 2]},
    )
    same(load_config(tmp_path, sequential(first), model), model, rng)
    # As Keras 2.0 to 2.2 wrote it.
    old = {"class_name": "Sequential", "config": [first]}
    same(load_config(tmp_path, old, model), model, rng)


@pytest.mark.parametrize("outer", ["Sequential", "Functional"])
def test_a_list_of_layers_inside_another_model(tmp_path, rng, outer):
    # As Keras before 2.2.3 wrote it.
    model = stock_of(keras.layers.SeparableConv2D(2, 3), keras.layers.ReLU())
    first = node(
        "SeparableConv2D",
        **{**SEPARABLE["config"], "batch_input_shape": [None, 5, 5, 2]},
    )
    inner = {"class_name": "Sequential", "config": [first]}
    relu = node("ReLU", name="r")
    if outer == "Sequential":
        config = {"class_name": "Sequential", "config": [inner, relu]}
    else:
        layers = [
            {**INPUT, "name": "in", "inbound_nodes": []},
            {**inner, "name": "m", "inbound_nodes": [[["in", 0, 0, {}]]]},
            {**relu, "name": "r", "inbound_nodes": [[["m", 1, 0, {}]]]},
        ]
        config = node(
            "Model",
            name="f",
            layers=layers,
            input_layers=[["in", 0, 0]],
            output_layers=[["r", 0, 0]],
        )
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.2.2"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["m"]
        weights = {w.path: array(w) for w in model.weights}
        group.create_group("m").attrs["weight_names"] = list(weights)
        for name, value in weights.items():
            group["m"][name] = value
    loaded = load_model(path)
    same(loaded, model, rng)
    assert outer == "Sequential" or loaded.get_layer("m")


class Tolerant(keras.layers.SeparableConv2D):
    def __init__(self, groups=1, kernel_initializer=None, **options):
        self.groups = groups
        super().__init__(**options)

    def build_from_config(self, config):
        self.built_from = config
        super().build_from_config(config)


def doubled(x):
    return 2 * x


def test_custom_objects_come_first(tmp_path):
    shape = {"input_shape": [None, 5, 5, 2]}
    layer = {
        **SEPARABLE,
        "registered_name": "my>SeparableConv2D",
        "build_config": shape,
        # Keras 3 would compile what it makes by this.
        "compile_config": {"optimizer": "sgd"},
    }
    # The name with the package comes first.
    for objects in (
        {"SeparableConv2D": Tolerant},
        {"my>SeparableConv2D": Tolerant, "SeparableConv2D": keras.layers.ReLU},
    ):
        model = load_config(
            tmp_path,
            sequential(INPUT, layer),
            stock_of(keras.layers.SeparableConv2D(2, 3)),
            custom_objects=objects,
        )
        assert isinstance(model.layers[0], Tolerant)
        assert model.layers[0].groups == 1
        assert model.layers[0].built_from == shape


class OurOnes(keras.initializers.Ones):
    pass


def layer_of(layer, objects=None):
    """Returns the layer of Keras 3 for a node of tf.keras."""
    made = Rewriter(objects or {}, safe_mode=True).layer(layer)
    return keras.saving.deserialize_keras_object(made, objects)


def test_objects_in_layers():
    normal = node("VarianceScaling", scale=3.0, distribution="normal")
    for key, value, wanted in (
        ("kernel_initializer", normal, {"distribution": "truncated_normal"}),
        ("kernel_initializer", normal, {"scale": 3.0}),
        ("kernel_regularizer", node("L2", l2=0.5), {"l2": 0.5}),
        ("kernel_constraint", node("MaxNorm", max_value=7), {"max_value": 7}),
    ):
        layer = layer_of(node("Dense", units=2, **{key: value}))
        config = getattr(layer, key).get_config()
        assert wanted.items() <= config.items()
    # An old function in each argument of that kind.
    layer = layer_of(node("LSTM", units=2, recurrent_activation="hard_sigmoid"))
    assert layer.recurrent_activation is keras_2_hard_sigmoid
    layer = layer_of(node("LayerNormalization", axis=[1, 2]))
    assert list(layer.axis) == [1, 2]
    # The name with the package comes first.
    objects = {"my>Ones": OurOnes, "Ones": keras.initializers.Zeros}
    ones = {**node("Ones"), "registered_name": "my>Ones"}
    layer = layer_of(node("Dense", units=2, kernel_initializer=ones), objects)
    assert type(layer.kernel_initializer) is OurOnes
    tanh = node("function") | {"config": "tanh"}
    layer = layer_of(node("Dense", units=2, activation=tanh))
    assert layer.activation is keras.activations.tanh
    for kind in ("__tuple__", "TensorShape"):
        size = {"class_name": kind, "items": [2, 3]}
        assert layer_of(node("Reshape", target_shape=size)).target_shape == (
            2,
            3,
        )
    # A layer that becomes another one is still called so.
    scale = node("LayerScale", name="s", init_values=1.0, projection_dim=2)
    assert layer_of(scale).name == "s"
    # Other layers keep their causal padding.
    causal = node("Conv1D", filters=2, kernel_size=3, padding="causal")
    assert type(layer_of(causal)) is keras.layers.Conv1D
    for name, wanted in (
        ("float16", "float16"),
        ("_infer", "float32"),
        ("infer", "float32"),
    ):
        layer = layer_of(node("ReLU", dtype=node("PolicyV1", name=name)))
        assert layer.dtype_policy.name == wanted


@pytest.mark.parametrize(
    "layer",
    [
        node("Discretization", bin_boundaries=[0.5], trainable=True),
        # Keras 3 warns of it.
        node("Embedding", input_dim=3, output_dim=2, input_length=4),
        node(
            "MultiHeadAttention",
            num_heads=1,
            key_dim=2,
            query_shape=None,
            key_shape=None,
            value_shape=None,
        ),
        node("SpatialDropout1D", rate=0.5, noise_shape=None, trainable=True),
        node("SpatialDropout3D", rate=0.5, noise_shape=None, trainable=True),
        node("Conv1DTranspose", filters=2, kernel_size=2, groups=2),
        node("Conv3DTranspose", filters=2, kernel_size=2, groups=2),
        node("SeparableConv1D", filters=2, kernel_size=2, groups=2),
        node("DepthwiseConv1D", kernel_size=2, kernel_constraint=None),
        node("ReLU", input_dtype="float32", batch_input_shape=[None, 2]),
    ],
    ids=lambda layer: layer["class_name"],
)
def test_arguments_that_keras_3_does_not_take(layer):
    wanted = getattr(keras.layers, layer["class_name"])
    assert type(layer_of(layer)) is wanted


def test_arguments_that_must_be_neutral():
    for key, neutral, other in (
        ("dynamic", False, True),
        ("ragged", False, True),
        ("renorm", False, True),
        ("time_major", False, True),
        ("type_spec", None, "x"),
        ("virtual_batch_size", None, 4),
    ):
        assert type(layer_of(node("ReLU", **{key: neutral})))
        with pytest.raises(RefusedError, match=f"has a `{key}`"):
            layer_of(node("ReLU", **{key: other}))


def test_data_in_a_config_is_for_keras():
    kinds = ("bytes", "ellipsis", "numpy", "slice", "tensor")
    for kind in kinds:
        data = {"class_name": f"__{kind}__", "config": {"value": [1]}}
        made = Rewriter({}, safe_mode=True).layer(node("ReLU", data=data))
        assert made["config"]["data"] == data


def test_layers_that_run_code_are_refused():
    for name in ("TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer"):
        with pytest.raises(RefusedError, match=f"layer {name}, which runs"):
            layer_of(node(name))


def test_owners_and_packages_of_keras():
    for module in ("builtins", "keras.layers", "tensorflow", "tf_keras"):
        for package in ("", "keras>", "Keras>"):
            name = f"{package}ReLU"
            layer = {**node("ReLU"), "module": module, "registered_name": name}
            assert type(layer_of(layer)) is keras.layers.ReLU


@pytest.mark.parametrize(
    "activation",
    [
        "doubled",
        {"class_name": "function", "module": "builtins", "config": "doubled"},
    ],
)
def test_custom_functions(tmp_path, activation):
    layers = [
        node("Activation", activation=activation),
        node("Lambda", function=activation, function_type="function"),
    ]
    model = load_config(
        tmp_path,
        sequential(INPUT, SEPARABLE, *layers),
        stock_of(keras.layers.SeparableConv2D(2, 3)),
        custom_objects={"doubled": doubled},
    )
    assert model.layers[1].activation is doubled
    assert model.layers[2].function is doubled


def functional(*layers, outputs):
    return node(
        "Functional",
        name="f",
        layers=[{**layer, "name": layer["config"]["name"]} for layer in layers],
        input_layers=[["in", 0, 0]],
        output_layers=[[*outputs, 0, 0]],
    )


def test_each_call_of_a_nested_model(tmp_path, rng):
    inner = functional(
        {**INPUT, "inbound_nodes": []},
        {**SEPARABLE, "inbound_nodes": [[["in", 0, 0, {}]]]},
        outputs=["separable"],
    )
    inner["config"]["name"] = "m"
    config = functional(
        {**INPUT, "inbound_nodes": []},
        {**node("ReLU", name="r"), "inbound_nodes": [[["in", 0, 0, {}]]]},
        {
            **inner,
            "inbound_nodes": [[[name, 0, 0, {}]] for name in ("in", "r", "in")],
        },
        outputs=["m"],
    )
    # tf.keras counts making the model as its first call.
    config["config"]["output_layers"] = [["m", i, 0] for i in (1, 2, 3)]
    stock = stock_of(keras.layers.SeparableConv2D(2, 3))
    outer = keras.Input((5, 5, 2))
    nested = keras.Model(stock.inputs, stock.outputs)
    model = load_config(tmp_path, config, keras.Model(outer, nested(outer)))
    x = rng.normal(size=(2, 5, 5, 2)).astype("float32")
    for output, y in zip(model(x), (x, np.maximum(x, 0), x), strict=True):
        np.testing.assert_allclose(
            array(output), array(stock(y)), rtol=1e-5, atol=1e-5
        )


def test_a_graph_has_the_form_and_the_calls_of_the_file(tmp_path, rng):
    """A call before those of the graph was of another model."""
    config = functional(
        {**INPUT, "inbound_nodes": []},
        {**SEPARABLE, "inbound_nodes": [[["in", 0, 0, {}]]]},
        {
            **node("ReLU", name="r"),
            "inbound_nodes": [[["separable", 3, 0, {}]]],
        },
        outputs=["r"],
    )
    config["config"]["output_layers"] = [["r", 2, 0]]
    # A user's class of models may write more.
    config["config"]["dtype"] = "float32"
    conv = keras.layers.SeparableConv2D(2, 3)
    stock = stock_of(conv, keras.layers.ReLU())
    model = load_config(tmp_path, config, stock)
    assert not isinstance(model.output, list)
    same(model, stock, rng)


def test_a_frozen_model_and_names_with_slashes(tmp_path, rng):
    config = functional(
        {**INPUT, "inbound_nodes": []},
        {**SEPARABLE, "inbound_nodes": [[["in", 0, 0, {}]]]},
        {**node("ReLU", name="a/r"), "inbound_nodes": [[["separable", 0, 0]]]},
        outputs=["a/r"],
    )
    config["config"]["trainable"] = False
    conv = keras.layers.SeparableConv2D(2, 3)
    stock = stock_of(conv, keras.layers.ReLU())
    model = load_config(tmp_path, config, stock)
    same(model, stock, rng)
    assert model.layers[-1].name == "a_r"
    assert not model.trainable


def test_a_sequential_that_only_says_its_shape(tmp_path, rng):
    model = stock_of(keras.layers.SeparableConv2D(2, 3))
    config = sequential(SEPARABLE)
    config["build_config"] = {"input_shape": [None, 5, 5, 2]}
    same(load_config(tmp_path, config, model), model, rng)


def operation(function, *inbound):
    return {
        **node("TFOpLambda", name="op", function=function),
        "inbound_nodes": list(inbound),
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def selu(x):
    scaled = 1.6732632423543772 * np.expm1(np.minimum(x, 0))
    return 1.0507009873554805 * (np.maximum(x, 0) + scaled)


ACTIVATIONS = {
    "math.sigmoid": sigmoid,
    "math.softplus": lambda x: np.log1p(np.exp(x)),
    "math.tanh": np.tanh,
    "nn.elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "nn.relu6": lambda x: np.clip(x, 0, 6),
    "nn.selu": selu,
    "nn.sigmoid": sigmoid,
    "nn.silu": lambda x: x * sigmoid(x),
    "nn.swish": lambda x: x * sigmoid(x),
    "nn.tanh": np.tanh,
}


@pytest.mark.parametrize(
    ("function", "inbound", "wanted"),
    [
        ("math.add", ["in", 0, 0, {"y": 2.0}], lambda x: x + 2),
        ("math.subtract", ["in", 0, 0, {"y": 2}], lambda x: x - 2),
        (
            "__operators__.sub",
            ["in", 0, 0, {"y": ["in", 0, 0]}],
            lambda x: 0 * x,
        ),
        ("math.multiply", ["in", 0, 0, {"y": ["in", 0, 0]}], lambda x: x * x),
        ("math.truediv", ["in", 0, 0, {"y": 4.0}], lambda x: x / 4),
        (
            "math.subtract",
            ["_CONSTANT_VALUE", -1, 3.0, {"y": ["in", 0, 0]}],
            lambda x: 3 - x,
        ),
        ("math.multiply", ["in", 0, 0, {"y": 3.0}], lambda x: x * 3),
        ("math.add", ["in", 0, 0, {"y": True}], lambda x: x + 1),
        *(
            (
                f"math.{name}",
                ["_CONSTANT_VALUE", -1, 3.0, {"y": ["in", 0, 0]}],
                function,
            )
            for name, function in (
                ("add", lambda x: 3 + x),
                ("multiply", lambda x: 3 * x),
                ("truediv", lambda x: 3 / x),
            )
        ),
        ("math.divide", ["in", 0, 0, {"y": 4.0}], lambda x: x / 4),
        ("math.truediv", ["in", 0, 0, {"y": 0.0}], lambda x: np.sign(x) / 0.0),
        ("nn.relu", ["in", 0, 0, {"name": None}], lambda x: np.maximum(x, 0)),
        *(
            (name, ["in", 0, 0, {}], function)
            for name, function in ACTIVATIONS.items()
        ),
    ],
)
@np.errstate(divide="ignore")
def test_operations(tmp_path, rng, function, inbound, wanted):
    config = functional(
        {**INPUT, "inbound_nodes": []},
        operation(function, inbound),
        outputs=["op"],
    )
    stock = stock_of(keras.layers.ReLU())
    x = rng.normal(size=(2, 5, 5, 2)).astype("float32")
    model = load_config(tmp_path, config, stock)
    np.testing.assert_allclose(array(model(x)), wanted(x), rtol=1e-5, atol=1e-6)


def test_arithmetic_becomes_a_layer_of_keras():
    tensor = {"class_name": "__keras_tensor__"}
    for name, both, number in (
        ("add", "Add", "Rescaling"),
        ("multiply", "Multiply", "Rescaling"),
        ("subtract", "Subtract", "Rescaling"),
        ("truediv", "Lambda", "Rescaling"),
    ):
        for y, wanted in ((tensor, both), (2.0, number)):
            found, _ = layer_for("op", f"math.{name}", tensor, {"y": y})
            assert found["class_name"] == wanted


def unit(x, axis):
    return x / np.sqrt(np.sum(x**2, axis=axis, keepdims=True))


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        (
            "split",
            {"num_or_size_splits": [1, 2, 1], "axis": 2},
            lambda x: np.split(x, [1, 3], 2),
        ),
        ("split", {"num_or_size_splits": 2}, lambda x: np.split(x, 2)),
        ("leaky_relu", {}, lambda x: np.where(x > 0, x, 0.2 * x)),
        (
            "matmul",
            {"y": np.ones((3, 2), "float32"), "transpose_a": True},
            lambda x: np.swapaxes(x, 1, 2) @ np.ones((3, 2)),
        ),
        ("stack", {}, np.stack),
        ("transpose", {}, np.transpose),
        ("transpose", {"perm": [0, 2, 1]}, lambda x: x.swapaxes(1, 2)),
        ("l2_normalize", {}, lambda x: unit(x, None)),
        ("l2_normalize", {"axis": [1, 2]}, lambda x: unit(x, (1, 2))),
        (
            "l2_normalize",
            {"axis": -1, "epsilon": 1e9},
            lambda x: x / np.sqrt(1e9),
        ),
        ("reduce_prod", {}, np.prod),
        (
            "reduce_prod",
            {"axis": [0, 2], "keepdims": True},
            lambda x: np.prod(x, axis=(0, 2), keepdims=True),
        ),
        (
            "pad",
            {"paddings": [[0, 0], [1, 0], [0, 2]]},
            lambda x: np.pad(x, [[0, 0], [1, 0], [0, 2]]),
        ),
        (
            "pad",
            {"paddings": [[0, 0], [2, 0], [0, 2]], "mode": "SYMMETRIC"},
            lambda x: np.pad(x, [[0, 0], [2, 0], [0, 2]], "symmetric"),
        ),
        (
            "gelu",
            {"approximate": True},
            lambda x: (
                0.5
                * x
                * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
            ),
        ),
        (
            "clip_by_value",
            {"clip_value_min": -0.5, "clip_value_max": 0.2},
            lambda x: np.clip(x, -0.5, 0.2),
        ),
        ("pow", {"y": 2.0}, lambda x: x**2),
        ("pow", {"x": 2.0}, lambda x: 2**x),
        ("squared_difference", {"y": 2.0}, lambda x: (x - 2) ** 2),
    ],
)
def test_arguments_of_operations(rng, name, arguments, wanted):
    x = rng.normal(size=(2, 3, 4)).astype("float32")
    tensor = keras.ops.convert_to_tensor(x)
    found = operations.tensorflow_operation(tensor, name, **arguments)
    for value, expected in zip(
        found if name == "split" else [found],
        wanted(x) if name == "split" else [wanted(x)],
        strict=True,
    ):
        assert value.shape == expected.shape
        np.testing.assert_allclose(array(value), expected, rtol=1e-5, atol=1e-6)


def test_names_of_operations():
    for name, short in (
        ("compat.v1.math.sub", "subtract"),
        ("__operators__.mul", "multiply"),
        ("math.divide", "truediv"),
        ("linalg.matmul", "matmul"),
        ("nn.softmax", "softmax"),
        # It samples other positions.
        ("compat.v1.image.resize", "compat.v1.image.resize"),
    ):
        assert operations.short_name(name) == short


def test_values_of_arguments_of_operations():
    for mode in ("CONSTANT", "REFLECT", "SYMMETRIC"):
        assert operations.not_taken("pad", {"mode": mode}) == []
    for method in ("bilinear", "nearest"):
        assert operations.not_taken("image.resize", {"method": method}) == []
    assert operations.not_taken("pad", {"mode": "x", "to": 1}) == ["mode", "to"]


def test_the_hard_sigmoid_of_keras_2():
    found = keras_2_hard_sigmoid(np.array([-9.0, -1, 0, 1, 9], "float32"))
    np.testing.assert_allclose(array(found), [0, 0.3, 0.5, 0.7, 1], rtol=1e-6)


def test_operations_compute_what_tensorflow_computed(legacy, tmp_path):
    with np.load(legacy / "operations.npz") as arrays:
        x, *wanted = (arrays[name] for name in arrays.files)
    # NumPy finds the shapes with whatever numbers are in the memory.
    with np.errstate(all="ignore"):
        model = load_model(legacy / "operations.h5", compile=False)
        model.save(tmp_path / "again.keras")
        again = keras.models.load_model(tmp_path / "again.keras")
    for found in (model, again):
        for value, expected in zip(found(x), wanted, strict=True):
            assert value.shape == expected.shape
            np.testing.assert_allclose(
                array(value), expected, rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (node("SeparableConv2D", filters=2, kernel_size=3), "not a model"),
        (
            sequential(INPUT, node("Theirs>ReLU", name="x")),
            "Pass custom_objects={'Theirs>ReLU': <the class>}",
        ),
        (
            sequential(INPUT, {**node("ReLU", name="x"), "module": "theirs"}),
            "a class of its own",
        ),
        (
            sequential(
                INPUT, {**node("ReLU"), "registered_name": "Theirs>ReLU"}
            ),
            "a class of its own",
        ),
        (sequential(INPUT, node("Lambda", function="relu")), "not Keras's"),
        (
            functional(
                {**INPUT, "inbound_nodes": []},
                operation("math.no_such", ["in", 0, 0, {}]),
                outputs=["op"],
            ),
            "'math.no_such', for which Keras 3 has no layer",
        ),
        (
            functional(
                {**INPUT, "inbound_nodes": []},
                operation("nn.silu", ["in", 0, 0, {"beta": 2.0}]),
                outputs=["op"],
            ),
            "'nn.silu', for which Keras 3 has no layer",
        ),
        (
            functional(
                {**INPUT, "inbound_nodes": []},
                operation("math.abs", ["in", 0, 0, {"y": 2.0}]),
                outputs=["op"],
            ),
            "'math.abs with y', for which Keras 3 has no layer",
        ),
        (
            functional(
                {**INPUT, "inbound_nodes": []},
                operation("math.reduce_max", ["in", 0, 0, {"initial": 2.0}]),
                outputs=["op"],
            ),
            "'math.reduce_max with initial', for which Keras 3 has no layer",
        ),
        (
            functional(
                {**INPUT, "inbound_nodes": []},
                operation(
                    "clip_by_value",
                    ["in", 0, 0, {"clip_value_min": ["in", 0, 0]}],
                ),
                outputs=["op"],
            ),
            "'clip_by_value with a tensor for clip_value_min', for which",
        ),
        (
            functional(
                {**INPUT, "inbound_nodes": []},
                operation("math.abs", *[["in", 0, 0, {}]] * 2),
                outputs=["op"],
            ),
            "its layer 'op' has several calls",
        ),
        (sequential(INPUT, node("NoSuch", name="x")), "'x' is a NoSuch"),
        (
            sequential(INPUT, node("LocallyConnected2D", name="x")),
            "Keras 3 does not have",
        ),
        (
            sequential(INPUT, node("LSTM", name="x", units=1, time_major=True)),
            "`time_major`",
        ),
        (sequential(INPUT, node("Dense", units="many")), "many"),
        (sequential(SEPARABLE), "no input shape"),
        (node("Model", name="x"), "subclassed"),
        (
            sequential(INPUT, node("Activation", activation=node("NoSuch"))),
            "NoSuch",
        ),
        (
            sequential(
                INPUT,
                node(
                    "Dense",
                    units=2,
                    activation=node("function") | {"config": "theirs"},
                ),
            ),
            "its `activation` is a function 'theirs', which is not Keras's",
        ),
        (
            sequential(INPUT, node("ReLU", kernel_initializer=node("No"))),
            "`kernel_initializer` is a No",
        ),
        (
            functional(
                {**INPUT, "inbound_nodes": []},
                operation(
                    "image.resize",
                    ["in", 0, 0, {"size": [2, 2], "method": "lanczos3"}],
                ),
                outputs=["op"],
            ),
            "'image.resize with method'",
        ),
        (
            functional(
                {**INPUT, "inbound_nodes": []},
                {
                    **node("ReLU", name="a"),
                    "inbound_nodes": [[["b", 0, 0, {}]]],
                },
                {
                    **node("ReLU", name="b"),
                    "inbound_nodes": [[["a", 0, 0, {}]]],
                },
                outputs=["a"],
            ),
            "loops or calls that nothing feeds, at layer 'a'",
        ),
        (functional(INPUT, outputs=["nobody"]), "outputs"),
        (node("Sequential", layers=[3]), ""),
        (node("Functional", layers={}, input_layers=1, output_layers=2), ""),
    ],
)
def test_configs_that_do_not_load(tmp_path, config, message):
    with pytest.raises(ValueError, match=r"filepath='.*m\.json'") as error:
        load_config(tmp_path, config)
    assert message in str(error.value)
    assert len(str(error.value)) < 800


# Files that may be malicious.


def read_no_code(monkeypatch):
    """Makes reading bytecode fail, except when Python imports modules."""
    plain = marshal.loads

    def loads(*args, **kwargs):
        caller = sys._getframe(1).f_code.co_filename
        assert caller.startswith("<frozen importlib"), "bytecode was read"
        return plain(*args, **kwargs)

    monkeypatch.setattr(marshal, "loads", loads)


@pytest.mark.parametrize("file", ["lambda.h5", "lambda.keras"])
def test_code_in_a_file_is_refused(legacy, file, monkeypatch):
    read_no_code(monkeypatch)
    with pytest.raises(ValueError, match=r"is a Lambda.*safe_mode=False"):
        load_model(legacy / file)


@pytest.mark.parametrize("file", ["lambda.h5", "lambda.keras"])
def test_a_function_in_place_of_a_lambda(legacy, file, monkeypatch, rng):
    read_no_code(monkeypatch)
    model = load_model(legacy / file, {"lambda": lambda x: 3 * x})
    x = rng.normal(size=(1, 3, 3, 1)).astype("float32")
    np.testing.assert_allclose(
        array(model(x)), 3 * array(model.layers[0](x)), rtol=1e-6
    )
    assert model.layers[-1].name == "lambda"


def test_what_else_a_lambda_is_stays():
    old = {
        "name": "mine",
        "trainable": False,
        "dtype": "float16",
        "arguments": {"factor": 3},
    }
    layer = node("Lambda", function=["YQ==", None, None], **old)
    made = layer_of(layer, {"mine": lambda x, factor: factor * x})
    assert (made.name, made.trainable) == ("mine", False)
    assert made.dtype_policy.name == "float16"
    assert made.arguments == {"factor": 3}
    assert float(array(made(np.ones(())))) == 3


# An unknown kind of object, one that ends early, and none at all.
@pytest.mark.parametrize("code", [b"\xff\0", b"\xe3\0", b""])
def test_code_of_another_python(tmp_path, code):
    code = base64.b64encode(code).decode()
    layer = node("Lambda", name="l", function=[code, None, None])
    with pytest.raises(
        ValueError, match=r"another version of Python.*function"
    ):
        load_config(tmp_path, sequential(INPUT, layer), safe_mode=False)


def test_code_of_a_file_that_is_trusted(legacy, rng):
    model = load_model(legacy / "lambda.h5", safe_mode=False)
    x = rng.normal(size=(1, 3, 3, 1)).astype("float32")
    np.testing.assert_allclose(
        array(model(x)), 2 * array(model.layers[0](x)), rtol=1e-6
    )


@pytest.mark.parametrize("is_list", [True, False])
def test_a_lambda_with_defaults(tmp_path, rng, is_list):
    def scaled(x, factor=3):
        return factor * x

    code = base64.b64encode(marshal.dumps(scaled.__code__)).decode()
    function = [code, [3], None]
    if not is_list:
        keys = ("code", "defaults", "closure")
        function = node("__lambda__", **dict(zip(keys, function, strict=True)))
    layer = node("Lambda", name="l", function=function)
    stock = stock_of(keras.layers.SeparableConv2D(2, 3))
    config = sequential(INPUT, SEPARABLE, layer)
    model = load_config(tmp_path, config, stock, safe_mode=False)
    same(model, lambda x: 3 * stock(x), rng)


@pytest.mark.parametrize(
    "layer",
    [
        node("Lambda", function="eval", function_type="function"),
        node("Lambda", function=["YQ==", None, None], function_type="lambda"),
        node("Lambda", function=node("__lambda__", code="YQ==")),
        node("Activation", activation=node("__lambda__", code="YQ==")),
        node(
            "Activation",
            activation={
                "module": "builtins",
                "class_name": "function",
                "config": "eval",
            },
        ),
        node("Activation", activation="eval"),
        {**node("Popen", args="ls"), "module": "subprocess"},
        {**node("Popen", args="ls"), "registered_name": "subprocess>Popen"},
        node("TFSMLayer", filepath="x"),
        {**node("get_file", origin="x"), "module": "keras.utils"},
    ],
)
def test_code_that_a_file_names_is_refused(tmp_path, layer):
    with pytest.raises(ValueError, match="Received: filepath="):
        load_config(tmp_path, sequential(INPUT, layer))


def test_code_is_refused_before_keras_sees_it():
    code = node("__lambda__", code="YQ==")
    for key in ("activation", "kernel_initializer"):
        with pytest.raises(RefusedError, match=f"Python code as `{key}`"):
            layer_of(node("Dense", units=2, **{key: code}))


def write_zip(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)


def archive_with(folder, **members):
    path = folder / "model.keras"
    write_zip(path, **members)
    return path


def truncated(path, folder, part):
    content = path.read_bytes()
    result = folder / path.name
    result.write_bytes(content[: int(len(content) * part)])
    return result


def written(folder, name, content):
    (folder / name).write_bytes(content)
    return folder / name


OLD = b'{"keras_version": "2.15.0"}'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f, _: written(f, "m.h5", b""), "empty"),
        (lambda f, _: written(f, "m.keras", PNG), "neither"),
        (lambda f, _: written(f, "m.h5", b"some words"), "neither"),
        (lambda f, _: written(f, "m.json", b'{"a": '), "not JSON"),
        (lambda f, _: written(f, "m.json", b'{"a": 1}'), "no model's"),
        (
            lambda f, _: written(f, "m.json", b'\xef\xbb\xbf{"a": 1}'),
            "no model's",
        ),
        (lambda f, _: written(f, "m.json", b"[1]"), "not a JSON object"),
        (lambda f, _: written(f, "m.json", b"[" * 99999), "not JSON"),
        (lambda f, _: written(f, "m.json", b'{"\xff": 1}'), "not JSON"),
        (
            lambda f, _: written(f, "m.h5", bytes(range(256)) * 9),
            "neither",
        ),
        (lambda f, x: truncated(x / "causal.keras", f, 0.6), "whole zip"),
        (lambda f, x: truncated(x / "causal.h5", f, 0.6), "whole HDF5"),
        (lambda f, x: truncated(x / "causal.h5", f, 0.01), "whole HDF5"),
        (lambda f, x: x / "functional.weights.h5", "`model_config`"),
        (lambda f, x: x / "functional_by_layer.h5", "`model_config`"),
        (lambda f, x: x / "keras_2_15.npz", "`config.json`"),
        (lambda f, _: archive_with(f, metadata__json=OLD), "`config.json`"),
        (
            lambda f, _: archive_with(
                f, metadata__json=b"?", config__json="{}"
            ),
            "`metadata.json` is not JSON",
        ),
        (
            lambda f, _: archive_with(f, metadata__json=OLD, config__json="3"),
            "not a JSON object",
        ),
        (
            lambda f, _: archive_with(
                f,
                metadata__json=OLD,
                config__json="{}",
                model__weights__h5=b"",
            ),
            "class_name",
        ),
        (lambda f, _: archive_with(f, config__json="{}"), "has no weights"),
        (
            lambda f, _: archive_with(
                f,
                metadata__json=OLD,
                config__json=json.dumps(sequential(INPUT, SEPARABLE)),
            ),
            "model.weights.h5",
        ),
    ],
)
def test_files_that_are_no_models(legacy, tmp_path, make, message):
    path = make(tmp_path, legacy)
    with pytest.raises(ValueError, match=r"must be a model's file") as error:
        load_model(path)
    assert message in str(error.value)
    assert str(error.value).endswith(f"Received: filepath={str(path)!r}")
    assert len(str(error.value)) < 800


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:/x", "..\\x"])
def test_members_that_point_outside(tmp_path, name):
    path = archive_with(tmp_path, config__json="{}", **{name: b""})
    with pytest.raises(ValueError, match="points outside"):
        load_model(path)


def test_how_much_a_file_may_grow():
    floor = 1 << 28
    assert not legacy_files._is_bomb(floor, 0)
    assert legacy_files._is_bomb(floor + 1, 0)
    assert not legacy_files._is_bomb(100 * floor, floor)
    assert legacy_files._is_bomb(100 * floor + 1, floor)


def test_lists_of_names_in_pieces(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        assert legacy_files.names(file, "x") == []
        file.attrs["x"] = [b"0"]
        assert legacy_files.names(file, "x") == ["0"]
        for i in range(3):
            file.attrs[f"y{i}"] = [b"%d" % i, b"z"]
        assert legacy_files.names(file, "y") == ["0", "z", "1", "z", "2", "z"]


def test_members_that_grow(tmp_path):
    path = archive_with(tmp_path, config__json="{}", a=bytes((1 << 28) + 1))
    with pytest.raises(ValueError, match="has a member of 268435457 bytes"):
        load_model(path)


def changed(legacy, folder, change):
    path = folder / "changed.h5"
    shutil.copy(legacy / "causal.h5", path)
    with h5py.File(path, "r+") as file:
        change(file["model_weights"])
    return path


def first(weights):
    group = weights["separable_conv1d"]
    return group, group.attrs["weight_names"][0]


def link(to):
    def change(weights):
        group, name = first(weights)
        del group[name]
        group[name] = to

    return change


def swap(**options):
    def change(weights):
        group, name = first(weights)
        del group[name]
        group.create_dataset(name, **options)

    return change


def virtual(weights):
    group, name = first(weights)
    del group[name]
    group.create_virtual_dataset(name, h5py.VirtualLayout((3, 2, 1), "f4"))


def shorten(weights):
    group, _ = first(weights)
    group.attrs["weight_names"] = group.attrs["weight_names"][:2]


def remove(weights):
    del weights["separable_conv1d"]


def rename(weights):
    weights.attrs["layer_names"] = ["nobody"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (link(h5py.ExternalLink("/etc/passwd", "/x")), "link"),
        (link(h5py.SoftLink("/elsewhere")), "link"),
        (
            swap(shape=(3, 2, 1), dtype="f4", external=[("other", 0, 24)]),
            "another file",
        ),
        (swap(shape=(1 << 13, 1 << 14), dtype="f4", chunks=True), "far fewer"),
        (swap(data=np.zeros((3, 2, 2), "f4")), "has the shape (3, 2, 1)"),
        (swap(data="words"), "no numbers"),
        (virtual, "another file"),
        (shorten, "has 3 weights, and the file 2"),
        (remove, "lack"),
        (rename, "lack 'nobody'"),
    ],
)
def test_weights_that_are_not_the_model_s(legacy, tmp_path, change, message):
    path = changed(legacy, tmp_path, change)
    with pytest.raises(ValueError, match="Received: filepath=") as error:
        load_model(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("causal.h5", "layers with weights"),
        ("causal.keras", "no weights for layer"),
        ("layout_2_13.keras", "has the shape (3, 3, 3, 1)"),
        ("functional.json", "weights are in an HDF5"),
        ("keras_2_15.npz", "`config.json`"),
    ],
)
def test_weights_of_another_model(legacy, file, message):
    with pytest.raises(ValueError, match="Received: weights=") as error:
        load_model(legacy / "functional.json", weights=legacy / file)
    assert message in str(error.value)


def test_more_weights_than_the_model_has(tmp_path):
    stock = stock_of(
        keras.layers.SeparableConv2D(2, 3), keras.layers.SeparableConv2D(2, 3)
    )
    with pytest.raises(ValueError, match="file 6, of which 3 fit"):
        load_config(tmp_path, sequential(INPUT, SEPARABLE), stock)


def by_layer(**layers):
    """Returns a file of tf.keras with the weights of some layers."""
    file = h5py.File(io.BytesIO(), "w")
    file.attrs["layer_names"] = list(layers)
    for layer, values in layers.items():
        group = file.create_group(layer)
        group.attrs["weight_names"] = [f"w{i}" for i in range(len(values))]
        for i, value in enumerate(values):
            group[f"w{i}"] = value
    return file


def dense_model(*names):
    layers = [keras.layers.Dense(1, use_bias=False, name=n) for n in names]
    return keras.Sequential([keras.Input((1,)), *layers])


def test_more_weights_than_a_layer_has():
    file = h5py.File(io.BytesIO(), "w")
    for i in range(2):
        file[f"layers/dense/vars/{i}"] = [[1.0]]
    with pytest.raises(RefusedError, match="weights of layer 'a' do not fit"):
        legacy_weights.load(dense_model("a"), legacy_weights.Order({}), file)


def test_layers_are_found_by_name_or_else_by_their_order():
    order = legacy_weights.Order({})
    for stored, wanted in (("ba", [2, 1]), ("xy", [1, 2])):
        values = {n: [[[i]]] for n, i in zip(stored, (1.0, 2.0), strict=True)}
        model = dense_model("a", "b")
        legacy_weights.load(model, order, by_layer(none=[], **values))
        assert [float(array(w)[0, 0]) for w in model.weights] == wanted


def test_only_layers_are_listed():
    """A layer of a user may have an argument with the name `layers`."""
    own = node("Own", name="own", layers=[8, {"units": 8}])
    order = legacy_weights.Order(sequential(own, node("Dense", name="a")))
    model = dense_model("a")
    model.name = "s"
    assert order.layers(model) == [(model.layers[0], "Dense")]


def test_a_long_list_of_layers_is_in_pieces(legacy, tmp_path):
    path = tmp_path / "pieces.h5"
    shutil.copy(legacy / "functional.h5", path)
    with h5py.File(path, "r+") as file:
        attributes = file["model_weights"].attrs
        names = list(attributes["layer_names"])
        del attributes["layer_names"]
        attributes["layer_names0"] = names[:2]
        attributes["layer_names1"] = names[2:]
    check_predictions(load_model(path), legacy, "functional")


def test_layers_without_any_weights_in_the_file(tmp_path):
    stock = stock_of(keras.layers.SeparableConv2D(2, 3))
    stock.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as file:
        (layer,) = file["layers"].values()
        for key in list(layer["vars"]):
            del layer["vars"][key]
    stock.save_weights = lambda path: shutil.copy(
        tmp_path / "w.weights.h5", path
    )
    with pytest.raises(ValueError, match="has 3 weights, and the file 0, of"):
        load_config(tmp_path, sequential(INPUT, SEPARABLE), stock)


def test_cells_in_a_list(tmp_path):
    cells = [keras.layers.LSTMCell(2), keras.layers.GRUCell(3)]
    stock = stock_of(
        keras.layers.Reshape((5, 10)), keras.layers.RNN(cells, name="rnn")
    )
    listed = [node(type(cell).__name__, units=cell.units) for cell in cells]
    loaded = load_config(
        tmp_path,
        sequential(
            INPUT,
            node("Reshape", target_shape=[5, 10]),
            node("RNN", cell=node("StackedRNNCells", cells=listed)),
        ),
        stock,
    )
    for value, wanted in zip(loaded.weights, stock.weights, strict=True):
        np.testing.assert_array_equal(array(value), array(wanted))


def test_weights_that_two_models_hold_are_listed_once():
    shared = keras.layers.Dense(1, name="shared")
    parts = [
        keras.Sequential([keras.Input((1,)), shared], name=n) for n in "mn"
    ]
    whole = keras.Sequential([keras.Input((1,)), *parts])
    found, other = legacy_weights._split(whole, legacy_weights.Order({}))
    assert [id(one) for one in found] == [id(one) for one in shared.weights]
    assert other == []


def test_a_normalization_inside_computes_with_its_new_weights():
    layer = keras.layers.Normalization(name="norm")
    inner = keras.Sequential([keras.Input((2,)), layer], name="inner")
    model = keras.Sequential([keras.Input((2,)), inner])
    values = [np.array([1.0, 2.0]), np.array([4.0, 9.0]), np.int32(3)]
    config = sequential(node("Normalization", name="norm"))
    config["config"]["name"] = "inner"
    order = legacy_weights.Order(config)
    legacy_weights.load(model, order, by_layer(inner=values))
    found = array(model(np.array([[3.0, 8.0]], "float32")))
    np.testing.assert_allclose(found, [[1.0, 2.0]], rtol=1e-6)


def test_more_than_ten_layers_of_a_class(tmp_path):
    # HDF5 lists the tenth before the second.
    many = [node("BatchNormalization", name=f"n{i}") for i in range(12)]
    stock = stock_of(*[keras.layers.BatchNormalization() for _ in many])
    for i, value in enumerate(stock.weights):
        value.assign(np.full(value.shape, i))
    model = load_config(tmp_path, sequential(INPUT, *many), stock)
    for i, value in enumerate(model.weights):
        assert (array(value) == i).all()


def test_trainable_weights_of_nested_models_come_first(tmp_path):
    norms = [
        node("BatchNormalization", name=name, batch_input_shape=[None, 5, 5, 2])
        for name in "abc"
    ]
    config = sequential(norms[0])
    for name, norm in zip("mn", norms[1:], strict=True):
        config["config"]["name"] = name
        config = sequential(config, norm)
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["n", "c"]
        # gamma and beta of all layers, then means and variances.
        for name, keys in {
            "n": ["a0", "a1", "b0", "b1", "a2", "a3", "b2", "b3"],
            "c": ["c0", "c1", "c2", "c3"],
        }.items():
            inside = group.create_group(name)
            inside.attrs["weight_names"] = keys
            for key in keys:
                inside[key] = np.full(2, int(key, 16))
    model = load_model(path)
    nested = model.layers[0]
    layers = [*nested.layers[0].layers, nested.layers[1], model.layers[1]]
    for layer, name in zip(layers, "abc", strict=True):
        for i, value in enumerate(layer.weights):
            assert (array(value) == int(f"{name}{i}", 16)).all()


def test_nested_models_have_the_order_of_the_file():
    dense = [keras.layers.Dense(1, name=name) for name in "ab"]
    nested = keras.Sequential([keras.Input((1,)), *dense], name="m")
    config = sequential(*[node("Dense", name=name) for name in "ba"])
    config["config"]["name"] = "m"
    order = legacy_weights.Order(sequential(config))
    trainable, _ = legacy_weights._split(nested, order)
    wanted = [*dense[1].weights, *dense[0].weights]
    assert list(map(id, trainable)) == list(map(id, wanted))


@pytest.mark.parametrize(
    "named", [{"module": "keras"}, {"keras_version": None}]
)
def test_what_shows_that_an_architecture_is_old(tmp_path, named):
    config = {**sequential(INPUT, SEPARABLE), **named}
    stock = stock_of(keras.layers.SeparableConv2D(2, 3))
    assert load_config(tmp_path, config, stock).layers


def test_weights_that_hold_nothing(legacy, tmp_path):
    path = tmp_path / "empty.h5"
    h5py.File(path, "w").close()
    with pytest.raises(ValueError, match="no weights of Keras"):
        load_model(legacy / "functional.json", weights=path)


def test_what_custom_objects_are():
    with pytest.raises(TypeError, match=r"`custom_objects` must be .*=5$"):
        load_model("model.keras", 5)


def test_weights_are_not_for_what_has_a_scheme():
    with pytest.raises(ValueError, match=r"`weights` must be None .*w\.h5"):
        load_model("hf://someone/model", weights="w.h5")


def test_what_has_a_scheme_goes_to_keras(monkeypatch):
    seen, model = [], stock_model()

    def load(*arguments):
        seen.append(arguments)
        return model

    monkeypatch.setattr(keras.models, "load_model", load)
    objects = {"doubled": doubled}
    assert load_model("hf://someone/model", objects, True, False) is model
    assert load_model("hf://someone/model", None, False, True) is model
    assert seen == [
        ("hf://someone/model", objects, True, False),
        ("hf://someone/model", {}, False, True),
    ]


def test_the_cause_of_an_error_is_kept():
    def refused(error, kind):
        with (
            pytest.raises(kind) as found,
            reading.refusing("weights", "m.h5"),
        ):
            raise error
        return found.value

    for cause in (KeyError("a"), OSError("b")):
        assert refused(cause, ValueError).__cause__ is cause
        refusal = RefusedError("it is odd")
        refusal.__cause__ = cause
        found = refused(refusal, ValueError)
        assert found.__cause__ is cause
        assert str(found).endswith("it is odd. Received: weights='m.h5'")
    # What is not installed is no fault of the file.
    missing = ImportError("no h5py")
    assert refused(missing, ImportError) is missing


def test_where_weights_belong(legacy):
    with pytest.raises(ValueError, match="`weights` must be None"):
        load_model(legacy / "causal.h5", weights=legacy / "causal.h5")
    with pytest.raises(ValueError, match="without weights"):
        load_model(legacy / "functional.json")
    with pytest.raises(FileNotFoundError, match="weights='"):
        load_model(legacy / "functional.json", weights=legacy / "nowhere")


def test_folders_of_keras(tmp_path):
    assert not legacy_files.is_folder_of_keras(str(tmp_path / "nowhere"))
    for name, known in (
        ("weights", False),
        ("12", True),
        ("config.json", True),
    ):
        folder = tmp_path / f"with_{name}"
        (folder / name).mkdir(parents=True)
        assert legacy_files.is_folder_of_keras(str(folder)) == known


def test_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"d: filepath='.*nowhere\.h5'"):
        load_model(tmp_path / "nowhere.h5")
    folder = rf"a directory\. Received: filepath='.*{tmp_path.name}'$"
    with pytest.raises(IsADirectoryError, match=folder):
        load_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(IsADirectoryError, match=r"SavedModel.*TFSMLayer"):
        load_model(tmp_path)
    for wrong in (None, 3, io.BytesIO()):
        with pytest.raises(TypeError, match="`filepath` must be a path") as it:
            load_model(wrong)
        received = f"Received: filepath={wrong!r} (of type "
        assert f"{received}{type(wrong).__name__})" in str(it.value)


def test_flags(legacy):
    for flag in ("compile", "safe_mode", "convert"):
        with pytest.raises((TypeError, ValueError), match=f"`{flag}`"):
            load_model(legacy / "causal.h5", **{flag: "yes"})
