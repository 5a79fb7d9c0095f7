"""The commands for people, in a real checkout, with the lab's forge and registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import requests
from aiohttp import web
from blumeops_ci.cli import main
from blumeops_ci.problem import Problem
from blumeops_ci.tree import Commit, WorkTree, changed_containers, find_commit
from click.testing import CliRunner

from tests.integration.ci.conftest import ROOT, commit, git
from tests.integration.ci.lab import program, serving


@pytest.fixture
def ci(checkout, monkeypatch):
    """Run a command in the checkout."""
    for name in ("FORGE_TOKEN", "ZOT_CI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, **environment):
        return CliRunner().invoke(main, ["--root", str(checkout), *arguments], env=environment)

    return run


def sentence(done):
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("Error: ").strip()


# --- versions -----------------------------------------------------------------------------------------------------


def test_version_of_the_work_tree_and_of_a_commit(ci, checkout):
    first = git(checkout, "rev-parse", "HEAD")
    (checkout / "containers" / "ntfy" / "default.nix").write_text('let version = "3.0.0"; in version')
    assert ci("container-version", "ntfy").output == "3.0.0\n"
    assert ci("container-version", "ntfy", "--ref", first).output == "2.14.0\n"


def test_list(ci):
    lines = [line.split() for line in ci("container-list").output.splitlines()]
    assert lines == [
        ["navidrome", "0.58.0", "dagger", "blumeops/navidrome"],
        ["ntfy", "2.14.0", "nix", "blumeops/ntfy"],
        ["transmission", "4.0.6-r0", "dagger", "blumeops/transmission"],
    ]


def test_list_with_tags_shows_those_that_we_made(ci):
    app = web.Application()

    async def tags(request):
        if "ntfy" not in request.path:
            return web.json_response({"errors": [{"code": "NAME_UNKNOWN"}]}, status=404)
        return web.json_response({"tags": ["latest", "v2.14.0-0123abc-nix"]})

    app.router.add_get("/v2/{name:.*}/tags/list", tags)
    with serving(app) as port:
        lines = ci("container-list", "--tags", REGISTRY_URL=f"http://127.0.0.1:{port}").output.splitlines()
    assert [line.strip() for line in lines[2:3]] == ["v2.14.0-0123abc-nix"]
    assert len(lines) == 4


def test_list_with_tags_from_a_proxy_that_answers_html(ci):
    app = web.Application()

    async def html(request):
        return web.Response(text="<html>", content_type="text/html")

    app.router.add_get("/{path:.*}", html)
    with serving(app) as port:
        done = ci("container-list", "--tags", REGISTRY_URL=f"http://127.0.0.1:{port}")
    assert done.exit_code == 1
    assert "answered 200 with HTML instead of JSON" in done.stderr


def test_version_check_names_every_container_that_is_wrong(ci, checkout):
    assert ci("container-version-check").exit_code == 0
    for name, text in (("bad", "FROM a\n"), ("worse", "ARG CONTAINER_APP_VERSION=latest\n")):
        (checkout / "containers" / name).mkdir()
        (checkout / "containers" / name / "Dockerfile").write_text(text)
    done = ci("container-version-check")
    assert done.exit_code == 1
    bad, worse, last = done.stderr.splitlines()
    assert bad.startswith("bad: containers/bad/Dockerfile declares no version")
    assert worse.startswith("worse: containers/worse/Dockerfile, line 1, declares 'latest'")
    assert last == "Error: 2 of 5 containers have no single version: correct what is named above"
    assert "ntfy: 2.14.0" in done.stdout
    listed = {line.split()[0]: line for line in ci("container-list").output.splitlines()}
    assert "none or several" in listed["bad"]


def test_a_container_that_is_none(ci, checkout):
    known = "there are navidrome, ntfy, transmission"
    short = git(checkout, "rev-parse", "--short=7", "HEAD")
    said = sentence(ci("container-version", "nobody"))
    assert said == f"there is no container 'nobody' under containers/: {known}"
    said = sentence(ci("container-build-and-release", "nobody"))
    assert said == f"there is no container 'nobody' under containers/ at {short}: {known}"
    assert "'../ci' is no container" in sentence(ci("container-version", "../ci"))


def test_a_tag_names_the_commit_that_is_built(ci, checkout):
    sha = git(checkout, "rev-parse", "HEAD")
    assert ci("image-tag", "ntfy", "--kind", "nix").output == f"version=2.14.0\ntag=v2.14.0-{sha[:7]}-nix\n"
    assert ci("image-tag", "navidrome", "--kind", "dagger", "--from-main").output.endswith(f"v0.58.0-{sha[:7]}-main\n")
    (checkout / "containers" / "ntfy" / "extra").write_text("not committed")
    assert "containers/ntfy has changes that are not committed" in sentence(ci("image-tag", "ntfy", "--kind", "nix"))
    assert ci("image-tag", "navidrome", "--kind", "dagger").exit_code == 0


@pytest.mark.parametrize("tag", ["latest", "v1.0.0", "v1.0.0-main"])
def test_a_tag_that_is_none_of_ours(ci, tag):
    assert f"{tag!r} is no tag of ours" in sentence(ci("image-preflight", "ntfy", tag))


# --- commits ------------------------------------------------------------------------------------------------------


def test_a_ref_that_is_no_commit(checkout):
    sha, tree = git(checkout, "rev-parse", "HEAD", "HEAD^{tree}").splitlines()
    git(checkout, "tag", "v1.0.0")
    assert find_commit(checkout, sha) == find_commit(checkout, sha[:7]) == sha
    for ref, said in (
        ("main", "is no commit: give its SHA"),
        ("HEAD", "is no commit: give its SHA"),
        ("v1.0.0", "is no commit: give its SHA"),
        ("-n", "is no commit: give its SHA"),
        (sha[:6], "is no commit: give its SHA"),
        (sha.upper(), "is no commit: give its SHA"),
        (tree, "is a tree, no commit: fetch it"),
        ("0" * 40, "is no commit of this repository, or not unique"),
    ):
        with pytest.raises(Problem, match=said):
            find_commit(checkout, ref)


def test_a_branch_that_looks_like_a_commit_is_none(checkout):
    git(checkout, "branch", "0123abc")
    with pytest.raises(Problem, match="is a branch or tag of that name"):
        find_commit(checkout, "0123abc")


def test_a_folder_without_git(tmp_path, monkeypatch):
    (tmp_path / "containers").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    done = CliRunner().invoke(main, ["--root", str(tmp_path), "container-plan", "--kind", "nix"])
    assert "is no git repository with a commit" in sentence(done)


def test_names_that_git_would_quote(checkout):
    before = git(checkout, "rev-parse", "HEAD")
    (checkout / "containers" / "ü n").mkdir()
    (checkout / "containers" / "ü n" / "Dockerfile").write_text("")
    (checkout / "containers" / "README").write_text("")
    after = commit(checkout, "Odd names")
    assert changed_containers(checkout, before, after) == ["ü n"]
    assert Commit(checkout, after).names() == WorkTree(checkout).names() == ["navidrome", "ntfy", "transmission", "ü n"]


# --- dispatch -----------------------------------------------------------------------------------------------------

INPUTS = {"container": {"required": True, "type": "string"}, "ref": {"type": "string"}}
WORKFLOWS = {
    name: {"inputs": INPUTS, "jobs": ["plan", "build"]} for name in ("build-container.yaml", "build-container-nix.yaml")
}
WORLD = {
    "users": {"eblume": {"admin": True}, "owen": {}, "carol": {}},
    "orgs": {},
    "repos": {
        "eblume/blumeops": {"workflows": WORKFLOWS},
        "eblume/bare": {},
        "owen/bare": {},
        "eblume/old": {"workflows": WORKFLOWS, "archived": True},
    },
    "tokens": {
        "T_WRITE": ["eblume", ["write:repository"]],
        "T_READ": ["eblume", ["read:repository"]],
        "T_OWEN": ["owen", ["write:repository"]],
    },
}


@pytest.fixture(scope="module")
def forge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forge")
    (folder / "world.json").write_text(json.dumps(WORLD))
    command = [sys.executable, "-m", "lab.standins.forgejo", "--world", str(folder / "world.json")]
    with program(command, folder / "log") as line:
        yield line.split()[-1]


def runs(forge):
    listed = requests.get(
        f"{forge}/api/v1/repos/eblume/blumeops/actions/runs", headers={"Authorization": "token T_WRITE"}, timeout=10
    ).json()
    return listed["workflow_runs"]


@pytest.fixture
def release(ci, forge):
    def run(*arguments, token="T_WRITE", **environment):
        return ci(
            "container-build-and-release", *arguments, **{"FORGE_URL": forge, "FORGE_TOKEN": token, **environment}
        )

    return run


@pytest.mark.parametrize(
    ("name", "workflow", "version", "suffix"),
    [("transmission", "build-container.yaml", "4.0.6-r0", ""), ("ntfy", "build-container-nix.yaml", "2.14.0", "-nix")],
)
def test_dispatch_starts_the_right_workflow_and_says_where_to_look(
    release, forge, checkout, name, workflow, version, suffix
):
    sha = git(checkout, "rev-parse", "HEAD")
    before = len(runs(forge))
    done = release(name, "--ref", sha[:10])
    assert done.exit_code == 0, done.output
    (run,) = runs(forge)[: len(runs(forge)) - before]
    assert run["workflow_id"] == workflow
    page = f"{forge}/eblume/blumeops/actions/runs/{run['index_in_repo']}"
    assert done.output == f"{name}:v{version}-{sha[:7]}{suffix} is being built by {workflow}: see {page}\n"


def test_a_container_with_both_builds_starts_both(release, forge, checkout):
    folder = checkout.parent / "origin" / "containers" / "transmission"
    (folder / "default.nix").write_text('let version = "4.0.6-r0"; in version')
    sha = commit(checkout.parent / "origin", "Build it by Nix, too")
    git(checkout, "fetch", "--quiet")
    before = len(runs(forge))
    assert release("transmission", "--ref", sha).exit_code == 0
    assert len(runs(forge)) == before + 2


def test_a_commit_that_the_forge_does_not_have(release, forge, checkout):
    (checkout / "containers" / "ntfy" / "note").write_text("here only")
    sha = commit(checkout, "Here only")
    before = len(runs(forge))
    assert f"commit {sha[:7]} is in no branch of a remote as last fetched: push it first" in sentence(release("ntfy"))
    assert len(runs(forge)) == before


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"token": ""}, "FORGE_TOKEN is empty: give a token of the forge with scope write:repository"),
        ({"token": "a\nb"}, "FORGE_TOKEN contains a blank, a control character"),
        ({"token": "T_NONE"}, "refuses FORGE_TOKEN: make a new one with scope write:repository"),
        ({"token": "T_READ"}, "FORGE_TOKEN may not start workflows of eblume/blumeops"),
        ({"token": "T_OWEN"}, "FORGE_TOKEN may not start workflows of eblume/blumeops"),
        ({"FORGE_REPOSITORY": "eblume/nothing"}, "shows no repository eblume/nothing with Actions to this token"),
        (
            {"FORGE_REPOSITORY": "eblume/bare"},
            "eblume/bare has no workflow build-container-nix.yaml on main: put it into",
        ),
        ({"FORGE_REPOSITORY": "eblume/old"}, "answered 423 to the dispatch of build-container-nix.yaml"),
        ({"FORGE_BRANCH": "nope"}, "eblume/blumeops has no branch 'nope': set FORGE_BRANCH"),
        (
            {"FORGE_REPOSITORY": "owen/bare", "token": "T_OWEN"},
            "500 to the dispatch: most likely .forgejo/workflows/build-container-nix.yaml or the branch 'main'",
        ),
        ({"FORGE_URL": "http://127.0.0.1:1"}, "refuses connections: is it running"),
        ({"FORGE_URL": "forge"}, "the address of the forge must be an address such as https://host"),
    ],
)
def test_a_dispatch_that_cannot_be(release, environment, said):
    done = release("ntfy", **environment)
    assert said in sentence(done)
    token = environment.get("token", "T_WRITE")
    assert not token or token not in done.output


def test_a_forge_behind_a_page_that_answers_html(release):
    app = web.Application()

    async def html(request):
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    app.router.add_route("*", "/{path:.*}", html)
    with serving(app) as port:
        assert "answered 200 with HTML instead of JSON" in sentence(
            release("ntfy", FORGE_URL=f"http://127.0.0.1:{port}")
        )


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (204, None, "/eblume/blumeops/actions?workflow=build-container-nix.yaml"),
        (201, {"id": 7, "run_number": 3, "jobs": []}, "/eblume/blumeops/actions/runs/3"),
        (201, {}, "/eblume/blumeops/actions?workflow=build-container-nix.yaml"),
        (301, None, "eblume/blumeops has moved: set FORGE_REPOSITORY to its new name"),
        (400, {"message": "input required for 'container'"}, "input required for 'container'"),
    ],
)
def test_answers_of_a_forge(release, status, body, said):
    app = web.Application()

    async def answer(request):
        return web.Response(status=status) if body is None else web.json_response(body, status=status)

    app.router.add_post("/{path:.*}", answer)
    with serving(app) as port:
        done = release("ntfy", FORGE_URL=f"http://127.0.0.1:{port}")
    assert said in done.output
    assert done.exit_code == (0 if status < 300 else 1)


# --- ci/run -------------------------------------------------------------------------------------------------------


def run(checkout, **environment):
    command = [str(checkout / "ci" / "run"), "container-version", "ntfy"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout), "PYTHON": sys.executable, **environment}
    return subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True)


def test_run_takes_the_installed_collection(checkout):
    done = run(checkout, ANSIBLE_COLLECTIONS_PATH=f"/nowhere:{ROOT}")
    assert (done.stdout, done.stderr) == ("2.14.0\n", "")


def test_run_says_what_it_needs(checkout, tmp_path):
    done = run(checkout)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the collection blumeops.registry is not installed here: run ansible-galaxy")
    assert done.stderr.count("\n") == 1
    # As if click were not installed.
    (tmp_path / "click.py").write_text('raise ModuleNotFoundError("none", name="click")')
    done = run(checkout, ANSIBLE_COLLECTIONS_PATH=str(ROOT), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "Error: the Python package click is not installed here: install click and requests\n"
