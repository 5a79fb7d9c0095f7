"""``python -m blumeops_ci``."""

from __future__ import annotations

import sys

try:
    import click  # noqa: F401
    import requests  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(f"Error: the Python package {error.name} is not installed here: install click and requests")

from .cli import main

main(prog_name="ci/run")
