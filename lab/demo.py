"""``make demo``: the main job, end to end, on a lab on loopback.

Each step is a command that a person would type on the estate; what it prints is shown, and the demo ends with an
error as soon as a step does not do what it says.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time

from lab.images import docker_archive
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

    def run(self, *command: str, status: int = 0, shown: list[str] | None = None, key: str = "") -> str:
        """Run a command and show it with its output; Failed where it ends with another status."""
        print(f"$ {shlex.join(shown or list(command))}", flush=True)
        account = {
            "ANSIBLE_STDOUT_CALLBACK": "account",
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "lab" / "plugins" / "callback"),
        }
        done = self.lab.run(*command, env={**account, **({"ZOT_CI_API_KEY": key} if key else {})})
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
        log = self.lab.folder / "forgejo.requests.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []  # a real server keeps its own
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

        self.push()

        self.say("Prove it on the live registry: who may do what, the login, the metrics, the key of CI")
        self.run("ansible-playbook", "playbooks/verify.yml", *extra, shown=["ansible-playbook", "playbooks/verify.yml"])

    def push(self) -> None:
        """What CI does with its key: a new tag, the same again, and another image under it."""
        self.say("CI pushes by skopeo: a new tag, the same again, and another image under that tag")
        if not shutil.which("skopeo"):
            print("  left out: skopeo is not installed here (Debian: apt-get install skopeo)")
            return
        tag = "v2.14.0-0123abc-nix"
        images = [str(docker_archive(self.lab.folder / f"{word}.tar", word)) for word in ("one", "other")]
        key = self.lab.secret("Forgejo Secrets", "zot-ci-api")
        push = ["ci/run", "image-push", "--registry", self.lab.addresses["zot"], "ntfy", tag]
        first = self.run(*push, f"docker-archive:{images[0]}", key=key)
        self.must("pushed" in first, "that CI may add a tag")
        again = self.run(*push, f"docker-archive:{images[0]}", key=key)
        self.must("nothing was pushed" in again, "that pushing the same image again is success")
        refused = self.run(*push, f"docker-archive:{images[1]}", status=1, key=key)
        self.must("immutable" in refused, "that a tag cannot be overwritten")


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
