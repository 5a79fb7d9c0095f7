"""The identity provider of the lab: the package oidc-provider-mock, with the estate's users.

It stands where Authentik stands: the claims of a user carry ``groups`` whatever the scopes are, as Authentik's
default ``profile`` mapping does.
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import threading
import time

import click
import uvicorn
from oidc_provider_mock import User, app


@click.command()
@click.option("--users", type=click.Path(exists=True, path_type=pathlib.Path), required=True, help="JSON: [claims, …].")
@click.option("--port", default=0, help="Port on 127.0.0.1; a free one by default.")
@click.option("--with-parent", is_flag=True, help="End when the process that started this one has ended.")
def main(users: pathlib.Path, port: int, with_parent: bool) -> None:
    """Serve an OpenID provider on loopback; whoever posts ``sub=NAME`` to its login form is NAME."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # the provider refuses plain HTTP otherwise
    listener = socket.create_server(("127.0.0.1", port))
    claims = [dict(user) for user in json.loads(users.read_text())]
    provider = app(user_claims=[User(sub=user.pop("sub"), claims=user) for user in claims])
    server = uvicorn.Server(uvicorn.Config(provider, interface="wsgi", log_level="warning", lifespan="off"))
    parent = os.getppid()

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        server.should_exit = True

    if with_parent:
        threading.Thread(target=end_with_parent, daemon=True).start()
    print(f"oidc listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
