"""The commands: for people (``container-…``) and for the workflows (``image-…`` and ``container-plan``)."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ansible_collections.blumeops.registry.plugins.module_utils._errors import RegistryError, scrub

from . import publish as dagger
from . import push as skopeo
from .forge import Forge
from .problem import Problem
from .registry import Registry, Target, preflight
from .tags import container_name, image_tag, parse_tag
from .tree import (
    BUILT_BY,
    Commit,
    Container,
    WorkTree,
    changed_containers,
    find_built_commit,
    find_commit,
    find_head,
    is_pushed,
)

WORKFLOWS = {"dagger": "build-container.yaml", "nix": "build-container-nix.yaml"}


class Sentences(click.Group):
    """A group that shows our errors as one sentence, without what is secret, and ends with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (Problem, RegistryError) as error:
            secrets = [value for name in skopeo.SECRETS if (value := os.environ.get(name))]
            raise click.ClickException(scrub(str(error), secrets)) from None


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path.cwd,
    show_default="the current folder",
    help="A checkout of the estate's repository.",
)
@click.pass_context
def main(ctx: click.Context, root: Path) -> None:
    """Containers and images of the estate: versions, tags, builds and pushes."""
    ctx.obj = root


ROOT = click.make_pass_decorator(Path)
KIND = click.option("--kind", type=click.Choice(list(BUILT_BY)), required=True, help="Which of the two builds.")
REF = click.option("--ref", metavar="SHA", help="A commit; by default what lies in the work tree.")


