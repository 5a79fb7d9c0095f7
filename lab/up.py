"""The whole lab: an identity provider, Forgejo, 1Password Connect and the place for a zot, on free ports.

It begins where the estate is after the guide to the first key (docs/first-key.md): somebody logged in once as
``zot-ci`` and once as an admin, made an API key each, and put them into 1Password. zot itself is not running: role
``zot`` installs and starts it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import click

from lab import first_key, service
from lab.running import ROOT, Part, environment, free_port, standin, terminable, wait_until_answers

WORLDS = ROOT / "lab" / "worlds"
CONNECT_TOKEN = "LAB-connect-token"
FORGEJO_TOKEN = "LAB-forgejo-token"


@dataclass(slots=True)
class Lab:
    """A running lab: its folder, the addresses, and the environment that points at it."""

    folder: pathlib.Path
    parts: dict[str, Part] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    zot_options: list[str] = field(default_factory=list)

    @property
    def zot_config(self) -> pathlib.Path:
        """Where role zot puts the configuration."""
        return self.folder / "zot" / "config.json"

    def environment(self) -> dict[str, str]:
        """Variables for a playbook on ``inventory/lab``."""
        return {
            "LAB_DIR": str(self.folder),
            "LAB_PID": str(os.getpid()),
            "OP_CONNECT_HOST": self.addresses.get("connect", ""),
            "OP_CONNECT_TOKEN": CONNECT_TOKEN,
            "LAB_ZOT_OPTIONS": shlex.join(self.zot_options),
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def secret(self, item: str, label: str) -> str:
        """A value of the lab's 1Password, by the item's title and the field's label."""
        for vault in json.loads((self.folder / "vaults.json").read_text())["vaults"]:
            for one in vault["items"]:
                for kept in one["fields"]:
                    if (one["title"], kept.get("label")) == (item, label):
                        return str(kept["value"])
        raise KeyError(f"{item}/{label}")

    def run(self, *command: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
        """Run a command of the project with the lab's environment; its output is captured as text."""
        options: dict[str, object] = {"capture_output": True, "text": True, "cwd": ROOT, **kwargs}
        extra = options.pop("env", None)
        env = environment({**self.environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **(extra or {})})  # type: ignore[dict-item]
        return subprocess.run(list(command), env=env, **options)  # type: ignore[call-overload, no-any-return]


@contextlib.contextmanager
def lab(
    folder: pathlib.Path | None = None,
    *,
    arguments: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Lab]:
    """Start a lab in ``folder`` (a temporary one by default) and stop every process of it at the end.

    Args:
        arguments: Further options of a stand-in by its name, such as ``{"forgejo": ["--fault", "500:first=3"]}``.

    Raises:
        LabError: A part did not start.
    """
    own = folder is None
    folder = folder or pathlib.Path(tempfile.mkdtemp(prefix="blumeops-lab-"))
    folder.mkdir(parents=True, exist_ok=True)
    more = {name: list(values) for name, values in (arguments or {}).items()}
    this = Lab(folder)
    try:
        with contextlib.ExitStack() as running:
            running.callback(_stop_zot, this)

            def start(name: str, *options: str) -> None:
                log = ["--log", str(folder / f"{name}.requests.jsonl")] if name != "oidc" else []
                part = running.enter_context(standin(name, *options, *log, *more.get(name, [])))
                this.parts[name], this.addresses[name] = part, part.url

            start("oidc", "--users", str(WORLDS / "users.json"))
            port = free_port()
            this.addresses |= {"zot": f"http://127.0.0.1:{port}", "zot_port": str(port)}
            keys = _first_keys(this)
            vaults = folder / "vaults.json"
            vaults.write_text(json.dumps(_with_keys(json.loads((WORLDS / "vaults.json").read_text()), keys)))
            vaults.chmod(0o600)
            this.zot_options = more.get("zot", [])  # from here on: the keys were made without faults
            if os.environ.get("FORGEJO_URL"):
                this.addresses["forgejo"] = os.environ["FORGEJO_URL"]
            else:
                start("forgejo", "--world", str(WORLDS / "forgejo.json"), "--state", str(folder / "forgejo.json"))
            start("connect", "--vaults", str(vaults), "--save")
            about = {"zot_program": service.program(), "service": service.COMMAND, "pid": os.getpid()}
            (folder / "lab.json").write_text(json.dumps({**this.addresses, **about}, indent=2))
            yield this
    finally:
        if own:
            shutil.rmtree(folder, ignore_errors=True)


def _stop_zot(this: Lab) -> None:
    for config in this.folder.glob("zot*/config.json"):
        this.run(*service.COMMAND, "stop", str(config))


def _first_keys(this: Lab) -> dict[str, str]:
    """The steps of the guide to the first key, on a zot that runs only for that; returns label → key."""
    folder = this.folder / "zot-first"
    folder.mkdir(exist_ok=True)
    credentials = folder / "credentials.json"
    credentials.write_text(json.dumps({"clientid": "zot", "clientsecret": "LAB-oidc-client-secret"}))
    provider = {
        "issuer": this.addresses["oidc"],
        "credentialsFile": str(credentials),
        "scopes": ["openid", "email", "profile"],
        "claimMapping": {"username": "preferred_username"},
    }
    everything = {"**": {"defaultPolicy": ["read"]}}
    config = {
        "storage": {"rootDirectory": str(this.folder / "zot-data")},
        "http": {
            "address": "127.0.0.1",
            "port": this.addresses["zot_port"],
            "externalUrl": this.addresses["zot"],
            "auth": {"apikey": True, "openid": {"providers": {"oidc": provider}}},
            "accessControl": {"repositories": everything},
        },
        "log": {"level": "error"},
    }
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    started = this.run(*service.COMMAND, "start", str(path))
    if started.returncode:
        raise click.ClickException(f"the lab's zot did not start: {started.stderr}")
    wait_until_answers(this.addresses["zot"] + "/v2/")
    keys = {user: first_key.make_key(this.addresses["zot"], user, user)["apiKey"] for user in ("zot-ci", "erich")}
    this.run(*service.COMMAND, "stop", str(path))
    shutil.rmtree(folder)
    return keys


def _with_keys(world: dict[str, object], keys: Mapping[str, str]) -> dict[str, object]:
    """The vaults with the keys in their place, and the token of a real Forgejo where there is one."""
    places = {"zot-ci-api": keys["zot-ci"], "zot-admin-api": keys["erich"]}
    if os.environ.get("FORGEJO_TOKENS"):
        lines = pathlib.Path(os.environ["FORGEJO_TOKENS"]).read_text().splitlines()
        tokens = dict(line.strip().split("=", 1) for line in lines if "=" in line)
        places["credential"] = tokens["T_ALL"]
    for vault in world["vaults"]:  # type: ignore[attr-defined]
        for item in vault["items"]:
            for one in item["fields"]:
                if one.get("label") == "credential" and item["title"] != "Forgejo Secrets":
                    continue
                if one.get("label") in places:
                    one["value"] = places[one["label"]]
    return world


def _detach(folder: pathlib.Path, seconds: int) -> None:
    """Start this program in the background and return when the lab is up."""
    log = folder.with_name(folder.name + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lab.up", "--dir", str(folder), "--for", str(seconds)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(),
            cwd=ROOT,
            start_new_session=True,
        )
    while process.poll() is None:
        if (folder / "lab.json").exists() and json.loads((folder / "lab.json").read_text())["pid"] == process.pid:
            break
        time.sleep(0.1)
    told = log.read_text()
    log.unlink()
    if process.poll() is not None:
        raise click.ClickException(f"the lab did not start: {told[-2000:]}")
    described = json.loads((folder / "lab.json").read_text())
    for name in ("zot", "forgejo", "connect", "oidc"):
        print(f"{name:10} {described[name]}")
    print(f"export LAB_DIR={shlex.quote(str(folder))}\nIt ends after {seconds} s, or by --stop.")


def _stop(folder: pathlib.Path) -> None:
    """End a lab that runs in the background, and return when it has ended; nothing where none does."""
    try:
        pid = json.loads((folder / "lab.json").read_text())["pid"]
    except FileNotFoundError:
        return
    # The number may be another program's by now.
    told = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout
    if "lab.up" not in told and "lab.demo" not in told:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while service.alive(pid):
        time.sleep(0.1)


@click.command()
@click.argument("command", nargs=-1)
@click.option("--dir", "folder", type=click.Path(path_type=pathlib.Path), default=ROOT / ".lab", help="Its folder.")
@click.option("--detach", is_flag=True, help="Leave it running in the background.")
@click.option("--stop", is_flag=True, help="End the one that runs in the background.")
@click.option("--for", "seconds", default=0, help="End after so many seconds (1800 in the background).")
def main(command: tuple[str, ...], folder: pathlib.Path, detach: bool, stop: bool, seconds: int) -> None:
    """Start the lab and print its addresses; run COMMAND in it, or wait for Ctrl-C."""
    if stop:
        _stop(folder)
        return
    if (folder / "lab.json").exists():
        _stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} holds something that is no lab: name an empty folder, or a new one")
    if detach:
        _detach(folder, seconds or 1800)
        return
    try:
        with terminable(), lab(folder) as this:
            if command:
                sys.exit(this.run(*command, capture_output=False).returncode)
            for name, address in this.addresses.items():
                if name != "zot_port":
                    print(f"{name:10} {address}" + ("  (role zot starts it)" if name == "zot" else ""))
            print("\nIn another terminal:")
            for name, value in this.environment().items():
                print(f"  export {name}={shlex.quote(value)}")
            print("  .venv/bin/ansible-playbook playbooks/indri.yml\n\nCtrl-C ends the lab.", flush=True)
            signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGTERM))
            signal.alarm(seconds)
            signal.pause()
    except KeyboardInterrupt:
        print("\nended")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
