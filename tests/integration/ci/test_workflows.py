"""The workflows: valid, their shell clean, and their steps run as far as they need no runner.

STUBS: ``nix`` and ``nix-build`` write an image made by the test, ``dagger`` pushes or writes one (by skopeo); each
notes that it was called. Everything else is real: git, bash, ci/run, skopeo, the lab's registry.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.images import docker_archive, oci_archive
from tests.integration.ci.conftest import commit, git
from tests.integration.ci.lab import Registry
from tests.integration.ci.workflow import WORKFLOWS, evaluate, load, run_job, value_of

ROOT = Path(__file__).parents[3]
FILES = {"dagger": "build-container.yaml", "nix": "build-container-nix.yaml"}
KINDS = pytest.mark.parametrize("kind", FILES)
NAMES = {"dagger": "transmission", "nix": "ntfy"}

NIX = """#!/bin/sh
echo "nix $*" >> "$CALLED"
[ "$*" = "flake metadata nixpkgs --json" ] && echo '{"path": "/nix/store/0-source"}'
"""
NIX_BUILD = """#!/bin/sh
echo "nix-build $* with $NIX_PATH" >> "$CALLED"
[ -f "$1" ] && [ "$2" = --out-link ] && ln -sf "$IMAGE" "$3"
"""
DAGGER = f"""#!{sys.executable}
import base64, json, os, pathlib, shutil, subprocess, sys
words = [word for word in sys.argv[1:] if not word.startswith("--")]
options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
with open(os.environ["CALLED"], "a") as called:
    print("dagger", *sys.argv[1:], file=called)
assert words[:2] == ["./ci", "call"] and options["src"] == ".", sys.argv
if words[2:] == ["archive", "export"]:
    shutil.copy(os.environ["IMAGE"], options["path"])
if words[2:] == ["publish"]:
    assert options["registry-password"] == "env://ZOT_CI_API_KEY"
    target = f"{{options['registry']}}/{{options['namespace']}}/{{options['container-name']}}"
    target += f":v{{options['version']}}-{{options['commit-sha'][:7]}}"
    pair = f"{{options['username']}}:{{os.environ['ZOT_CI_API_KEY']}}".encode()
    auth = pathlib.Path(os.environ["CALLED"] + ".auth")
    auth.write_text(json.dumps({{"auths": {{options["registry"]: {{"auth": base64.b64encode(pair).decode()}}}}}}))
    digest = pathlib.Path(os.environ["CALLED"] + ".digest")
    command = "skopeo copy --quiet --dest-tls-verify=false --preserve-digests".split()
    command += [f"--authfile={{auth}}", f"--digestfile={{digest}}"]
    command += [f"oci-archive:{{os.environ['IMAGE']}}", f"docker://{{target}}"]
    ended = subprocess.run(command, stdout=sys.stderr)
    if ended.returncode:
        sys.exit(ended.returncode)
    print(f"{{target}}@{{digest.read_text()}}")
