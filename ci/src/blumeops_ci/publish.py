"""Publish by the Dagger module, once: ask the registry first, compare when the tag is there, prove it afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from .images import DIGEST, Image, decide, of_archive
from .problem import Problem
from .push import Pushed, ending_on_signals, scratch, settle
from .registry import Registry, Target, preflight

MODULE = "./ci"


def publish(
    root: Path, registry: Registry, target: Target, version: str, commit: str, *, label: str | None = None
) -> Pushed:
    """Make ``target`` hold what the Dagger module builds from ``root``, unless it does; prove that it does.

    Where the tag is there already, the module builds the image without pushing it, and its digest is compared: the
    engine's cache makes that the same image when nothing changed.

    Raises:
        Problem | RegistryError: One sentence; the tag is as it was, unless the sentence says otherwise.
    """
    with ending_on_signals(), scratch() as folder:
        note, stored = preflight(registry, target, label=label)
        if stored is None:
            failed, printed = _dagger(
                root,
                "publish",
                f"--container-name={target.container}",
                f"--version={version}",
                f"--commit-sha={commit}",
                f"--registry={target.host}",
                f"--namespace={target.namespace}",
                f"--username={registry.identity}",
                "--registry-password=env://ZOT_CI_API_KEY",
            )
            if failed is None:
                found = re.search(rf"@({DIGEST.pattern})\s*$", printed)
                if found is None:
                    raise Problem("dagger call publish printed no reference with a digest: is ./ci our module?")
                return Pushed("push", settle(registry, target, Image(found[1]), None).digest, note)
            stored = registry.image(target)  # another run of the same job may have been faster
            if stored is None:
                registry.check_create(target)
                raise Problem(
                    f"{target.address} was not published by Dagger ({failed}): its output above names the step"
                )
        archive = folder / "image.tar"
        failed, _ = _dagger(root, "archive", f"--container-name={target.container}", "export", f"--path={archive}")
        if failed is not None:
            raise Problem(f"{target.container} was not built by Dagger ({failed}): its output above names the step")
        decide(target.address, of_archive(archive), stored, identity=registry.identity)
        return Pushed("unchanged", stored.digest, note)


def _dagger(root: Path, function: str, *arguments: str) -> tuple[str | None, str]:
    """Call a function of the module; returns how it failed, or None, and what it printed. Its log goes to ours."""
    command = ["dagger", "--mod", MODULE, "call", function, "--src=.", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "FORGE_TOKEN"}
    try:
        ended = subprocess.run(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
        )
    except FileNotFoundError:
        raise Problem("dagger is not installed here: add its CLI to the runner's packages") from None
    return (None if ended.returncode == 0 else f"status {ended.returncode}"), ended.stdout
