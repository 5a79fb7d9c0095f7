"""What ``zot verify`` accepts and what it says, beyond the recording; measured with the real one."""

from __future__ import annotations

import copy
import json
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from lab.running import ROOT, environment
from lab.standins import zot_conditions, zot_decode
from lab.standins.zot_config import Settings, fields, load
from lab.standins.zot_decode import BadConfig, ListOf, MapOf, Struct
from tests.integration.lab_zot.conftest import on_the_real_one
from tests.replay.zot import RECORDINGS, program

ANYBODY = {"repositories": {"**": {"anonymousPolicy": ["read"]}}}
BASE: dict[str, Any] = {
    "storage": {"rootDirectory": "data"},
    "http": {"address": "127.0.0.1", "port": "5050", "auth": {"apikey": True}, "accessControl": ANYBODY},
}
SYNC = {"urls": ["https://a.example"], "onDemand": True}


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The base configuration with one more value; the keys of ``path`` are split at dots."""
    document: dict[str, Any] = copy.deepcopy(BASE)
    place = document
    *folders, last = path.split(".")
    for key in folders:
        place = place.setdefault(key, {})
    place[last] = value
    return document


def verdict(folder: pathlib.Path, document: dict[str, Any], name: str = "config.json") -> tuple[int, str]:
    """Exit status and message; the stand-in's without its process, which the replay of the recording starts."""
    file = folder / name
    file.write_text(json.dumps(document))
    if on_the_real_one():
        done = subprocess.run([*program("verify"), str(file)], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr.strip()
    try:
        load(file)
    except BadConfig as error:
        return 1, str(error)
    return 0, ""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("HTTP.Port", 5051),
        ("http.readTimeout", "1m30s"),
        ("http.readTimeout", 5),
        ("storage.gc", "true"),
        ("storage.gc", 1),
        ("storage.gcTimeWindow", "22:00-06:00"),
        ("http.accessControl.adminPolicy", {"users": "root", "actions": ["read"]}),
        ("http.accessControl.repositories", [ANYBODY["repositories"]]),
        ("http.accessControl.metrics", {"users": [""]}),
        ("http.auth.failDelay", -1),
        ("extensions.nonsense", {"deep": {}}),
        ("extensions.metrics", None),
        ("storage.subPaths", {"/a": {"rootDirectory": "elsewhere"}}),
        ("extensions.sync", {"registries": [SYNC]}),
        ("storage.retention", {"policies": [{"keepTags": [{"patterns": ["\\pL+", "(?P<n>v)"]}]}]}),
    ],
)
def test_accepted(tmp_path: pathlib.Path, path: str, value: Any) -> None:
    assert verdict(tmp_path, with_value(path, value)) == (0, "")


KEYS, DECODING = "has invalid keys", "'Storage.GC' cannot parse value as 'bool': strconv.ParseBool: invalid syntax"
OIDC = {"openid": {"providers": {"oidc": {"clientid": "z"}}}}
CANNOT = "cannot be negative or zero: -1s"


