"""Settings of the policy's properties."""

from __future__ import annotations

from hypothesis import settings

# No property here is about time: a busy machine must not fail one.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
