"""The version of the package, stated here and nowhere else (pyproject.toml reads this line)."""

__version__ = "0.1.0"
