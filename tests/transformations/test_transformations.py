"""What a framework can do with stock Keras's operations, it can with ours."""

import re

import pytest
from outcomes import STOCK_CANNOT, every_cell, outcome, problem, some_cells


def pytest_generate_tests(metafunc):
    if "mode" in metafunc.fixturenames:
        every = metafunc.config.getoption("every_cell")
        cells = every_cell() if every else some_cells()
        metafunc.parametrize(
            ("mode", "subject"),
            [pytest.param(*cell, id=f"{cell[0]}-{cell[1]}") for cell in cells],
        )


def test_ours_does_what_stock_does(mode, subject):
    expected, error = outcome(mode, subject, "stock")
    listed = re.fullmatch(STOCK_CANNOT.get(mode, "(?!)"), str(subject))
    if expected is None:
        assert listed, f"stock Keras cannot, which no list says: {error}"
        return
    assert not listed, "stock Keras can: take it off the list"
    found, error = outcome(mode, subject, "ours")
    assert found is not None, error
    assert problem(subject, found, expected) is None