"""


class Estate:
    """A checkout, a registry, stubs; runs jobs of the workflows."""

    def __init__(self, zot: Registry, checkout: Path, tmp_path: Path) -> None:
        self.zot, self.checkout, self.tmp_path = zot, checkout, tmp_path
        self.origin = checkout.parent / "origin"
        self.called = tmp_path / "called"
        self.called.write_text("")
        programs = tmp_path / "bin"
        programs.mkdir()
        for name, text in {"nix": NIX, "nix-build": NIX_BUILD, "dagger": DAGGER}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        temp = tmp_path / "temp"
        temp.mkdir()
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "RUNNER_TEMP": str(temp),
            "CALLED": str(self.called),
            "REGISTRY_URL": zot.url,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT),
            "PYTHON": sys.executable,
        }
        self.secrets = {"ZOT_CI_API_KEY": zot.keys["zot-ci"]}

    def image(self, kind: str, word: str) -> None:
        """What the next build makes."""
        write = docker_archive if kind == "nix" else oci_archive
        self.environment["IMAGE"] = str(write(self.tmp_path / f"{word}.tar.gz", word))

    def plan(self, kind, *, container="", ref="", before=""):
        contexts = {"inputs": {"container": container, "ref": ref}, "github": {"event": {"before": before}}}
        git(self.checkout, "fetch", "--quiet")
        git(self.checkout, "checkout", "--quiet", "--detach", "origin/main")
        return run_job(load(FILES[kind]), "plan", contexts, checkout=self.checkout, environment=self.environment)

    def build(self, kind, planned):
        (name,) = json.loads(planned.outputs["containers"])
        contexts = {
            "matrix": {"container": name},
            "needs": {"plan": {"outputs": planned.outputs}},
            "secrets": self.secrets,
        }
        ended = run_job(load(FILES[kind]), "build", contexts, checkout=self.checkout, environment=self.environment)
        assert list((self.tmp_path / "temp").iterdir()) == []
        assert self.zot.keys["zot-ci"] not in ended.output
        return ended


@pytest.fixture
def estate(zot, checkout, tmp_path):
    return Estate(zot, checkout, tmp_path)


# --- the files ----------------------------------------------------------------------------------------------------


def test_the_workflows_are_valid():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run([*command, *map(str, WORKFLOWS.glob("*.yaml"))], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_schema_would_notice(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text((WORKFLOWS / FILES["nix"]).read_text().replace("runs-on:", "run-on:"))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(broken)]
    assert subprocess.run(command, capture_output=True).returncode == 1


@KINDS
def test_the_shell_of_every_step_is_clean(kind, tmp_path):
    for name, job in load(FILES[kind])["jobs"].items():
        for number, step in enumerate(job["steps"]):
            if "run" in step:
                assert "${{" not in step["run"], "values go by the environment: in the text they would be run"
                script = tmp_path / f"{name}-{number}.sh"
                script.write_text(step["run"])
                lint(script, "--shell=bash")


def test_the_scripts_are_clean():
    for script in (ROOT / "ci" / "run", ROOT / "containers" / "transmission" / "start.sh"):
        lint(script)


def lint(script, *options):
    shellcheck = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run([str(shellcheck), *options, str(script)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@KINDS
def test_what_starts_them_and_where_they_run(kind):
    workflow = load(FILES[kind])
    assert workflow["on"]["push"] == {"branches": ["main"], "paths": ["containers/**"]}
    inputs = workflow["on"]["workflow_dispatch"]["inputs"]
    assert {name: given["required"] for name, given in inputs.items()} == {"container": True, "ref": False}
    label = {"dagger": "k8s", "nix": "nix-container-builder"}[kind]
    assert {job["runs-on"] for job in workflow["jobs"].values()} == {label}
    build = workflow["jobs"]["build"]
    assert value_of(build["if"], {"needs": {"plan": {"outputs": {"containers": "[]"}}}}) is False
    assert value_of(build["if"], {"needs": {"plan": {"outputs": {"containers": '["a"]'}}}}) is True


@KINDS
def test_only_the_steps_that_need_the_key_get_it(kind):
    workflow = load(FILES[kind])
    assert "secrets" not in json.dumps([{**job, "steps": []} for job in workflow["jobs"].values()])
    having = [
        step["name"] for job in workflow["jobs"].values() for step in job["steps"] if "secrets" in json.dumps(step)
    ]
    assert having == ["Check key and tag", {"dagger": "Build and publish", "nix": "Push"}[kind]]


def test_expressions():
    contexts = {"inputs": {"ref": None}, "needs": {"plan": {"outputs": {"x": "[1]"}}}}
    assert evaluate("a ${{ inputs.ref }} ${{ needs.plan.outputs.x }} ${{ no.such }}", contexts) == "a  [1] "
    assert value_of("fromJSON(needs.plan.outputs.x)", contexts) == [1]


# --- their steps ----------------------------------------------------------------------------------------------------


@KINDS
def test_a_dispatch_pushes_once(estate, kind, request):
    name = NAMES[kind]
    (estate.origin / "containers" / name / "note").write_text(request.node.name)
    sha = commit(estate.origin, "Change")
    estate.image(kind, sha)
    planned = estate.plan(kind, container=name, ref=sha[:9])
    assert planned.outputs == {"commit": sha, "containers": json.dumps([name])}
    done = estate.build(kind, planned)
    assert done.failed is None, done.output
    tag = {"dagger": f"v4.0.6-r0-{sha[:7]}", "nix": f"v2.14.0-{sha[:7]}-nix"}[kind]
    digest = estate.zot.digest(f"blumeops/{name}", tag)
    assert f"{estate.zot.host}/blumeops/{name}:{tag} is free" in done.output
    assert f"{estate.zot.host}/blumeops/{name}:{tag} pushed: {digest}" in done.output

    again = estate.build(kind, planned)
    assert again.failed is None, again.output
    assert (
        f"{estate.zot.host}/blumeops/{name}:{tag} already holds this image, nothing was pushed: {digest}"
        in again.output
    )

    estate.image(kind, sha + "other")
    other = estate.build(kind, planned)
    assert other.failed == {"dagger": "Build and publish", "nix": "Push"}[kind]
    assert (
        "tags are immutable for zot-ci, and only a member of the group admins may change or delete one" in other.output
    )
    assert estate.zot.digest(f"blumeops/{name}", tag) == digest

    called = estate.called.read_text().splitlines()
    assert [call.split()[0] for call in called] == {"dagger": ["dagger"] * 3, "nix": ["nix", "nix-build"] * 3}[kind]
    if kind == "nix":
        assert called[1].endswith("containers/ntfy/default.nix --out-link result with nixpkgs=/nix/store/0-source")
    else:
        assert [call.split()[4] for call in called] == ["publish", "archive", "archive"]


@pytest.mark.parametrize(
    ("kind", "secret", "said"),
    [
        ("nix", "", "ZOT_CI_API_KEY is empty: the Actions secret is missing"),
        ("dagger", "", "ZOT_CI_API_KEY is empty: the Actions secret is missing"),
        ("nix", "zak_" + "0" * 32, "refuses the API key of zot-ci"),
        ("dagger", "short", "nothing is built with a key that ends within a day"),
    ],
)
def test_a_key_that_is_no_good_fails_before_anything_is_built(estate, kind, secret, said):
    estate.secrets = {"ZOT_CI_API_KEY": estate.zot.key("zot-ci", "short", 3600) if secret == "short" else secret}
    planned = estate.plan(kind, container=NAMES[kind])
    done = estate.build(kind, planned)
    assert done.failed == "Check key and tag"
    assert said in done.output
    assert estate.called.read_text() == ""


@KINDS
def test_a_ref_that_is_no_commit(estate, kind):
    planned = estate.plan(kind, container=NAMES[kind], ref="$(touch hacked)")
    assert planned.failed == "Find what to build"
    assert planned.output == (
        "Error: ref '$(touch hacked)' is no commit: "
        "give its SHA, 7 to 40 lower-case hex digits, not a branch or a tag\n"
    )
    assert not (estate.checkout / "hacked").exists()


@KINDS
def test_a_container_with_two_versions(estate, kind):
    before = git(estate.origin, "rev-parse", "HEAD")
    (estate.origin / "containers" / "odd").mkdir()
    odd = estate.origin / "containers" / "odd" / "Dockerfile"
    odd.write_text("ARG CONTAINER_APP_VERSION=1.0.0\nFROM a\nARG CONTAINER_APP_VERSION=2.0.0\n")
    commit(estate.origin, "Odd")
    planned = estate.plan(kind, before=before)
    assert planned.failed == "Find what to build"
    assert planned.output == (
        "Error: containers/odd declares 2 versions, 1.0.0 (Dockerfile:1) and 2.0.0 (Dockerfile:3): "
        "leave one, everywhere the same\n"
    )


@KINDS
def test_a_dispatch_of_the_other_workflow(estate, kind):
    other = NAMES["nix" if kind == "dagger" else "dagger"]
    planned = estate.plan(kind, container=other)
    assert planned.failed == "Find what to build"
    assert "dispatch the other workflow" in planned.output


def test_a_push_builds_what_it_changed(estate):
    before = git(estate.origin, "rev-parse", "HEAD")
    for name in ("ntfy", "navidrome"):
        (estate.origin / "containers" / name / "note").write_text("changed")
        last = commit(estate.origin, f"Change {name}")
    assert estate.plan("dagger", before=before).outputs == {"commit": last, "containers": '["navidrome"]'}
    assert estate.plan("nix", before=before).outputs["containers"] == '["ntfy"]'
    # A new branch, or one that was forced: what its newest commit changed.
    assert estate.plan("dagger", before="0" * 40).outputs["containers"] == '["navidrome"]'
    assert estate.plan("nix", before="0" * 40).outputs["containers"] == "[]"
    git(estate.origin, "rm", "-r", "--quiet", "containers/ntfy")
    before, last = last, commit(estate.origin, "Remove ntfy")
    assert estate.plan("nix", before=before).outputs == {"commit": last, "containers": "[]"}


def test_an_old_commit_is_built_as_it_was(estate):
    old = git(estate.origin, "rev-parse", "HEAD")
    (estate.origin / "containers" / "ntfy" / "default.nix").write_text('let version = "9.0.0"; in version')
    commit(estate.origin, "Newer")
    estate.image("nix", old)
    done = estate.build("nix", estate.plan("nix", container="ntfy", ref=old))
    assert done.failed is None, done.output
    assert f"/blumeops/ntfy:v2.14.0-{old[:7]}-nix pushed" in done.output
