"""Random chains of transformations."""

import functools
import math

import keras
from backends import compiled, value_and_gradients
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from outcomes import WRAPPERS, outcome, problem
from subjects import OPERATIONS, SPECS, Subject

# An example compiles two convolutions, wrapped a few times.
few = settings(max_examples=max(settings.default.max_examples // 6, 1))


def chained(names):
    """Returns a mode that wraps a function; the first name is innermost."""

    def mode(function, tensors):
        whole = functools.reduce(
            lambda inner, name: WRAPPERS[name](inner), names, function
        )
        # Small whole numbers, which are exact in every dtype.
        shape = function(*tensors).shape
        count = math.prod(shape)
        numbers = keras.ops.reshape(keras.ops.arange(count) % 7 % 3, shape)
        cotangent = keras.ops.cast(numbers, tensors[0].dtype)
        value, gradients = value_and_gradients(
            compiled(whole, -1), tensors, cotangent
        )
        pairs = zip(tensors, gradients, strict=True)
        return [
            value,
            # What a value does not depend on has no gradient on some backends.
            *(keras.ops.zeros_like(t) if g is None else g for t, g in pairs),
        ]

    return mode


@few
@given(
    st.lists(st.sampled_from(sorted(WRAPPERS)), min_size=2, max_size=3),
    st.builds(
        Subject, st.sampled_from(OPERATIONS), st.sampled_from(sorted(SPECS))
    ),
)
def test_a_chain_does_what_it_does_to_stock(names, subject):
    mode = chained(names)
    expected, _ = outcome(mode, subject, "stock")
    if expected is None:
        reject()
    found, error = outcome(mode, subject, "ours")
    assert found is not None, error
    assert problem(subject, found, expected) is None
