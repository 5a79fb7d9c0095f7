"""The Dagger module by the real SDK, against a stub of the engine (dagger_stub.py): what it asks, in which order."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import anyio
import pytest
from blumeops_ci.pipeline import BlumeopsCi
from dagger.mod.cli import main

from tests.integration.ci.dagger_stub import TOKEN, Call, Object, Step, engine

ROOT = Path(__file__).parents[3]
SHA = "0123abc4567890123456789012345678901234ef"
MODULE = BlumeopsCi.__dagger_module__
KEY = "zak_" + "5ec3" * 8


@pytest.fixture(scope="module")
def server():
    with engine() as stub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGGER_SESSION_PORT", str(stub.port))
        patch.setenv("DAGGER_SESSION_TOKEN", TOKEN)
        patch.setenv("OTEL_SDK_DISABLED", "true")
        yield stub


@pytest.fixture
def stub(server):
    server.forget()
    return server


def call(stub, name, password=False, src=ROOT, **inputs):
    """Have the SDK's own entry point run a function of the module, as the engine does; returns what it handed back."""
    inputs["src"] = stub.id_of(Object("Directory", (Step("directory", {"path": str(src)}),)))
    if password:
        inputs["registry_password"] = stub.id_of(Object("Secret", (Step("secret", {"uri": "env://ZOT_CI_API_KEY"}),)))
    stub.call = Call(name, inputs)
    status = anyio.run(main, MODULE)
    assert (not status) is (stub.call.error is None)
    return stub.call


def test_the_module_is_laid_out_as_the_sdk_looks_for_it():
    """By discovery.go of Dagger's Python SDK (0.21): sources under src/, the main object named after the module."""
    module = json.loads((ROOT / "ci" / "dagger.json").read_text())
    project = tomllib.loads((ROOT / "ci" / "pyproject.toml").read_text())
    assert module["sdk"] == {"source": "python"}
    assert module["engineVersion"] == f"v{importlib.metadata.version('dagger-io')}"
    package, _, main_object = project["project"]["entry-points"]["dagger.mod"]["main_object"].partition(":")
    assert (package, main_object) == ("blumeops_ci.pipeline", BlumeopsCi.__name__)
    assert module["name"].title().replace("-", "") == BlumeopsCi.__name__
    assert module["name"] == project["project"]["name"]
    assert (ROOT / "ci" / "src" / module["name"].replace("-", "_") / "__init__.py").is_file()


def test_the_module_loads_where_only_dagger_is_installed():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['click', 'requests', 'yaml', 'ansible_collections'])); "
        "import blumeops_ci.pipeline"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "ci" / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_module_registers_its_functions(stub, tmp_path, monkeypatch):
    monkeypatch.setattr("dagger.mod._module.TYPE_DEF_FILE", str(tmp_path / "module.json"))
    stub.call = Call("", {})
    assert not anyio.run(main, MODULE, True), stub.call.error
    module = stub.of_id(json.loads((tmp_path / "module.json").read_text()))
    (main_object,) = [step.args["object"] for step in module.steps if step.field == "withObject"]
    functions = [step.args["function"].steps for step in main_object.steps if step.field == "withFunction"]
    arguments = {
        steps[0].args["name"]: [step.args["name"] for step in steps if step.field == "withArg"] for steps in functions
    }
    assert set(arguments) == {"archive", "build", "container_version", "publish"}
    assert arguments["publish"][:5] == ["src", "container_name", "version", "commit_sha", "registry_password"]
    (publish,) = [steps for steps in functions if steps[0].args["name"] == "publish"]
    password = next(step.args["typeDef"] for step in publish if step.args.get("name") == "registry_password")
    assert Step("withObject", {"name": "Secret"}) in password.steps
    assert Step("withOptional", {"optional": True}) in password.steps
    assert Step("withCachePolicy", {"policy": "Never"}) in publish


def fields(steps):
    return [step.field for step in steps]


def test_publish_authenticates_before_it_publishes(stub):
    done = call(stub, "publish", container_name="transmission", version="4.0.6-r0", commit_sha=SHA, password=True)
    (published,) = stub.leaves("publish")
    assert fields(published)[-2:] == ["withRegistryAuth", "publish"]
    auth, publish = published[-2:]
    address = "registry.ops.eblu.me/blumeops/transmission:v4.0.6-r0-0123abc"
    assert publish.args == {"address": address, "forcedCompression": "Gzip"}
    assert auth.args["address"] == address
    assert auth.args["username"] == "zot-ci"
    assert auth.args["secret"] == Object("Secret", (Step("secret", {"uri": "env://ZOT_CI_API_KEY"}),))
    assert done.value == f"{address}@{stub.digest}"


def test_publish_without_a_password_does_not_authenticate(stub):
    call(stub, "publish", container_name="transmission", version="4.0.6-r0", commit_sha=SHA)
    (published,) = stub.leaves("publish")
    assert "withRegistryAuth" not in fields(published)
    assert "secret" not in "".join(stub.bodies[1:]).lower()


