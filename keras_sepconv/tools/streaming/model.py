"""Makes a model that runs on a live signal, some steps at a time."""

import re
from typing import Any

import keras
import numpy as np

from keras_sepconv._checks import boolean, integer, wrong
from keras_sepconv.tools.conversion import comparison, rounding
from keras_sepconv.tools.inspection.counts import multiply_adds
from keras_sepconv.tools.inspection.report import StreamingReport
from keras_sepconv.tools.inspection.tree import check
from keras_sepconv.tools.streaming.build import Builder
from keras_sepconv.tools.streaming.walk import Walk

# How many chunks are compared after the first output whose inputs are all in
# the sequence, and how many at most.
_CHUNKS = 4
_MOST_CHUNKS = 256


def streaming_model(
    model: keras.Model,
    chunk: int = 1,
    *,
    window: int | None = None,
    verify: bool = True,
) -> keras.Model:
    """Returns a model that computes the same step by step.

    A causal model is trained on whole sequences and then runs on a live signal:
    audio, electrodes, video. Instead of the whole window again for each new
    step, the new model takes only the new steps and a state. The state of a
    convolution is its last `(kernel - 1) * dilation` inputs. Time is axis 1 of
    the inputs of `model`.

    The new model takes and returns a dict. Its inputs are `"inputs"` (if
    `model` has several inputs, their names) and the states. Its outputs are
    `"outputs"` (if `model` has several, their names) and the next states, under
    the names that they have as inputs. So pass back the states of one call in
    the next call. Begin with those of `initial_states`.

    It is a plain functional model, with its own copy of the weights and layers
    of Keras and of this package, so it can be saved, exported and quantized.
    It is not compiled. `model` does not change.

    Layers run step by step if they do not look ahead and do not mix time in
    another way. Otherwise an error names the layer, the reason and what to do,
    before anything is built.

    Args:
        model: A functional or Sequential model.
        chunk: How many steps it takes at a time: a multiple of all strides
            along time.
        window: The number of steps that a global pooling reads: it becomes that
            of the last `window` steps. A multiple of `chunk`. `None` for the
            number of steps in the input of `model`.
        verify: Whether to run a random sequence through both models and to
            compare the results.

    Returns:
        The new model, with a `keras_sepconv.tools.StreamingReport` as its
        `streaming_report`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A layer cannot run step by step; `chunk` or `window` does
            not fit; or the results differ by more than rounding.

    Example:

    >>> import keras
    >>> import keras_sepconv
    >>> import numpy as np
    >>> model = keras.Sequential([
    ...     keras.Input((None, 4)),
    ...     keras_sepconv.SeparableConv1D(6, 3, padding="causal", name="conv"),
    ... ], name="small")
    >>> step = keras_sepconv.streaming_model(model)
    >>> print(step.streaming_report)
    small: 1 step at a time, 3.0 times fewer multiply-adds.
      receptive field: 3 steps
      delay: 0 steps
      state: 32 bytes
      multiply-adds: 36, of the whole window of 3 steps 108
    >>> states = keras_sepconv.initial_states(step)
    >>> inputs = np.ones((1, 1, 4), "float32")
    >>> results = step.predict_on_batch({"inputs": inputs, **states})
    >>> sorted(results)
    ['conv_state', 'outputs']
    """
    check(model, keras.Model, "a keras.Model")
    chunk = integer("chunk", chunk)
    if window is not None:
        window = integer("window", window)
    boolean("verify", verify)
    walk = Walk(model, chunk, window)
    other = Builder(walk).model
    notes = _verified(walk, other) if verify else []
    other.streaming_report = _report(walk, other, notes)
    return other