def at_registry(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: the options that say which registry, and as whom; the key is taken from the environment only."""

    @click.option("--registry", "url", envvar="REGISTRY_URL", default="https://registry.ops.eblu.me", show_default=True)
    @click.option("--namespace", envvar="REGISTRY_NAMESPACE", default="blumeops", show_default=True)
    @click.option("--identity", envvar="ZOT_CI_USER", default="zot-ci", show_default=True, help="Owner of the key.")
    @click.option("--key-label", envvar="ZOT_CI_KEY_LABEL", help="The key's label, where several are in use at once.")
    @click.option(
        "--ca-path", envvar="REGISTRY_CA_PATH", help="PEM file of the CA that signed the registry's certificate."
    )
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        command(*args, **kwargs)

    return wrapped


# --- for people -----------------------------------------------------------------------------------------------


@main.command("container-version")
@click.argument("name")
@REF
@ROOT
def container_version(root: Path, name: str, ref: str | None) -> None:
    """Print the version of a container, as X.Y.Z."""
    click.echo(_tree(root, ref).container(name).version)


@main.command("container-list")
@click.option("--tags", is_flag=True, help="Also ask the registry for the tags of each (without credentials).")
@at_registry
@ROOT
def container_list(
    root: Path, tags: bool, url: str, namespace: str, identity: str, key_label: str | None, ca_path: str | None
) -> None:
    """List the containers: name, version, builds, image, and its tags with --tags."""
    tree = WorkTree(root)
    registry = Registry(url, identity, "", ca_path=ca_path)
    for container in map(tree.container, tree.names()):
        repository = Target(url, namespace, container.name, "").repository
        click.echo(
            f"{container.name:<24} {_version_or_reason(container):<16} {'+'.join(container.kinds):<11} {repository}"
        )
        for tag in sorted(filter(parse_tag, registry.tags(repository))) if tags else []:
            click.echo(f"{'':<24} {tag}")


@main.command("container-version-check")
@click.argument("names", nargs=-1)
@REF
@ROOT
def container_version_check(root: Path, names: tuple[str, ...], ref: str | None) -> None:
    """Check that every container (or those named) declares one version, the same in all its build files."""
    tree = _tree(root, ref)
    wrong = 0
    for name in names or tree.names():
        try:
            click.echo(f"{name}: {tree.container(name).version}")
        except Problem as problem:
            wrong += 1
            click.echo(f"{name}: {problem}", err=True)
    if wrong:
        raise Problem(
            f"{wrong} of {len(names or tree.names())} containers have no single version: correct what is named above"
        )


@main.command("container-build-and-release")
@click.argument("name")
@click.option("--ref", metavar="SHA", help="The commit to build; by default the one that is checked out.")
@click.option("--forge", "url", envvar="FORGE_URL", default="https://forge.eblu.me", show_default=True)
@click.option("--repository", envvar="FORGE_REPOSITORY", default="eblume/blumeops", show_default=True)
@click.option("--branch", envvar="FORGE_BRANCH", default="main", show_default=True, help="Holds the workflows.")
@click.option("--ca-path", envvar="FORGE_CA_PATH", help="PEM file of the CA that signed the forge's certificate.")
@ROOT
def container_build_and_release(
    root: Path, name: str, ref: str | None, url: str, repository: str, branch: str, ca_path: str | None
) -> None:
    """Have CI build a container at a commit and push it; FORGE_TOKEN is taken from the environment."""
    sha = find_commit(root, ref) if ref else find_head(root)
    container = Commit(root, sha).container(name)
    version = container.version
    if not is_pushed(root, sha):
        raise Problem(
            f"commit {sha[:7]} is in no branch of a remote as last fetched: push it first, CI builds what the forge has"
        )
    forge = Forge(url, repository, os.environ.get("FORGE_TOKEN", ""), ca_path=ca_path)
    for kind in container.kinds:
        run = forge.dispatch(WORKFLOWS[kind], branch, {"container": name, "ref": sha})
        click.echo(
            f"{name}:{image_tag(version, sha, nix=kind == 'nix')} is being built by {run.workflow}: see {run.page}"
        )


# --- for the workflows ----------------------------------------------------------------------------------------


@main.command("container-plan")
@KIND
@click.option("--container", "name", default="", help="The container of a dispatch.")
@click.option("--ref", default="", metavar="SHA", help="The commit of a dispatch; by default the one checked out.")
@click.option("--before", default="", metavar="SHA", help="Of a push: what the branch was before.")
@ROOT
def container_plan(root: Path, kind: str, name: str, ref: str, before: str) -> None:
    """Print what to build, as outputs of a step: commit=SHA and containers=[...].

    A dispatch names its container; a push means those that it changed. All their versions are found here, so
    that nothing is built when one of them has two or none.
    """
    sha = find_commit(root, ref) if ref else find_head(root)
    commit = Commit(root, sha)
    found = [commit.container(each) for each in ([name] if name else changed_containers(root, before, sha))]
    if name and kind not in found[0].kinds:
        files = " nor ".join(BUILT_BY[kind])
        raise Problem(
            f"containers/{name} at {sha[:7]} has no {files}: dispatch the other workflow, or give another ref"
        )
    for container in found:
        image_tag(container.version, sha)
    names = [container.name for container in found if kind in container.kinds]
    click.echo(f"commit={sha}\ncontainers={json.dumps(names)}")


@main.command("image-tag")
@click.argument("name")
@KIND
@click.option("--from-main", is_flag=True, help="Say in the tag that this is a build of main.")
@ROOT
def image_tag_command(root: Path, name: str, kind: str, from_main: bool) -> None:
    """Print version=X.Y.Z and tag=vX.Y.Z-<7 hex>[-main][-nix] of what is checked out, as outputs of a step."""
    sha = find_built_commit(root, name)
    version = Commit(root, sha).container(name).version
    click.echo(f"version={version}\ntag={image_tag(version, sha, nix=kind == 'nix', main=from_main)}")


@main.command("image-preflight")
@click.argument("name")
@click.argument("tag")
@at_registry
def image_preflight(
    name: str, tag: str, url: str, namespace: str, identity: str, key_label: str | None, ca_path: str | None
) -> None:
    """Check the key in ZOT_CI_API_KEY and the tag, before anything is built."""
    registry, target = _at(url, namespace, identity, ca_path, name, tag)
    note, stored = preflight(registry, target, label=key_label)
    click.echo(note)
    click.echo(f"{target.address} is {'free' if stored is None else f'there: {stored.digest}'}")


@main.command("image-push")
@click.argument("name")
@click.argument("tag")
@click.argument("source")
@at_registry
def image_push(
    name: str,
    tag: str,
    source: str,
    url: str,
    namespace: str,
    identity: str,
    key_label: str | None,
    ca_path: str | None,
) -> None:
    """Push SOURCE (docker-archive:PATH, oci-archive:PATH or oci:PATH) by skopeo, unless the tag holds it."""
    registry, target = _at(url, namespace, identity, ca_path, name, tag)
    done = skopeo.push(registry, os.environ.get("ZOT_CI_API_KEY", ""), target, source, label=key_label, ca_path=ca_path)
    _report(target, done)


@main.command("image-publish")
@click.argument("name")
@at_registry
@ROOT
def image_publish(
    root: Path, name: str, url: str, namespace: str, identity: str, key_label: str | None, ca_path: str | None
) -> None:
    """Build what is checked out by the Dagger module and publish it, unless the tag holds it."""
    sha = find_built_commit(root, name)
    version = Commit(root, sha).container(name).version
    registry, target = _at(url, namespace, identity, ca_path, name, image_tag(version, sha))
    _report(target, dagger.publish(root, registry, target, version, sha, label=key_label))


def _at(url: str, namespace: str, identity: str, ca_path: str | None, name: str, tag: str) -> tuple[Registry, Target]:
    if parse_tag(tag) is None:
        raise Problem(f"{tag!r} is no tag of ours: use the one that image-tag prints, vX.Y.Z-<7 hex>")
    registry = Registry(url, identity, os.environ.get("ZOT_CI_API_KEY", ""), ca_path=ca_path)
    return registry, Target(url, namespace, container_name(name), tag)


def _report(target: Target, done: skopeo.Pushed) -> None:
    click.echo(done.note)
    what = "pushed" if done.verdict == "push" else "already holds this image, nothing was pushed"
    click.echo(f"{target.address} {what}: {done.digest}")


def _tree(root: Path, ref: str | None) -> WorkTree | Commit:
    return Commit(root, find_commit(root, ref)) if ref else WorkTree(root)


def _version_or_reason(container: Container) -> str:
    try:
        return container.version
    except Problem:
        return "none or several"
