"""Transformations that work with stock Keras's operations work with ours."""

import pytest
from outcomes import (
    IS_LISTED_VERSION,
    MODES,
    RIGHT,
    STOCK_CANNOT,
    STOCK_IS_WRONG,
    every_cell,
    is_listed,
    outcome,
    problem,
    some_cells,
)


def pytest_generate_tests(metafunc):
    if "mode" in metafunc.fixturenames:
        every = metafunc.config.getoption("every_cell")
        cells = every_cell() if every else some_cells()
        metafunc.parametrize(
            ("mode", "subject"),
            [pytest.param(*cell, id=f"{cell[0]}-{cell[1]}") for cell in cells],
        )


def test_ours_does_what_stock_does(mode, subject):
    expected, error = outcome(MODES[mode], subject, "stock")
    if expected is None:
        listed = is_listed(STOCK_CANNOT, mode, subject)
        assert listed or not IS_LISTED_VERSION, (
            f"stock Keras fails, but STOCK_CANNOT does not list it: {error}"
        )
        return
    assert not is_listed(STOCK_CANNOT, mode, subject), (
        "stock Keras works, but STOCK_CANNOT lists it"
    )
    if mode in RIGHT:
        right, _ = outcome(RIGHT[mode], subject, "stock")
        is_wrong = problem(subject, expected, right) is not None
        assert is_wrong == is_listed(STOCK_IS_WRONG, mode, subject)
        expected = right
    found, error = outcome(MODES[mode], subject, "ours")
    assert found is not None, error
    assert problem(subject, found, expected) is None
