"""The version of a container: found where it is declared, never guessed."""

from __future__ import annotations

import pytest
from blumeops_ci.problem import Problem
from blumeops_ci.tags import image_tag
from blumeops_ci.versions import find_version
from hypothesis import given
from hypothesis import strategies as st

NIX = """
{ pkgs ? import <nixpkgs> { } }:
let
  # version = "9.9.9";
  /* version = "9.9.8"; */
  version = "2.17.0";
  note = "a string with version = '9.9.7'; and ${ "version = 9" } inside";
  script = ''
    version = "9.9.6";
    ''${notnix} # version = "9.9.5";
  '';
  other.version = "9.9.4";
  app = pkgs.ntfy-sh;
in
assert app.version == "9.9.3";
pkgs.dockerTools.buildLayeredImage { name = "blumeops/ntfy"; inherit version; }
"""

FOUND = {
    "dockerfile": ({"Dockerfile": "FROM a\nARG CONTAINER_APP_VERSION=1.2.3\n"}, "1.2.3"),
    "dockerfile, quoted": ({"Dockerfile": "ARG CONTAINER_APP_VERSION='v1.2.3'\n"}, "1.2.3"),
    "dockerfile, double quotes": (
        {"Dockerfile": 'arg\tOTHER=2.0.0 CONTAINER_APP_VERSION="1.2.3" \n'},
        "1.2.3",
    ),
    "dockerfile, taken into a stage": (
        {
            "Dockerfile": "ARG CONTAINER_APP_VERSION=1.2.3\nFROM a\nARG CONTAINER_APP_VERSION\n"
            "RUN echo $CONTAINER_APP_VERSION\n"
        },
        "1.2.3",
    ),
    "dockerfile, said twice": (
        {"Dockerfile": "ARG CONTAINER_APP_VERSION=1.2.3\nFROM a\nARG CONTAINER_APP_VERSION=1.2.3\n"},
        "1.2.3",
    ),
    "dockerfile, comments, continuation, other arguments": (
        {
            "Dockerfile": "# ARG CONTAINER_APP_VERSION=9.9.9\nARG \\\n  # no\n\n"
            "  CONTAINER_APP_VERSION=1.2.3\nARG X_CONTAINER_APP_VERSION=8.0.0"
        },
        "1.2.3",
    ),
    "container.py": (
        {"container.py": 'VERSION = "v1.2.3"\n\ndef build(src):\n    VERSION = "9.9.9"\n'},
        "1.2.3",
    ),
    "container.py, typed": (
        {"container.py": 'from typing import Final\nVERSION: Final[str] = "1.2.3"\nOTHER["VERSION"] = "2"\n'},
        "1.2.3",
    ),
    "default.nix": ({"default.nix": NIX}, "2.17.0"),
    "two files that agree but for the v": (
        {"container.py": 'VERSION = "v1.2.3"', "default.nix": 'let version = "1.2.3"; in version'},
        "1.2.3",
    ),
    "other files do not matter": (
        {"Dockerfile": "ARG CONTAINER_APP_VERSION=4.0.6-r0", "start.sh": "version=9.9.9"},
        "4.0.6-r0",
    ),
}


@pytest.mark.parametrize(("files", "version"), FOUND.values(), ids=FOUND.keys())
def test_found(files, version):
    assert find_version("ntfy", files) == version


