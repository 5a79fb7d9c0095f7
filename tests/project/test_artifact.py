"""What ansible-galaxy builds and installs, from the collection's folder and from the repository's root."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import pytest

from lab.up import lab

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent
#: Folders of the repository that have no place in a collection.
OUTSIDE = {"lab", "ci", "containers", "bench", "playbooks", "inventory", "molecule", "requirements", "docs", ".ci"}


def run(*command: object, cwd: pathlib.Path, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A repository with what belongs to the project now, committed or not."""
    folder = tmp_path_factory.mktemp("checkout")
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        if (ROOT / name).is_symlink() or (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    run("git", "init", "-q", ".", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", *identity, "commit", "-q", "-m", "all", cwd=folder)
    return folder


def ansible(folder: pathlib.Path, tmp: pathlib.Path) -> dict[str, str]:
    """An environment in which only the collections of ``folder`` are known."""
    (tmp / "empty.cfg").write_text("")
    return {
        "ANSIBLE_CONFIG": str(tmp / "empty.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false",
        "ANSIBLE_HOME": str(tmp / "home"),
        "PYTHONPATH": "",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


def works(installed: pathlib.Path, tmp: pathlib.Path) -> None:
    """Everything resolves from there and nothing from elsewhere."""
    for kind, name in (("lookup", "onepassword"), ("module", "forgejo_actions_secrets"), ("role", "zot")):
        text = run(BIN / "ansible-doc", "--type", kind, f"blumeops.registry.{name}", cwd=tmp, **ansible(installed, tmp))
        assert name in text
    python = f"ansible_python_interpreter={sys.executable}"
    play = tmp / "play.yml"
    play.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        "    - blumeops.registry.zot_info: {binary: /nonexistent/zot}\n      register: told\n"
        "    - ansible.builtin.assert: {that: not told.present}\n"
        "    - ansible.builtin.assert:\n"
        "        that: (['op://v/i/f', 'x'] | blumeops.registry.secret_references) == ['op://v/i/f']\n"
    )
    run(
        BIN / "ansible-playbook",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        python,
        play,
        cwd=tmp,
        **ansible(installed, tmp),
    )


@pytest.mark.parametrize("place", ["ansible_collections/blumeops/registry", "."])
def test_build_and_install(checkout: pathlib.Path, tmp_path: pathlib.Path, place: str) -> None:
    env = ansible(tmp_path / "none", tmp_path)
    run(BIN / "ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=checkout / place, **env)
    (artifact,) = tmp_path.glob("blumeops-registry-*.tar.gz")
    with tarfile.open(artifact) as archive:
        names = {name.split("/")[0] for name in archive.getnames()}
    assert not names & OUTSIDE
    installed = tmp_path / "installed"
    run(BIN / "ansible-galaxy", "collection", "install", artifact, "-p", installed, "--offline", cwd=tmp_path, **env)
    works(installed, tmp_path)


def test_install_from_git(checkout: pathlib.Path, tmp_path: pathlib.Path) -> None:
    installed, env = tmp_path / "installed", ansible(tmp_path / "none", tmp_path)
    run(BIN / "ansible-galaxy", "collection", "install", f"git+file://{checkout}", "-p", installed, cwd=tmp_path, **env)
    collection = installed / "ansible_collections" / "blumeops" / "registry"
    assert not {path.name for path in collection.iterdir()} & OUTSIDE
    works(installed, tmp_path)


def test_the_playbook_runs_from_the_installed_copy(checkout: pathlib.Path, tmp_path: pathlib.Path) -> None:
    installed = tmp_path / "installed"
    env = ansible(tmp_path / "none", tmp_path)
    folder = checkout / "ansible_collections" / "blumeops" / "registry"
    run(BIN / "ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=folder, **env)
    (artifact,) = tmp_path.glob("blumeops-registry-*.tar.gz")
    run(BIN / "ansible-galaxy", "collection", "install", artifact, "-p", installed, "--offline", cwd=tmp_path, **env)
    with lab() as running:
        done = running.run(
            "ansible-playbook",
            "-i",
            str(ROOT / "inventory" / "lab"),
            str(ROOT / "playbooks" / "indri.yml"),
            env={**ansible(installed, tmp_path), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert running.zot_config.exists()
