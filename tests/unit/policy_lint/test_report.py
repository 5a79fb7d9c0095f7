"""The page: complete, escaped, without anything from outside, and the same for the same input."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.examine import examine
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.options import Options
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.report import render

Config = dict[str, Any]
Changed = Callable[[Callable[[Config], object] | None], Config]
VOID = {"meta", "link", "br", "img"}
HOSTILE = "</style></td><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7 * 7 }}"


class Page(HTMLParser):
    """Tags in balance, their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def page(config: Config, **more: Any) -> str:
    told = {"zot_version": "2.1.20", "repositories": ["blumeops/navidrome", "blumeops/ntfy"], **more}
    return render(examine(Options(config=config, **told)).report)


def close_private(config: Config) -> None:
    blocks = config["http"]["accessControl"]["repositories"]
    blocks["blumeops/private/**"] = {
        "policies": [{"groups": ["artifact-workloads"], "actions": ["read", "create", "update"]}]
    }
    blocks["/slash/**"] = {"anonymousPolicy": ["read"]}


def test_page_shows_everything(changed: Changed) -> None:
    html = page(
        changed(close_private),
        live_config=changed(None),
        tests=[{"subject": "anonymous", "action": "read", "image": "blumeops/private/x", "expect": "allow"}],
        questions=[{"subject": "authenticated", "action": "read", "image": "blumeops/navidrome"}],
        gates=["no_new_access"],
    )
    text = re.sub(r"\s+", " ", Page(html).text)
    for shown in (
        "registry.ops.eblu.me",
        "Not to go live like this",
        "There are 1 error, 1 test that does not hold and 1 gate that is broken.",
        "What would change",
        "anonymous loses read on blumeops/private/x:v1.0.0",
        "no_new_access is broken",
        "Who may do what",
        "blumeops/private/**",
        "blumeops/navidrome, blumeops/ntfy",
        "group artifact-workloads",
        "ZP102 error",
        "Write 'slash/**'.",
        "Expected: allow.",
        "anybody logged in may read blumeops/navidrome",
    ):
        assert shown in text, shown


def test_page_marks_what_changes(changed: Changed) -> None:
    cells = {
        attributes["data-who"]: attributes
        for tag, attributes in Page(page(changed(close_private), live_config=changed(None))).tags
        if tag == "td" and "data-who" in attributes
    }
    assert set(cells) == {"anonymous", "anybody logged in", "group admins", "group artifact-workloads"}
    html = page(changed(close_private), live_config=changed(None))
    assert 'aria-label="read: no, not any more; create: no; update: no; delete: no"' in html
    assert 'aria-label="read: yes; create: yes; update: yes, new; delete: no"' in html


def test_page_of_a_policy_without_fault_says_so(changed: Changed) -> None:
    text = re.sub(r"\s+", " ", Page(page(changed(None), live_config=changed(None))).text)
    assert "Nothing stands in the way No error was found." in text
    assert "None. Nothing in the configuration looks wrong." in text
    assert "everybody may do exactly what they may do now" in text


def test_page_without_a_live_policy_compares_nothing(changed: Changed) -> None:
    assert "What would change" not in Page(page(changed(None))).text


def test_page_of_nothing_is_a_page() -> None:
    assert "There is nothing to show" in Page(page({"http": {"accessControl": []}}, repositories=[])).text


def test_page_needs_nothing_from_outside(changed: Changed) -> None:
    html = page(changed(close_private), live_config=changed(None))
    assert html.startswith("<!doctype html>")
    for tag, attributes in Page(html).tags:
        assert tag not in {"script", "iframe", "img", "object", "form", "base"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action"):
            assert attributes.get(name, "data:,") == "data:,"
    assert "url(" not in html
    assert "@import" not in html


def test_what_comes_from_the_configuration_is_escaped(changed: Changed) -> None:
    def hostile(config: Config) -> None:
        access = config["http"]["accessControl"]
        access["repositories"][f"{HOSTILE.lower()}/**"] = {
            "policies": [{"groups": [HOSTILE], "users": [HOSTILE], "actions": [HOSTILE, "read"]}]
        }
        access["repositories"]["a/**"] = {"policies": [{"users": [HOSTILE], "actions": ["read", "create"]}]}
        access["groups"] = {HOSTILE: {"users": []}}
        config[HOSTILE] = 1

    html = page(
        changed(hostile),
        live_config=changed(None),
        title=HOSTILE,
        declared_groups={HOSTILE: [HOSTILE]},
        questions=[{"subject": f"user:{HOSTILE}", "action": "read", "image": "a/b"}],
        tests=[{"subject": f"group:{HOSTILE}", "action": "read", "image": "a/b", "expect": "deny"}],
    )
    seen = Page(html)
    assert {tag for tag, _ in seen.tags} <= {
        *("html", "head", "meta", "link", "title", "style", "body", "main", "header", "section", "article", "footer"),
        *("h1", "h2", "h3", "p", "div", "span", "strong", "b", "i", "code", "ul", "ol", "li", "details", "summary"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    assert "{{ 7 * 7 }}" in seen.text
    assert "49" not in seen.text


def test_same_input_gives_the_same_bytes(changed: Changed) -> None:
    assert page(changed(close_private), live_config=changed(None)) == page(
        changed(close_private), live_config=changed(None)
    )


def test_rows_that_are_decided_alike_are_one(changed: Changed) -> None:
    names = [f"blumeops/app{number}" for number in range(30)]
    html = page(changed(None), repositories=names)
    assert html.count('<td class="where">') == 1
    assert "and 24 more" in Page(html).text


def test_very_much_is_counted_instead_of_shown(changed: Changed) -> None:
    def many(config: Config) -> None:
        for number in range(450):
            config["http"]["accessControl"]["repositories"][f"app{number}/**"] = {"anonymousPolicy": []}

    html = page(changed(many))
    assert html.count('<td class="where">') == 400
    assert "more rows" in Page(html).text


@pytest.mark.parametrize("sign", ["+", "-", "?"])
def test_every_kind_of_change_has_its_mark(sign: str, changed: Changed) -> None:
    report = examine(Options(config=changed(None), live_config=changed(None))).report
    change = type("Change", (), {"sign": sign, "sentence": "somebody changes"})()
    html = render(dataclasses.replace(report, changes=(change,)))  # type: ignore[arg-type]
    assert f'class="mark {({"+": "plus", "-": "minus", "?": "other"})[sign]}"' in html