PROBLEMS = {
    "no build file": ({}, "containers/ntfy has none of container.py, Dockerfile, default.nix"),
    "only other files": ({"start.sh": "VERSION=1.2.3"}, "containers/ntfy has none of"),
    "dockerfile without": (
        {"Dockerfile": "FROM a:1.2.3\n"},
        "Dockerfile declares no version: add ARG CONTAINER_APP_VERSION=",
    ),
    "dockerfile without a value": (
        {"Dockerfile": "ARG CONTAINER_APP_VERSION\n"},
        "Dockerfile declares no version",
    ),
    "dockerfile with an empty value": ({"Dockerfile": "ARG CONTAINER_APP_VERSION=\n"}, "line 1, declares ''"),
    "dockerfile with a variable": (
        {"Dockerfile": "ARG CONTAINER_APP_VERSION=${BASE}\n"},
        "line 1, declares a version that is no plain text",
    ),
    "dockerfile with two": (
        {"Dockerfile": "ARG CONTAINER_APP_VERSION=1.2.3\nFROM a\nARG CONTAINER_APP_VERSION=1.2.4\n"},
        r"declares 2 versions, 1.2.3 \(Dockerfile:1\) and 1.2.4 \(Dockerfile:3\): leave one",
    ),
    "container.py without": ({"container.py": "from x import VERSION\n"}, "container.py declares no version"),
    "container.py, annotation only": ({"container.py": "VERSION: str\n"}, "container.py declares no version"),
    "container.py that is computed": ({"container.py": 'VERSION = ".".join("123")'}, "no plain text"),
    "container.py, f-string": ({"container.py": 'VERSION = f"{1}.2.3"'}, "no plain text"),
    "container.py, number": ({"container.py": "VERSION = 1.2"}, "no plain text"),
    "container.py, tuple": ({"container.py": 'VERSION, X = "1.2.3", 1'}, "no plain text"),
    "container.py, added to": (
        {"container.py": 'VERSION = "1.2.3"\nVERSION += "4"'},
        "line 2, declares a version that is no plain text",
    ),
    "container.py, loop": ({"container.py": 'for VERSION in ["1.2.3"]: pass'}, "no plain text"),
    "container.py with two under a condition": (
        {"container.py": 'import os\nif os.name:\n    VERSION = "1.2.3"\nelse:\n    VERSION = "1.2.4"\n'},
        r"2 versions, 1.2.3 \(container.py:3\) and 1.2.4 \(container.py:5\)",
    ),
    "container.py with two under try": (
        {"container.py": 'try:\n VERSION = "1.2.3"\nexcept E:\n VERSION = "1.2.4"\n'},
        "2 versions",
    ),
    "container.py with two under match": (
        {"container.py": 'match 1:\n case 1:\n  VERSION = "1.2.3"\nVERSION = "1.2.4"\n'},
        "2 versions",
    ),
    "container.py that is no Python": (
        {"container.py": 'x = 1\nVERSION = "1.2.3\n'},
        "container.py, line 2, is not Python",
    ),
    "container.py with a NUL": (
        {"container.py": 'VERSION = "1.2.3"\0'},
        "container.py, line 1, is not Python",
    ),
    "default.nix without": (
        {"default.nix": '# version = "1.2.3";\npkgs.hello'},
        "default.nix declares no version",
    ),
    "default.nix from elsewhere": (
        {"default.nix": "let version = pkgs.ntfy.version; in x"},
        "line 1, declares a version that is no plain text",
    ),
    "default.nix with an antiquotation": (
        {"default.nix": 'let version = "${major}.2.3"; in x'},
        "no plain text",
    ),
    "default.nix with two": (
        {"default.nix": 'let\n  version = "1.2.3";\n  ui = { version = "4.5.6"; };\nin ui'},
        r"2 versions, 1.2.3 \(default.nix:2\) and 4.5.6 \(default.nix:3\)",
    ),
    "not X.Y.Z": (
        {"default.nix": 'let version = "1.2"; in x'},
        "default.nix, line 1, declares '1.2': write version =",
    ),
    "two files that disagree": (
        {"container.py": 'VERSION = "v1.2.3"', "Dockerfile": "ARG CONTAINER_APP_VERSION=1.2.4"},
        r"2 versions, v1.2.3 \(container.py:1\) and 1.2.4 \(Dockerfile:1\)",
    ),
    "one of two files silent": (
        {"container.py": 'VERSION = "v1.2.3"', "default.nix": "x"},
        "default.nix declares no version",
    ),
}


@pytest.mark.parametrize(("files", "said"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_two_versions_or_none_is_one_sentence(files, said):
    with pytest.raises(Problem, match=said) as caught:
        find_version("ntfy", files)
    assert "\n" not in str(caught.value)
    assert "containers/ntfy" in str(caught.value)


@given(st.tuples(*[st.integers(0, 9999)] * 3), st.text("# /*'\n\t x1=;{}()", max_size=40))
def test_every_kind_of_file_tells_the_same(numbers, noise):
    version = ".".join(map(str, numbers))
    assert find_version("x", {"Dockerfile": f"FROM a\nARG CONTAINER_APP_VERSION=v{version}\n"}) == version
    assert find_version("x", {"container.py": f"NOISE = {noise!r}\nVERSION = 'v{version}'\n"}) == version
    quiet = noise.replace("''", "")
    assert find_version("x", {"default.nix": f'let noise = "{noise}"; version = "{version}"; in noise'}) == version
    assert find_version("x", {"default.nix": f"let noise = ''{quiet} ''; version = \"{version}\"; in noise"}) == version
    assert image_tag(version, "0123abc").startswith(f"v{version}-")


@given(st.dictionaries(st.sampled_from(["Dockerfile", "container.py", "default.nix"]), st.text(max_size=200)))
def test_any_text_gives_a_version_or_a_sentence(files):
    try:
        said, version = "", find_version("x", files)
    except Problem as problem:
        said, version = str(problem), "1.2.3"
    assert not said or said.startswith("containers/x")
    assert image_tag(version, "0123abc")
