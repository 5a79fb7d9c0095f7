"""What the OCI image specification (v1.1) says about digests and manifests, as far as a registry checks it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS, INDEXES = (MANIFEST, DOCKER_MANIFEST), (INDEX, DOCKER_LIST)
NOT_DISTRIBUTED = "application/vnd.oci.image.layer.nondistributable.v1.tar"
LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

_WORD = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = {"type": "string", "pattern": f"^{_WORD}/{_WORD}$"}
_NOTES = {"type": "object", "additionalProperties": {"type": "string"}}
_DESCRIPTOR: dict[str, Any] = {
    "type": "object",
    "required": ["mediaType", "size", "digest"],
    "properties": {
        "mediaType": _MEDIA_TYPE,
        "artifactType": _MEDIA_TYPE,
        "size": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        "digest": {"type": "string", "pattern": "^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$"},
        "urls": {"type": "array", "items": {"type": "string"}},
        "data": {"type": "string"},
        "annotations": _NOTES,
        "platform": {
            "type": "object",
            "required": ["architecture", "os"],
            "properties": {
                **{key: {"type": "string"} for key in ("architecture", "os", "os.version", "variant")},
                "os.features": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}
_COMMON = {
    "schemaVersion": {"type": "integer", "minimum": 2, "maximum": 2},
    "mediaType": _MEDIA_TYPE,
    "artifactType": _MEDIA_TYPE,
    "subject": _DESCRIPTOR,
    "annotations": _NOTES,
}
_SCHEMAS = {
    MANIFEST: {
        "type": "object",
        "required": ["schemaVersion", "config", "layers"],
        "properties": {**_COMMON, "config": _DESCRIPTOR, "layers": {"type": "array", "items": _DESCRIPTOR}},
    },
    INDEX: {
        "type": "object",
        "required": ["schemaVersion", "manifests"],
        "properties": {**_COMMON, "manifests": {"type": "array", "items": _DESCRIPTOR}},
    },
}
_VALIDATORS = {name: jsonschema.Draft4Validator(schema) for name, schema in _SCHEMAS.items()}


class NotAManifest(Exception):
    """The body is not what its media type says; ``str()`` says where."""


def algorithm(digest: str) -> str:
    return digest.partition(":")[0]


def is_digest(text: str) -> bool:
    """Whether ``text`` is a digest of an algorithm that registries know."""
    name, _, encoded = text.partition(":")
    return name in LENGTHS and re.fullmatch(f"[a-f0-9]{{{LENGTHS[name]}}}", encoded) is not None


def looks_like_digest(text: str) -> bool:
    """Whether ``text`` was meant as a digest and is none."""
    name, _, encoded = text.partition(":")
    return name in LENGTHS and encoded != "" and not is_digest(text)


def digest(body: bytes, name: str = "sha256") -> str:
    return f"{name}:{hashlib.new(name, body).hexdigest()}"


def artifact_type(document: dict[str, Any]) -> str:
    """What kind of artifact a manifest or index is."""
    return str(document.get("artifactType") or (document.get("config") or {}).get("mediaType", ""))


def references(media_type: str, body: bytes) -> list[str]:
    """The digests that a registry has to hold before it takes this manifest. Raises :class:`NotAManifest`."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise NotAManifest(f"no JSON: {error}") from None
    if media_type in _VALIDATORS:
        for found in _VALIDATORS[media_type].iter_errors(document):
            raise NotAManifest(f"validation failed at {found.json_path}: {found.message}")
    elif not isinstance(document, dict) or document.get("mediaType", media_type) != media_type:
        raise NotAManifest("not of this media type")
    if media_type in INDEXES:
        return [item["digest"] for item in document.get("manifests") or []]
    config, layers = document.get("config") or {}, document.get("layers") or []
    if media_type == MANIFEST and config["mediaType"] not in (CONFIG, EMPTY):
        return []
    kept = [layer["digest"] for layer in layers if not layer["mediaType"].startswith(NOT_DISTRIBUTED)]
    return [config["digest"], *kept] if config else kept
