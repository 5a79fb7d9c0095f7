"""``python -m blumeops_ci``."""

from blumeops_ci.cli import main

main(prog_name="ci/run")
