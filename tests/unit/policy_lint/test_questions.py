"""Who is meant, what is asked, and what is answered."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import Identity
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import Policy, parse_policy
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.policy_tests import parse_tests, run_tests
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.questions import (
    Image,
    access_table,
    ask,
    everybody,
    letters,
    parse_image,
    parse_question,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.subjects import People

POLICY = parse_policy(
    {
        "repositories": {
            "**": {
                "anonymousPolicy": ["read"],
                "defaultPolicy": ["read"],
                "policies": [
                    {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
                    {"groups": ["admins"], "users": ["erich"], "actions": ["read", "create", "update", "delete"]},
                ],
            },
            "release/**": {
                "policies": [
                    {
                        "groups": ["admins"],
                        "actions": ["create"],
                        "conditions": [{"expression": "req.tls.enabled", "message": ""}],
                    }
                ]
            },
            "a/*": {"anonymousPolicy": ["read"]},
            "*/b": {"defaultPolicy": ["read"]},
        },
        "groups": {"devs": {"users": ["ana"]}},
    }
).policy
PEOPLE = People.of([POLICY], {"admins": (), "artifact-workloads": ("zot-ci",)})


@pytest.mark.parametrize(
    ("text", "label", "identity"),
    [
        ("anonymous", "anonymous", Identity()),
        ("authenticated", "anybody logged in", Identity("somebody")),
        ("zot-ci", "zot-ci", Identity("zot-ci", ("artifact-workloads",))),
        (" user:zot-ci ", "zot-ci", Identity("zot-ci", ("artifact-workloads",))),
        ("user:nobody-knows", "nobody-knows", Identity("nobody-knows")),
        ("erich", "erich", Identity("erich")),
        ("ana", "ana", Identity("ana")),
        ("admins", "group admins", Identity("somebody", ("admins",))),
        ("group:strangers", "group strangers", Identity("somebody", ("strangers",))),
    ],
)
def test_subject_is_who_is_meant(text: str, label: str, identity: Identity) -> None:
    subject = PEOPLE.subject(text)
    assert (subject.label, subject.identity) == (label, identity)


def test_groups_can_be_told_for_a_user() -> None:
    assert PEOPLE.subject("user:new", ("admins",)).identity == Identity("new", ("admins",))
    assert PEOPLE.subject("new", ("admins",)).identity == Identity("new", ("admins",))
    assert PEOPLE.subject("zot-ci", ()).identity == Identity("zot-ci")


@pytest.mark.parametrize(
    ("text", "groups", "said"),
    [
        ("zot-cl", None, "did you mean zot-ci? write user:zot-cl"),
        ("", None, "is no user and no group"),
        ("user:", None, "is no user and no group"),
        ("anonymous", ("admins",), "has no groups"),
        ("group:admins", ("admins",), "is a group already"),
    ],
)
def test_subject_that_cannot_be_told_is_refused(text: str, groups: tuple[str, ...] | None, said: str) -> None:
    with pytest.raises(InvalidInput, match=said.replace("?", r"\?")):
        PEOPLE.subject(text, groups)


def test_name_of_a_user_and_a_group_has_to_be_told() -> None:
    people = People.of([POLICY], {"ops": (), "admins": ("ops",)})
    with pytest.raises(InvalidInput, match="write user:ops or group:ops"):
        people.subject("ops")
    assert people.subject("user:ops").identity.groups == ("admins",)


def test_stranger_is_nobody_who_is_named() -> None:
    people = People.of([], {"g": ("somebody",)})
    assert people.subject("authenticated").identity.name == "somebody-else"


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("blumeops/navidrome", Image("blumeops/navidrome")),
        ("blumeops/navidrome:v1.0.0-0123abc-nix", Image("blumeops/navidrome", "v1.0.0-0123abc-nix")),
        ("a@sha256:" + "0" * 64, Image("a", "sha256:" + "0" * 64)),
        ("docker.io/library/alpine:3", Image("docker.io/library/alpine", "3")),
    ],
)
def test_image_is_read_and_written_back(text: str, image: Image) -> None:
    assert parse_image(text, "Question 1") == image
    assert str(image) == text


@pytest.mark.parametrize(
    "text", ["", None, 3, "A/b", "a:b:c", "a:-x", "a:", "h:5000/a", "a@sha256:xyz", "/a", "a//b", "a b"]
)
def test_what_is_no_image_is_refused(text: object) -> None:
    with pytest.raises(InvalidInput, match=r"^Question 1 "):
        parse_image(text, "Question 1")


def question(**entry: Any) -> Any:
    return parse_question({"subject": "zot-ci", "action": "read", "image": "a", **entry}, PEOPLE, "Question 1")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"subject": None}, "has no subject"),
        ({"action": "push"}, "asks for the action 'push'"),
        ({"foo": 1}, "unknown key 'foo'"),
        ({"groups": "admins"}, "no list of names"),
        ({"via": "magic"}, "via 'magic'"),
        ({"subject": "zot-cl"}, "Question 1: The subject"),
    ],
)
def test_question_that_is_not_right_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        question(**entry)


def test_question_must_be_a_mapping() -> None:
    with pytest.raises(InvalidInput, match="must be a mapping"):
        parse_question("zot-ci", PEOPLE, "Question 1")


@pytest.mark.parametrize(
    ("entry", "outcome", "sentence", "why"),
    [
        (
            {"action": "update", "image": "blumeops/navidrome:v1.0.0"},
            "deny",
            "zot-ci (in artifact-workloads) may not update blumeops/navidrome:v1.0.0: the block '**' decides",
            "repositories['**'].policies[0] names group artifact-workloads, but not update.",
        ),
        (
            {"subject": "erich", "action": "delete", "image": "x"},
            "allow",
            "erich may delete x: repositories['**'].policies[1] grants it.",
            "repositories['**'].policies[1] grants delete to user erich.",
        ),
        (
            {"subject": "admins", "action": "create", "image": "release/x"},
            "conditional",
            "group admins may create release/x only while req.tls.enabled holds.",
            "Shorter patterns match and do not count: '**'.",
        ),
        (
            {"subject": "anonymous", "action": "read", "image": "a/b"},
            "random",
            "anonymous may read a/b at some requests and not at others: '*/b' and 'a/*' match and are equally long.",
            "zot takes one of them at random each time.",
        ),
        (
            {"subject": "anonymous", "action": "read", "image": "release/x"},
            "deny",
            "anonymous may not read release/x: the block 'release/**' decides, and no rule there grants that.",
            "repositories['release/**'].anonymousPolicy is absent.",
        ),
        (
            {"subject": "ana", "action": "read", "image": "x", "via": "password"},
            "allow",
            "ana may read x: repositories['**'].defaultPolicy grants it.",
            "repositories['**'].defaultPolicy grants read.",
        ),
    ],
)
def test_answer_says_what_decides_and_why(entry: dict[str, Any], outcome: str, sentence: str, why: str) -> None:
    answer = ask(POLICY, question(**entry))
    assert answer.outcome == outcome
    assert answer.sentence.startswith(sentence)
    assert why in " ".join(answer.why)
    assert all(line.endswith(".") for line in (answer.sentence, *answer.why))


def test_answer_where_no_pattern_matches() -> None:
    policy = parse_policy({"repositories": {"a": {"anonymousPolicy": ["read"]}}}).policy
    answer = ask(policy, parse_question({"subject": "anonymous", "action": "read", "image": "b"}, PEOPLE, "Question 1"))
    assert (
        answer.sentence == "anonymous may not read b: no pattern matches the name, and adminPolicy does not grant it."
    )


def test_table_has_everybody_and_every_action() -> None:
    subjects = everybody([POLICY], PEOPLE)
    table = access_table(POLICY, subjects, ["blumeops/navidrome", "release/x", "a/b", "blumeops/navidrome"])
    assert [subject.label for subject in subjects] == [
        "anonymous",
        "anybody logged in",
        "group admins",
        "group artifact-workloads",
        "group devs",
        "erich",
    ]
    assert [row.repository for row in table.rows] == ["blumeops/navidrome", "release/x", "a/b"]
    assert [letters(cell) for cell in table.rows[0].cells] == ["r---", "r---", "rcud", "rc--", "r---", "rcud"]
    assert [letters(cell) for cell in table.rows[1].cells] == ["----", "----", "-?--", "----", "----", "----"]
    assert [letters(cell) for cell in table.rows[2].cells] == ["?---"] + ["?---"] * 5
    assert table.rows[2].blocks == ("*/b", "a/*")
    assert table.as_dict()["blumeops/navidrome"]["anonymous"]["read"] == "allow"


TESTS = [
    {"subject": "zot-ci", "action": "create", "image": "blumeops/navidrome:v1.0.1", "expect": "allow"},
    {"subject": "zot-ci", "action": "update", "image": "blumeops/navidrome:v1.0.0", "expect": "allow"},
    {"subject": "anonymous", "action": "read", "image": "a/b", "expect": "allow"},
    {"subject": "admins", "action": "create", "image": "release/x", "expect": "conditional"},
]


def test_tests_pass_on_the_very_answer_only() -> None:
    results = run_tests(POLICY, parse_tests(TESTS, PEOPLE))
    assert [result.passed for result in results] == [True, False, False, True]
    assert results[1].sentence.startswith("Test 2 expects allow: zot-ci (in artifact-workloads) may not update")
    assert results[0].sentence.startswith("Test 1 holds: ")
    assert results[1].as_dict()["explanation"] == list(results[1].answer.why)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"subject": "x"}, "must be a list"),
        ([TESTS[0], {**TESTS[0], "expect": "yes"}], "Policy test 2 expects 'yes'"),
        ([{key: value for key, value in TESTS[0].items() if key != "expect"}], "Policy test 1 expects 'None'"),
        ([{**TESTS[0], "expects": "allow"}], "unknown key 'expects'"),
    ],
)
def test_tests_that_are_not_right_are_refused(entries: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_tests(entries, PEOPLE)


def test_uncontrolled_registry_is_told() -> None:
    policy = Policy(enabled=False)
    answer = ask(policy, question())
    assert answer.outcome == "allow"
    assert answer.sentence == "zot-ci (in artifact-workloads) may read a: nothing controls it."


def test_anonymous_is_turned_away_where_no_block_has_an_anonymous_policy() -> None:
    policy = parse_policy({"repositories": {"**": {"defaultPolicy": ["read"]}}}).policy
    answer = ask(policy, question(subject="anonymous", image="b"))
    assert answer.sentence == (
        "anonymous may not read b: no block has an anonymousPolicy, so zot asks everybody to log in."
    )
