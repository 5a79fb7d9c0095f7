"""``make demo``: the main job, end to end, on a lab on loopback.

Each step is a command that a person would type on the estate; what it prints is shown, and the demo ends with an
error as soon as a step does not do what it says.
"""

from __future__ import annotations

import json
import shlex
import sys
import time

from lab.running import ROOT, terminable
from lab.up import Lab, lab

PLAYBOOK = ["ansible-playbook", "playbooks/indri.yml"]
#: The edited policy: a block for the mirrors of docker.io, which only admins may change.
EDIT = {
    "repositories": {
        "**": {
            "anonymousPolicy": ["read"],
            "defaultPolicy": ["read"],
            "policies": [
                {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
                {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
            ],
        },
        "docker.io/**": {
            "anonymousPolicy": ["read"],
            "defaultPolicy": ["read"],
            "policies": [{"groups": ["admins"], "actions": ["read", "create", "update", "delete"]}],
        },
    }
}


class Failed(Exception):
    """A step did something else than the demo says."""


class Demo:
    """The steps, on a running lab."""

    def __init__(self, running: Lab) -> None:
        self.lab = running
        self.step = 0

    def say(self, text: str) -> None:
        self.step += 1
        print(f"\n\033[1m{self.step}. {text}\033[0m" if sys.stdout.isatty() else f"\n{self.step}. {text}", flush=True)

    def run(self, *command: str, status: int = 0, shown: list[str] | None = None, **env: str) -> str:
        """Run a command and show it with its output; Failed where it ends with another status."""
        print(f"$ {shlex.join(shown or list(command))}", flush=True)
        account = {
            "ANSIBLE_STDOUT_CALLBACK": "account",
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "lab" / "plugins" / "callback"),
        }
        done = self.lab.run(*command, env={**account, **env})
        output = done.stdout + done.stderr
        print("".join(f"  {line}\n" for line in output.splitlines() if line.strip()), end="", flush=True)
        if done.returncode != status:
            raise Failed(f"this command ended with {done.returncode} and should have ended with {status}")
        return output

    def must(self, true: bool, what: str) -> None:
        if not true:
            raise Failed(f"{what} does not hold")

    def pid(self) -> str:
        return self.lab.zot_config.with_suffix(".pid").read_text()

    def writes(self) -> int:
        """How many writes Forgejo has seen."""
        lines = (self.lab.folder / "forgejo.requests.jsonl").read_text().splitlines()
        return sum(json.loads(line)["method"] in {"PUT", "POST", "DELETE"} for line in lines)

    def play(self) -> None:
        self.say("Provision: zot's configuration from 1Password's credentials, and CI's secrets in Forgejo")
        self.run(*PLAYBOOK)
        pid, writes = self.pid(), self.writes()

        self.say("Again: nothing is changed")
        again = self.run(*PLAYBOOK)
        self.must(" 0 changed" in again, "that a second run changes nothing")
        self.must(self.writes() == writes, "that a second run writes nothing to Forgejo")

        edit = json.dumps({"zot_access_control": EDIT})
        edited = self.lab.folder / "edit.json"
        edited.write_text(edit)
        extra, shown = ["--extra-vars", f"@{edited}"], ["--extra-vars", "@edit.json"]
        self.say("An edited policy (edit.json: docker.io/** is for admins alone): what would change?")
        before = self.lab.zot_config.read_bytes()
        preview = ["--check", "--diff", "--tags", "zot"]
        self.run(*PLAYBOOK, *preview, *extra, shown=[*PLAYBOOK, *preview, *shown])
        self.must(self.lab.zot_config.read_bytes() == before, "that --check changes nothing")

        self.say("Roll it out: the running zot takes it without a restart")
        self.run(*PLAYBOOK, "--tags", "zot", *extra, shown=[*PLAYBOOK, "--tags", "zot", *shown])
        self.must(self.pid() == pid, "that zot was not restarted")


def main() -> int:
    begun = time.monotonic()
    try:
        with terminable(), lab() as running:
            print("The lab is up (stand-ins on loopback, measured against the real servers):")
            for name in ("zot", "forgejo", "connect", "oidc"):
                print(f"  {name:8} {running.addresses[name]}")
            Demo(running).play()
    except Failed as error:
        print(f"\nThe demo failed: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nThe demo is over, the lab is stopped ({time.monotonic() - begun:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
