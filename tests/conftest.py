"""The order of the tests."""

from __future__ import annotations

import pytest

#: Files that take minutes.
LONG = ("test_scenarios.py", "test_no_secret_leaks.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no processor waits for it at the end."""
    items.sort(key=lambda item: item.path.name not in LONG)