def test_a_dockerfile_is_built_by_docker_build(stub):
    call(stub, "publish", container_name="transmission", version="4.0.6-r0", commit_sha=SHA)
    (published,) = stub.leaves("publish")
    built = stub.leaves("sync")[0]
    assert [(step.field, step.args.get("path")) for step in built] == [
        ("directory", str(ROOT)),
        ("directory", "containers/transmission"),
        ("dockerBuild", None),
        ("sync", None),
    ]
    assert published[:-1] == built[:-1]


def test_navidrome_is_built_by_its_own_pipeline(stub):
    call(stub, "publish", container_name="navidrome", version="v0.58.0", commit_sha=SHA, password=True)
    (published,) = stub.leaves("publish")
    assert "dockerBuild" not in fields(published)
    commands = [step.args["args"][0] for step in published if step.field == "withExec"]
    assert commands == ["apk"]
    (binary,) = [step.args["source"] for step in published if step.field == "withFile"]
    assert [step.args["args"][:2] for step in binary.steps if step.field == "withExec"] == [
        ["apk", "add"],
        ["go", "build"],
    ]
    (label,) = [step.args for step in published if step.args.get("name") == "org.opencontainers.image.version"]
    assert label["value"] == "v0.58.0"


def test_a_failing_step_is_named(stub):
    stub.failing = "npm"
    failed = call(stub, "publish", container_name="navidrome", version="v0.58.0", commit_sha=SHA, password=True)
    assert (
        failed.error == "FunctionError: the step 'npm ci' of container navidrome ended with status 3: no such package"
    )
    assert stub.leaves("publish") == []


def test_archive_is_what_publish_pushes(stub):
    archived = stub.of_id(call(stub, "archive", container_name="transmission").value)
    call(stub, "publish", container_name="transmission", version="4.0.6-r0", commit_sha=SHA)
    (published,) = stub.leaves("publish")
    assert archived.steps[:-1] == published[:-1]
    assert archived.steps[-1] == Step("asTarball", {"forcedCompression": published[-1].args["forcedCompression"]})


@pytest.mark.parametrize(
    ("name", "version"), [("navidrome", "0.58.0"), ("transmission", "4.0.6-r0"), ("ntfy", "2.14.0")]
)
def test_container_version(stub, name, version):
    assert call(stub, "container_version", container_name=name).value == version


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"container_name": "nobody"}, "there is no containers/nobody in the source"),
        ({"container_name": "../etc"}, "'../etc' is no container"),
        (
            {"container_name": "ntfy"},
            "containers/ntfy has neither container.py nor Dockerfile; its default.nix is built by",
        ),
        ({"container_name": "transmission", "commit_sha": "main"}, "'main' is no commit"),
        ({"container_name": "transmission", "version": "latest"}, "'latest' is no version"),
    ],
)
def test_bad_input_is_one_sentence_and_publishes_nothing(stub, inputs, said):
    failed = call(stub, "publish", **{"version": "4.0.6", "commit_sha": SHA, **inputs}, password=True)
    assert said in failed.error
    assert "\n" not in failed.error
    assert stub.leaves("publish") == []
    assert stub.leaves("sync") == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('VERSION = "1.2.3"', "has no function build"),
        ('VERSION = "1.2.3"\ndef build(src): return "image"', "returned str"),
    ],
)
def test_a_wrong_container_py_is_named(stub, tmp_path, code, said):
    (tmp_path / "containers" / "x").mkdir(parents=True)
    (tmp_path / "containers" / "x" / "container.py").write_text(code)
    assert said in call(stub, "build", src=tmp_path, container_name="x").error


SECRET = """
import asyncio, sys, dagger
from dagger import dag
from blumeops_ci.pipeline import BlumeopsCi
async def main():
    async with dagger.connection():
        key = dag.set_secret("ZOT_CI_API_KEY", sys.stdin.read())
        print(await BlumeopsCi().publish(dag.host().directory(sys.argv[1]), "navidrome", "v0.58.0", sys.argv[2], key))
asyncio.run(main())
"""


def test_a_password_in_hand_goes_as_a_secret_and_never_as_a_string(stub):
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "ci" / "src"),
        "DAGGER_SESSION_PORT": str(stub.port),
        "DAGGER_SESSION_TOKEN": TOKEN,
        "OTEL_SDK_DISABLED": "true",
    }
    ended = subprocess.run(
        [sys.executable, "-c", SECRET, str(ROOT), SHA],
        env=environment,
        input=KEY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert KEY not in ended.stdout + ended.stderr
    holding = [body for body in stub.bodies if KEY in body]
    assert holding
    assert all("setSecret" in body and "publish" not in body and "withRegistryAuth" not in body for body in holding)
    (published,) = stub.leaves("publish")
    secret = published[-2].args["secret"]
    assert (secret.type, secret.steps[-1].field, secret.steps[-1].args["name"]) == (
        "Secret",
        "setSecret",
        "ZOT_CI_API_KEY",
    )
