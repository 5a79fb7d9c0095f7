"""What the pages point to is there, and nothing in them is left open."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "ansible_collections" / "blumeops" / "registry"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), COLLECTION / "README.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_nothing_is_left_open(page: pathlib.Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    assert "@@" not in text


def test_what_galaxy_yml_names_is_there() -> None:
    about = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())
    for name in (about["readme"], about["license_file"], "CHANGELOG.md", "requirements.txt"):
        assert (COLLECTION / name).is_file(), name