def initial_states(
    step_model: keras.Model, batch_size: int = 1
) -> dict[str, np.ndarray]:
    """Returns the states before the first step, which are zeros.

    Args:
        step_model: A model from `streaming_model`, also after it was loaded
            from a file.
        batch_size: How many signals run at a time.

    Returns:
        An array for each state, by its name.

    Raises:
        TypeError: `step_model` is not a model of Keras 3, or `batch_size` is
            not a number.
        ValueError: `step_model` is not from `streaming_model`.

    Example:

    >>> import keras
    >>> import keras_sepconv
    >>> model = keras.Sequential([
    ...     keras.Input((None, 4)),
    ...     keras_sepconv.SeparableConv1D(6, 3, padding="causal", name="conv"),
    ... ])
    >>> step = keras_sepconv.streaming_model(model)
    >>> keras_sepconv.initial_states(step)["conv_state"].shape
    (1, 2, 4)
    """
    batch_size = integer("batch_size", batch_size)
    is_model = isinstance(step_model, keras.Model)
    taken, given = (
        getattr(step_model, name, None) for name in ("input", "output")
    )
    if not (is_model and isinstance(taken, dict) and isinstance(given, dict)):
        error = ValueError if is_model else TypeError
        raise wrong("step_model", "from `streaming_model`", step_model, error)
    states = {
        name: keras.ops.zeros((batch_size, *tensor.shape[1:]), tensor.dtype)
        for name, tensor in taken.items()
        if name in given
    }
    return {
        name: keras.ops.convert_to_numpy(state)
        for name, state in states.items()
    }


def _verified(walk: Walk, other: Any) -> list[str]:
    """Compares the step model with the whole one; returns notes."""
    try:
        shapes = walk.shapes(_length(walk))
        expected = comparison.predict(walk.model, shapes)
    except comparison.CannotPredictError as error:
        return [str(error)]
    found = _run_through(walk, other, expected.inputs)
    # The whole model may have a few steps more than a multiple of the chunk.
    before, moved = (
        [
            one[:, : two.shape[1]] if stream.stride else one
            for stream, one, two in zip(
                walk.outputs.values(), some, found, strict=True
            )
        ]
        for some in (expected.outputs, expected.moved)
    )
    wrong = rounding.disagreement(before, found, expected.epsilon, moved)
    if wrong is not None:
        raise ValueError(
            f"`model` must compute the same step by step, but {wrong}. "
            f"`verify=False` returns it nevertheless. Received: "
            f"model={walk.model}"
        )
    return expected.notes


def _length(walk: Walk) -> int:
    """Returns the number of steps to compare."""
    sums_up = any(not stream.stride for stream in walk.outputs.values())
    if walk.steps is None:
        if sums_up and walk.window is not None:
            return walk.window
        chunks = _CHUNKS
        if walk.field is not None:
            chunks += walk.field // walk.chunk
        return walk.chunk * min(chunks, _MOST_CHUNKS)
    if sums_up and (walk.steps % walk.chunk or walk.window != walk.steps):
        raise comparison.CannotPredictError(
            f"the model takes {walk.steps} steps, and its output sums up "
            f"others (window={walk.window}, chunk={walk.chunk})"
        )
    return walk.steps


def _run_through(walk: Walk, other: Any, inputs: Any) -> list[np.ndarray]:
    """Returns the outputs of the step model for a whole sequence."""
    whole = dict(zip(walk.inputs, keras.tree.flatten(inputs), strict=True))
    first = next(iter(whole.values()))
    feed: dict[str, Any] = dict(initial_states(other, len(first)))
    parts: dict[str, list[Any]] = {name: [] for name in walk.outputs}
    for start in range(0, first.shape[1] - walk.chunk + 1, walk.chunk):
        for name, array in whole.items():
            feed[name] = array[:, start : start + walk.chunk]
        results = other.predict_on_batch(feed)
        for name, found in parts.items():
            found.append(results.pop(name))
        feed.update(results)
    other.predict_function = None
    return rounding.arrays(
        [
            np.concatenate(parts[name], 1) if stream.stride else parts[name][-1]
            for name, stream in walk.outputs.items()
        ]
    )


def _report(walk: Walk, other: Any, notes: list[str]) -> StreamingReport:
    states = initial_states(other)
    size = sum(
        state.size * _bytes(other.input[name].dtype)
        for name, state in states.items()
    )
    whole, length = None, walk.length
    if length is not None:
        shapes = walk.shapes(length)
        _, whole = multiply_adds(walk.model, input_shapes=shapes)
    _, step = multiply_adds(other)
    return StreamingReport(
        walk.model.name,
        walk.chunk,
        walk.field,
        walk.chunk - 1,
        size,
        length,
        (step, whole),
        tuple(notes),
    )


def _bytes(dtype: str) -> int:
    bits = re.sub(r"\D", "", dtype)
    return int(bits) // 8 if bits else 1
