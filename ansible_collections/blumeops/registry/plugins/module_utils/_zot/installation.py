# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""One zot configuration on the machine where zot runs: checked, put in place, taken by the running zot.

Runs on the target, so it uses what Python 3.9 and Ansible bring and nothing else; its only request is the
anonymous question of :meth:`Installation.readable`, to the zot beside it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._zot.config import (
    Config,
    can_probe,
    changes,
    masked,
    rest_of_message,
    secrets_in,
    with_probe,
)

NO_BLOB = "sha256:" + "0" * 64


def as_text(config: Config) -> str:
    """The file's text: sorted, so that the same configuration is the same file."""
    return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def load(path: str) -> Any:
    """The JSON object in a file; None where there is no file or something else in it."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


class Installation:
    """The files of one zot configuration on this machine."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.path = self.params["path"]
        self.folder = os.path.dirname(self.path)
        # Second links to every file that a running zot may watch, and a note while a change is under way.
        self.links = os.path.join(self.folder, "." + os.path.basename(self.path) + ".reload")
        self.note = os.path.join(self.links, "pending.json")

    def credentials(self) -> dict[str, str] | None:
        """The content of the credentials file; None where there is none to write."""
        if not self.params["oidc_credentials_path"]:
            return None
        return {"clientid": self.params["oidc_client_id"], "clientsecret": self.params["oidc_client_secret"]}

    def verify(self, config: Config) -> None:
        """Ask ``zot verify``; the credentials file is stood in for by one with an invented secret."""
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as folder:
            # Measured: `zot verify` makes the log file, owned by whoever runs it, and zot could not write to it then.
            log = config.get("log")
            if isinstance(log, dict) and log.get("output"):
                config = {**config, "log": {**log, "output": os.path.join(folder, "zot.log")}}
            text = as_text(config)
            path = self.params["oidc_credentials_path"]
            if path:
                invented = os.path.join(folder, "credentials.json")
                with open(invented, "w", encoding="utf-8") as file:
                    json.dump({"clientid": self.params["oidc_client_id"], "clientsecret": "only to be checked"}, file)
                text = text.replace(json.dumps(path, ensure_ascii=False), json.dumps(invented))
            name = os.path.join(folder, "config.json")
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
            code, out, err = self.module.run_command([self.params["binary"], "verify", name])
            if code:
                reason = rest_of_message(err + "\n" + out).replace(folder, os.path.dirname(path or self.path))
                raise InvalidInput(
                    f"zot verify refuses the configuration for {self.path}, so nothing was written: {reason}"
                )

    def check_port(self, config: Config) -> None:
        """Raise where another program listens on the address that zot would be started on."""
        http = config.get("http") or {}
        address, port = str(http.get("address") or "0.0.0.0"), str(http.get("port") or "")
        if not port.isdigit() or port == "0":
            return
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, int(port)))
            except OSError as error:
                reason = (error.strerror or "no such address").lower()
                raise InvalidInput(
                    f"zot cannot listen on {address}:{port} ({reason}), so nothing was written: stop the program that "
                    "holds the port, or set another zot_http_port"
                ) from None

    def write(self, path: str, text: str, mode: str) -> None:
        """Put a file in place so that whoever opens it, after whichever crash, finds the old one or the new one."""
        folder, base = os.path.split(path)
        for left in os.listdir(folder):
            if left.startswith(f".{base}.") and left.endswith(".new"):  # of a run that was killed in here
                os.unlink(os.path.join(folder, left))
        handle, name = tempfile.mkstemp(prefix=f".{base}.", suffix=".new", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            self.module.set_mode_if_different(name, mode, False)
            self.module.set_owner_if_different(name, self.params["owner"], False)
            self.module.set_group_if_different(name, self.params["group"], False)
            os.replace(name, path)
        except BaseException:
            if os.path.exists(name):
                os.unlink(name)
            raise
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def set_attributes(self) -> list[str]:
        """Give the files that are there their owner, group and mode; the ones that had others (in check mode too)."""
        module, opened = self.module, []
        for path, mode in ((self.path, self.params["mode"]), (self.params["oidc_credentials_path"], "0600")):
            if path and os.path.exists(path):
                changed = module.set_mode_if_different(path, mode, False)
                changed = module.set_owner_if_different(path, self.params["owner"], changed)
                if module.set_group_if_different(path, self.params["group"], changed):
                    opened.append(path)
        return opened

    def pending(self) -> Any:
        """What an earlier run began and did not finish; None where nothing is open."""
        return load(self.note)

    def begin(self, reasons: list[str]) -> None:
        """Note what is under way, and keep the file in place as one that zot may watch."""
        for folder in {self.folder, os.path.dirname(self.params["oidc_credentials_path"] or self.path)}:
            os.makedirs(folder, mode=0o755, exist_ok=True)
        os.makedirs(self.links, mode=0o700, exist_ok=True)
        self.write(self.note, json.dumps({"restart": list(reasons)}), "0600")
        if os.path.exists(self.path):
            link = os.path.join(self.links, f"inode-{os.stat(self.path).st_ino}")
            if not os.path.exists(link):
                os.link(self.path, link)

    def finish(self) -> None:
        """Nothing is under way any more."""
        if os.path.exists(self.note):
            os.unlink(self.note)

    def poke(self) -> None:
        """Write one newline to every file that zot may watch: it then reads its configuration by path."""
        for name in sorted(os.listdir(self.links)):
            if name.startswith("inode-"):
                with open(os.path.join(self.links, name), "a", encoding="utf-8") as file:
                    file.write("\n")

    def readable(self, repository: str) -> bool | None:
        """Whether an anonymous caller may read in a repository, by a question that leaves no trace (404 or 401)."""
        url = f"{self.params['url'].rstrip('/')}/v2/{repository}/blobs/{NO_BLOB}"
        try:
            open_url(url, method="HEAD", validate_certs=False, use_proxy=False, follow_redirects="none", timeout=5)
        except Exception as error:
            status = getattr(error, "code", 0)
            return {404: True, 401: False, 403: False}.get(status)
        return True

    def wait_until(self, probe: str, live: bool) -> bool:
        """Ask until the probe's blocks are in force, or are not; False where ``reload_timeout`` seconds pass first."""
        end = time.monotonic() + self.params["reload_timeout"]
        while time.monotonic() < end:
            told = (self.readable(f"{probe}-open"), self.readable(f"{probe}-closed"))
            if None not in told and (told == (True, False)) is live:
                return True
            time.sleep(0.05)
        return False

    def reload(self, config: Config) -> str:
        """Let the running zot take ``config``, which is written here; says how that went."""
        mode = self.params["mode"]
        if not can_probe(config):
            self.write(self.path, as_text(config), mode)
            self.poke()
            return "unproven"
        probe = "blumeops-reload-probe-" + secrets.token_hex(8)
        self.write(self.path, as_text(with_probe(config, probe)), mode)
        self.poke()
        took = self.wait_until(probe, True)
        self.write(self.path, as_text(config), mode)
        self.poke()
        return "taken" if took and self.wait_until(probe, False) else "restart"


def install(module: AnsibleModule) -> dict[str, Any]:
    """As :func:`_install`; a file that cannot be read or written is an error in one sentence."""
    module.no_log_values.update(secrets_in(module.params["config"]))
    try:
        return _install(module)
    except OSError as error:
        raise RegistryError(
            f"{error.filename or module.params['path']} cannot be read or written ({error.strerror}): "
            "check that it is a file, its owner, and the space on its disk"
        ) from None


def _install(module: AnsibleModule) -> dict[str, Any]:
    """Check, write and reload as the module's options say; returns the module's result.

    Raises:
        InvalidInput: ``zot verify`` refuses the configuration, or the port is taken; nothing
            has been written then.
        RegistryError: A file cannot be written.
    """
    this = Installation(module)
    params, config = module.params, module.params["config"]
    this.verify(config)
    if can_probe(config):
        this.verify(with_probe(config, "blumeops-reload-probe"))
    old, credentials = load(this.path), this.credentials()
    new_credentials = credentials is not None and load(params["oidc_credentials_path"]) != credentials
    change, pending = changes(old or {}, config), this.pending()
    restart = list(change.restart) + (["the OIDC credentials"] if new_credentials else []) + params["restart_for"]
    restart += [reason for reason in (pending or {}).get("restart", []) if reason not in restart]
    # On its own port a running zot is in nobody's way but its own.
    if not params["running"] or "http.port" in change.restart:
        this.check_port(config)
    opened = this.set_attributes()

    written = old != config
    result: dict[str, Any] = {
        "changed": bool(written or new_credentials or pending is not None or params["restart_for"] or opened),
        "reload": "none",
        "restart_required": False,
        "reasons": restart or list(change.reload),
        "diff": [
            {
                "before_header": this.path,
                "after_header": this.path,
                "before": as_text(masked(old)) if old is not None else "",
                "after": as_text(masked(config)),
            }
        ],
    }
    if new_credentials:
        what = {"before": "(credentials, hidden)\n", "after": "(other credentials, hidden)\n"}
        if load(params["oidc_credentials_path"]) is None:
            what["before"] = ""
        path = params["oidc_credentials_path"]
        result["diff"].append({"before_header": path, "after_header": path, **what})
    if opened:
        result["diff"].append({"prepared": f"owner, group or mode of {', '.join(opened)}\n"})
    if not (written or new_credentials or pending is not None or params["restart_for"]):
        return result
    must_restart = params["running"] and bool(restart)
    if module.check_mode:
        result["restart_required"] = must_restart
        if params["running"]:
            result["reload"] = "would restart" if must_restart else "would reload"
        return result

    this.begin(restart)
    if new_credentials:
        this.write(params["oidc_credentials_path"], json.dumps(credentials), "0600")
    if params["running"] and not must_restart:
        result["reload"] = this.reload(config)
    else:
        this.write(this.path, as_text(config), params["mode"])
        result["reload"] = "restart" if must_restart else "none"
    if result["reload"] == "restart":
        result["restart_required"] = True
        if not must_restart:
            result["reasons"] = ["the running zot did not take the change: it may watch another file"]
        this.write(this.note, json.dumps({"restart": result["reasons"]}), "0600")
    else:
        this.finish()
    return result