def retained(pattern: str) -> dict[str, Any]:
    return {"policies": [{"keepTags": [{"patterns": [pattern]}]}]}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("http.accessControl.repositories.**.x", [], f"'HTTP.accessControl.repositories[**]' {KEYS}: x"),
        ("nonsense", 1, f"'config.Config' {KEYS}: nonsense"),
        ("storage.gc", "yes", DECODING),
        ("storage.gcDelay", "", "'Storage.GCDelay' time: invalid duration"),
        ("storage.rootDirectory", ["a"], "expected type 'string', got unconvertible type '[]interface {}'"),
        ("http.tls", "x", "'HTTP.TLS' expected a map or struct, got \"string\""),
        ("cluster", {"members": ["a"], "hashKey": 5, "x": 1}, f"'Cluster' {KEYS}: x"),
        ("http.port", "http", "invalid server config: invalid port http"),
        ("http.accessControl.repositories", {"[": {"anonymousPolicy": ["read"]}}, "failed to compile authorization"),
        ("http.auth", OIDC, "OpenID provider config requires clientid, issuer and scopes parameters"),
        ("http.auth.ldap", {"address": "a"}, "invalid LDAP configuration, missing mandatory key: userAttribute"),
        ("http.auth.mtls", {"identityAttributes": ["CN"]}, "mTLS configuration requires TLS to be enabled with CA"),
        ("http.auth.sessionDriver", {"name": "memcached"}, "session store driver memcached is not allowed!"),
        ("http.auth.bearer", {"awsSecretsManager": {"secretName": "s"}}, "awsSecretsManager region must be specified"),
        ("storage", {"dedupe": False, "storageDriver": {"name": "ftp"}}, "unsupported storage driver"),
        ("storage.redirectBlobURL", True, "redirectBlobURL is supported only for s3/gcs/azure storage"),
        ("storage.subPaths", {"/a": {"rootDirectory": "data/a"}}, "cannot be inside default storage root directory"),
        ("storage.subPaths", {"/a": {"rootDirectory": "b", "gc": True, "gcDelay": "-1s"}}, CANNOT),
        ("storage.retention", retained("(?=a)"), "retention tag regex could not be compiled: (?=a)"),
        ("extensions.ui", {"enable": True}, "failed to enable ui, search extension must be enabled"),
        ("extensions.metrics", {"prometheus": {"path": "/v2"}}, "provided metrics path is disallowed"),
        ("extensions.sync", {"registries": [SYNC | {"maxRetries": 1}]}, "retryDelay is required when using maxRetries"),
        ("extensions.sync", {"registries": [SYNC | {"preserveDigest": True}]}, "without enabling http.Compat"),
        ("extensions.events", {"sinks": [{"type": "mqtt"}]}, "event sink is not supported"),
        ("log.level", "loud", "invalid log level 'loud', supported levels are: debug, trace, info"),
    ],
)
def test_refused(tmp_path: pathlib.Path, path: str, value: Any, message: str) -> None:
    status, said = verdict(tmp_path, with_value(path, value))
    assert status == 1
    assert message in said


def test_the_suffix_of_the_file_does_not_matter(tmp_path: pathlib.Path) -> None:
    """Ansible checks a temporary file whose name ends as it likes."""
    assert verdict(tmp_path, BASE, "config.json.tmp") == (0, "")
    assert verdict(tmp_path, BASE, "source") == (0, "")
    assert verdict(tmp_path, BASE, "config.yaml") == (0, "")


def test_verify_makes_the_log_file_or_panics(tmp_path: pathlib.Path) -> None:
    """With the rights of whoever asks, so that the service may not be able to write to it afterwards."""
    log, config = tmp_path / "zot.log", tmp_path / "config.json"
    config.write_text(json.dumps(with_value("log", {"output": str(log)})))
    command = [*program("verify"), str(config)]
    assert subprocess.run(command, capture_output=True, env=environment(), cwd=ROOT).returncode == 0
    assert log.stat().st_mode & 0o777 == 0o600
    config.write_text(json.dumps(with_value("log", {"output": f"{tmp_path}/missing/zot.log"})))
    done = subprocess.run(command, capture_output=True, env=environment(), cwd=ROOT)
    assert (done.returncode, done.stderr.startswith(b"panic: open ")) == (2, True)


def test_an_older_zot_does_not_know_the_newer_keys(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(with_value("http.accessControl.metrics", {"anonymousPolicy": ["read"]})))
    load(file, (2, 1, 18))
    with pytest.raises(BadConfig, match=r"'HTTP\.accessControl\.Metrics' has invalid keys: anonymouspolicy"):
        load(file, (2, 1, 17))


