"""What the tests of the estate's CI share."""

from __future__ import annotations

import os

# Dagger's SDK reads the main object's name when it is imported; the engine sets it for the module's runtime.
os.environ["DAGGER_MAIN_OBJECT"] = "BlumeopsCi"
