"""The version of n1store, from which that of the package is read."""

__version__ = "0.1.0"
