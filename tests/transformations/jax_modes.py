"""What JAX can do with a function."""

from subjects import Mode

MODES: dict[str, Mode] = {}
STOCK_CANNOT: dict[str, str] = {}
