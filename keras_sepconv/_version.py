"""The version of this package, for all that names it."""

__version__ = "0.1.0"
