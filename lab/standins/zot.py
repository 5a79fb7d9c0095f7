"""The lab's zot: ``lab/zot serve CONFIG`` and ``lab/zot verify CONFIG``, with zot's exit statuses and messages.

It answers as zot 2.1.20 was measured to (tests/contracts/zot), so that roles, modules and tests run where the real
one cannot be installed. ``serve`` takes address, port, TLS, storage and everything else from the configuration.

Left out: ``serve`` refuses LDAP, bearer tokens and remote storage; sync, gc, scrub, rate limits, quotas, client
certificates, the audit log, the queries of the search extension and the web pages are accepted and do nothing.
``verify`` does not check the types of CEL expressions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lab.standins.zot_config import load
from lab.standins.zot_decode import BadConfig, Panic
from lab.standins.zot_log import BUILD, SPEC, Log

#: What a Go program ends with after a panic.
PANIC = 2


class Version(click.ParamType[tuple[int, ...]]):
    name = "X.Y.Z"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        parts = str(value).removeprefix("v").split(".")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            self.fail(f"{value!r} is no version such as 2.1.17", param, ctx)
        return tuple(map(int, parts))


as_version = click.option(
    "--as-version",
    type=Version(),
    envvar="LAB_ZOT_AS_VERSION",
    help="Imitate an older zot: the keys that it knows, and what its policy allowed.",
)
config = click.argument("config", type=click.Path(path_type=Path))


def refuse(error: BadConfig) -> int:
    """Say why a configuration cannot be used; the exit status."""
    panics = isinstance(error, Panic)
    click.echo(f"panic: {error}" if panics else f"Error: {error}", err=True)
    return PANIC if panics else 1


class Commands(click.Group):
    """``verify`` is asked often and alone: what only ``serve`` needs is imported with it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["serve", *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "serve":
            from lab.standins.zot_serve import serve

            return serve
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--version", is_flag=True, help="Show the version (one built from source has none) and exit.")
@click.pass_context
def main(context: click.Context, version: bool) -> None:
    """The lab's zot."""
    if version:
        fields = {"distribution-spec": SPEC, "commit": BUILD["commit"], "binary-type": BUILD["binaryType"]}
        Log()("info", "version", **fields, **{"go version": ""})
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command()
@config
@as_version
def verify(config: Path, as_version: tuple[int, ...] | None) -> None:
    """Exit 0 where zot accepts the configuration; 1 and a message where it does not."""
    log = Log()
    try:
        load(config, as_version)
    except BadConfig as error:
        if not isinstance(error, Panic):
            log("error", "invalid config file", config=str(config))
        sys.exit(refuse(error))
    log("info", "config file is valid", config=str(config))


if __name__ == "__main__":
    main()
