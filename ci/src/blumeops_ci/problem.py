"""The one error of this package."""

from __future__ import annotations


class Problem(Exception):
    """Something that the user has to change; ``str()`` of it is one sentence: what, where, what to do."""