@pytest.mark.parametrize(
    ("expression", "refused"),
    [
        ("req.action == 'read'", None),
        ("req.user.groups.exists(g, g.startsWith('ci-'))", None),
        ("has(req.claims.sub) && req.time > timestamp('2026-01-01T00:00:00Z')", None),
        ("req.tls.", "Syntax error"),
        ("", "Syntax error"),
        ("request.action == 'read'", "undeclared reference to 'request'"),
        ("req.user.groups.exists(g, h == 'a')", "undeclared reference to 'h'"),
        ("lookup(req.action)", "undeclared reference to 'lookup'"),
    ],
)
def test_conditions(expression: str, refused: str | None) -> None:
    said = zot_conditions.refusal(expression)
    assert said is None if refused is None else refused in str(said)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1h", 3600 * 10**9), ("-1.5s", -1_500_000_000), ("1h2m3ms", 3_720_003 * 10**6), ("0", 0), ("+5us", 5000)],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert zot_decode.parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "1d", "h", "1h-5m", "1 h", ".s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="time: "):
        zot_decode.parse_duration(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0s"), (3600 * 10**9, "1h0m0s"), (-90 * 10**9, "-1m30s"), (1_500_000_000, "1.5s"), (300_000, "300µs")],
)
def test_durations_as_messages_show_them(nanoseconds: int, text: str) -> None:
    assert zot_decode.go_duration(nanoseconds) == text


#: What zot's decoder takes though its schema leaves it out.
UNWRITTEN = {"gcmaxschedulerdelay", "sessionhashkey", "sessionencryptkey", "responseheadertimeout"}


def test_the_fields_are_those_of_zots_own_schema() -> None:
    schema = json.loads((RECORDINGS / "config.schema.json").read_text())
    compared = []

    def named(node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node or "anyOf" in node:
            if "anyOf" in node:
                node = next(choice for choice in node["anyOf"] if choice.get("type") != "null")
                continue
            node = schema["definitions"][node["$ref"].removeprefix("#/definitions/").replace("~0", "~")]
        return node

    def compare(kind: Struct, node: dict[str, Any], place: str) -> None:
        known = {name.lower(): inner for name, inner in named(node).get("properties", {}).items()}
        ours = {name.lower(): inner for name, inner in kind.fields.items() if name.lower() not in UNWRITTEN}
        assert set(ours) == set(known), place
        compared.append(place)
        for name, inner in ours.items():
            target = named(known[name])
            if isinstance(inner, ListOf | MapOf):
                target = named(target.get("items") or target.get("additionalProperties") or {})
                inner = inner.item
            # The schema of an event sink has the parts of its credentials beside it, the decoder below it.
            if isinstance(inner, Struct) and name != "sinks":
                compare(inner, target, f"{place}.{name}")

    compare(fields(), schema, "")
    assert len(compared) > 50


def test_a_reload_takes_over_only_what_zot_takes_over(tmp_path: pathlib.Path) -> None:
    def settings(change: Callable[[dict[str, Any]], None]) -> Settings:
        document = copy.deepcopy(BASE)
        document["extensions"] = {"search": {"enable": True}, "metrics": {"enable": True}}
        change(document)
        file = tmp_path / "config.json"
        file.write_text(json.dumps(document))
        return load(file)

    def everything(document: dict[str, Any]) -> None:
        document["http"] |= {"port": "1", "realm": "new", "auth": {"htpasswd": {"path": "h"}, "failDelay": 9}}
        document["http"]["accessControl"] = {"adminPolicy": {"users": ["root"], "actions": ["read"]}}
        document["extensions"] = {"search": {"enable": False}}

    now = settings(lambda document: None).reloaded(settings(everything))
    assert now.access == {"adminPolicy": {"users": ["root"], "actions": ["read"]}}
    assert (str(now.htpasswd), now.apikey) == ("h", False)
    assert (now.http["port"], now.realm, now.fail_delay) == ("5050", "", 0)
    assert (now.search, now.metrics_path) == (True, "/metrics")
