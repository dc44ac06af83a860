"""What JAX can do with a function."""

from outcomes import Mode

MODES: dict[str, Mode] = {}
STOCK_CANNOT: dict[str, str] = {}
