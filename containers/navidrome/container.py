"""Navidrome, a music server: web interface, server and runtime as three stages, each step with its own error."""

from __future__ import annotations

import dagger
from dagger import dag

VERSION = "v0.58.0"

#: Base images by way of the registry's pull-through, so that a build does not depend on the upstream's limits.
IMAGES = "registry.ops.eblu.me/docker.io/library"
MIRROR = "https://forge.eblu.me/mirrors/navidrome.git"


def build(src: dagger.Directory) -> dagger.Container:
    source = dag.git(MIRROR).tag(VERSION).tree()
    return runtime(server(source, interface(source)))


def interface(source: dagger.Directory) -> dagger.Directory:
    """The web interface, which the server embeds."""
    return (
        dag.container()
        .from_(f"{IMAGES}/node:22-alpine")
        .with_directory("/ui", source.directory("ui"))
        .with_workdir("/ui")
        .with_exec(["npm", "ci"])
        .with_exec(["npm", "run", "build"])
        .directory("/ui/build")
    )


def server(source: dagger.Directory, ui: dagger.Directory) -> dagger.File:
    """The server, with taglib for tags and SQLite's full-text search."""
    return (
        dag.container()
        .from_(f"{IMAGES}/golang:1.25-alpine")
        .with_exec(["apk", "add", "--no-cache", "build-base", "git", "taglib-dev", "zlib-dev"])
        .with_directory("/src", source)
        .with_directory("/src/ui/build", ui)
        .with_workdir("/src")
        .with_env_variable("CGO_ENABLED", "1")
        .with_exec(["go", "build", "-trimpath", "-tags=netgo,sqlite_fts5", "-ldflags=-s -w", "-o", "/navidrome", "."])
        .file("/navidrome")
    )


def runtime(binary: dagger.File) -> dagger.Container:
    """What runs: the server, ffmpeg to transcode, and no root."""
    return (
        dag.container()
        .from_(f"{IMAGES}/alpine:3.22")
        .with_exec(["apk", "add", "--no-cache", "ca-certificates", "ffmpeg", "taglib", "tzdata"])
        .with_file("/usr/bin/navidrome", binary)
        .with_label("org.opencontainers.image.title", "Navidrome")
        .with_label("org.opencontainers.image.version", VERSION)
        .with_env_variable("ND_DATAFOLDER", "/data")
        .with_env_variable("ND_MUSICFOLDER", "/music")
        .with_exposed_port(4533)
        .with_user("1000:1000")
        .with_entrypoint(["/usr/bin/navidrome"])
    )
