"""The Dagger module: builds a container of the estate and publishes it.

It runs inside Dagger's runtime, so it imports nothing of the collection: only Dagger and the two pure modules beside
it. Whether a tag is free is asked before, by ``image-publish``; zot refuses to overwrite one in any case.
"""

# Dagger's decorators are untyped to mypy, and so is all that they wrap.
# mypy: disable-error-code="untyped-decorator, no-any-return"

from __future__ import annotations

import inspect
from typing import Any

import dagger
from dagger import function, object_type

from .problem import Problem
from .tags import container_name as checked
from .tags import image_tag
from .versions import CONTAINER_PY, DECLARE, DEFAULT_NIX, DOCKERFILE, find_version

#: Forced, and the same for what is published and what is exported: only then are their digests the same.
COMPRESSION = dagger.ImageLayerCompression.Gzip


@object_type
class BlumeopsCi:
    """Containers of the estate, built from containers/NAME."""

    @function
    async def container_version(self, src: dagger.Directory, container_name: str) -> str:
        """Find the version of a container in its build files, as X.Y.Z."""
        folder, files = await _folder(src, container_name)
        return find_version(
            container_name, {file: await folder.file(file).contents() for file in DECLARE if file in files}
        )

    @function
    async def build(self, src: dagger.Directory, container_name: str) -> dagger.Container:
        """Build a container: by its native pipeline where it has a container.py, else from its Dockerfile."""
        folder, files = await _folder(src, container_name)
        if CONTAINER_PY in files:
            container = await _native(container_name, await folder.file(CONTAINER_PY).contents(), src)
        elif DOCKERFILE in files:
            container = folder.docker_build()
        else:
            also = f"; its {DEFAULT_NIX} is built by the other workflow" if DEFAULT_NIX in files else ""
            raise Problem(f"containers/{container_name} has neither {CONTAINER_PY} nor {DOCKERFILE}{also}")
        try:
            return await container.sync()
        except dagger.ExecError as error:
            last = (error.stderr or error.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            raise Problem(
                f"the step {' '.join(error.command)!r} of container {container_name} ended with status "
                f"{error.exit_code}: {last[0]}"
            ) from None

    @function
    async def archive(self, src: dagger.Directory, container_name: str) -> dagger.File:
        """Build a container and return the image that publish would push, as an OCI archive."""
        container = await self.build(src, container_name)
        return container.as_tarball(forced_compression=COMPRESSION)

    # An engine may answer a call from its cache; a push is only done when it was done now.
    @function(cache="never")
    async def publish(
        self,
        src: dagger.Directory,
        container_name: str,
        version: str,
        commit_sha: str,
        registry_password: dagger.Secret | None = None,
        registry: str = "registry.ops.eblu.me",
        namespace: str = "blumeops",
        username: str = "zot-ci",
    ) -> str:
        """Build a container, push it as REGISTRY/NAMESPACE/NAME:vX.Y.Z-<7 hex>, return that with its digest."""
        address = f"{registry}/{namespace}/{checked(container_name)}:{image_tag(version, commit_sha)}"
        container = await self.build(src, container_name)
        if registry_password is not None:
            container = container.with_registry_auth(address, username, registry_password)
        return await container.publish(address, forced_compression=COMPRESSION)


async def _folder(src: dagger.Directory, name: str) -> tuple[dagger.Directory, list[str]]:
    path = f"containers/{checked(name)}"
    if not await src.exists(path):
        raise Problem(f"there is no {path} in the source: which container is meant?")
    folder = src.directory(path)
    return folder, await folder.entries()


async def _native(name: str, code: str, src: dagger.Directory) -> dagger.Container:
    """Run the ``build(src)`` of a container.py: taken from the source, so that what is built and how are one commit."""
    where = f"containers/{name}/{CONTAINER_PY}"
    module: dict[str, Any] = {"__name__": f"containers.{name}", "__file__": where}
    exec(compile(code, where, "exec"), module)
    build = module.get("build")
    if not callable(build):
        raise Problem(f"{where} has no function build: write `def build(src: dagger.Directory) -> dagger.Container`")
    container = build(src)
    if inspect.iscoroutine(container):
        container = await container
    if not isinstance(container, dagger.Container):
        raise Problem(f"build of {where} returned {type(container).__name__}: return the dagger.Container")
    return container
