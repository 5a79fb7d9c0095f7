from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.zot_verify.world import PROGRAMS, World, world


@pytest.fixture(scope="module", params=PROGRAMS)
def _any_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("zot"), request.param) as this:
        yield this


@pytest.fixture
def registry(_any_world: World) -> World:
    """A running registry, on the stand-in, and on the real zot where ZOT_BIN names one."""
    _any_world.start()
    return _any_world


@pytest.fixture(scope="module")
def _lab_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("lab-zot")) as this:
        yield this


@pytest.fixture
def lab_registry(_lab_world: World) -> World:
    """A running registry on the stand-in, for what only that can be made to do."""
    _lab_world.start()
    return _lab_world
