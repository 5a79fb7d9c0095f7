"""``lab/zot serve``: from a configuration to a listening registry, and what happens to it while it runs."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import click

from lab.standins.common import Options, options
from lab.standins.common import serve as listen
from lab.standins.zot import PANIC, as_version, config, refuse
from lab.standins.zot_config import Settings, load
from lab.standins.zot_decode import BadConfig
from lab.standins.zot_log import Log
from lab.standins.zot_server import Zot
from lab.standins.zot_storage import Trouble
from lab.standins.zot_watch import watch


@click.command()
@config
@as_version
@click.option("--disk", type=click.Choice(["read-only", "full"]), help="What the storage suffers from, from the start.")
@click.option("--strip-authorization", is_flag=True, help="Be behind a proxy that takes Authorization headers away.")
@options
def serve(
    config: Path, as_version: tuple[int, ...] | None, disk: Trouble | None, strip_authorization: bool, options: Options
) -> None:
    """Serve the configuration until a signal; a write to its inode reloads it.

    Exits 1 on a configuration that it cannot use, 2 where the issuer does not answer, and 0 where the port is taken
    or a certificate is missing: zot says that in its log only.
    """
    try:
        settings = load(config, as_version)
        _check_servable(settings)
        log = Log(settings.log_level, settings.log_output)
        zot = Zot(settings, log, trouble=disk or "", behind_stripping_proxy=strip_authorization)
    except BadConfig as error:
        sys.exit(refuse(error))
    except OSError as error:
        sys.exit(f"Error: {error}")
    except ValueError as error:  # the issuer
        Log()("error", "failed to initialize new relying party oidc", error=str(error))
        sys.exit(PANIC)
    app = zot.application()
    app.cleanup_ctx.append(lambda app: _reloading(zot, config))
    own = replace(options, host=settings.http["address"], port=options.port or int(settings.http["port"] or 0))
    try:
        listen(app, "zot", own, context=_tls(settings))
    except (click.ClickException, OSError) as error:
        Log()("error", "failed to start controller, exiting", error=str(error))


def _check_servable(settings: Settings) -> None:
    """Raise BadConfig for what the real one serves and this one does not, or what neither can."""
    if not settings.storage.get("rootDirectory"):
        raise BadConfig("image store not found")
    for key in ("ldap", "bearer"):
        if key in settings.auth:
            raise BadConfig(f"the lab's zot has no http.auth.{key}: use htpasswd or OpenID here")
    for key in ("storageDriver", "remoteCache"):
        if settings.storage.get(key):
            raise BadConfig(f"the lab's zot has no storage.{key}: use a local directory here")
    path = settings.htpasswd
    if path is not None and not path.is_file():
        raise BadConfig(f"open {path}: no such file or directory")


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls["cert"], settings.tls["key"])
    return context


async def _reloading(zot: Zot, config: Path) -> AsyncIterator[None]:
    """While the application runs: reload on a write, and end on SIGHUP as on the other signals."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, os.kill, os.getpid(), signal.SIGTERM)

    log = Log()  # as with zot, on standard output and whatever the level is

    async def follow(writes: AsyncIterator[None]) -> None:
        async for _ in writes:
            log("info", "config file changed, trying to reload config")
            try:
                zot.reload(load(config, zot.settings.version))
            except BadConfig as error:
                log("error", "failed to reload config, retry writing it.", error=str(error))
            else:
                zot.log("info", "loaded new configuration settings")

    with watch(config) as writes:
        task = asyncio.create_task(follow(writes))
        yield
        task.cancel()
