"""Stand-in of Forgejo's API for Actions secrets, variables and workflow dispatch (contracts/forgejo.md)."""

from __future__ import annotations

import pathlib

import click

from lab.standins.common import Options, options, reading, serve
from lab.standins.forgejo_api import Forgejo
from lab.standins.forgejo_store import Store
from lab.standins.forgejo_world import World

PATH = click.Path(path_type=pathlib.Path, dir_okay=False)
GIVEN = click.Path(path_type=pathlib.Path, dir_okay=False, exists=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--world", type=GIVEN, required=True, help="Accounts, repositories, tokens (a token's name is the token)."
)
@click.option("--state", type=PATH, help="Keep secrets (with values) and variables in this file, mode 0600.")
@click.option("--collide", type=int, default=0, help="The first write of each new secret ends so often in a 500.")
@click.option("--latency", type=float, default=0.0, metavar="MS", help="Wait so long before each answer.")
@click.option("--tick", type=int, default=0, metavar="SECONDS", help="Move the clock on so much with each new secret.")
@options
def main(
    *, options: Options, world: pathlib.Path, state: pathlib.Path | None, collide: int, latency: float, tick: int
) -> None:
    """Answer as Forgejo does, on loopback, for the world in a file."""
    with reading(state, "what this stand-in has stored"):
        store = Store(state, tick=tick, collide=collide)
    with reading(world, "accounts, repositories and tokens"):
        accounts = World.load(world)
    forgejo = Forgejo(accounts, store, latency=latency / 1000)
    serve(forgejo.application(), "forgejo", options)


if __name__ == "__main__":
    main()
