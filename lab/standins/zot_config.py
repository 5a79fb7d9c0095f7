"""zot's configuration: its fields, its defaults, and what ``zot verify`` refuses.

Measured with ``zot verify`` (contracts: tests/contracts/zot/verify.jsonl). What verify does not look at is as
much part of it: files that do not exist, sections that are left out, misspelt actions.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import re2  # type: ignore[import-untyped]

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.machine import is_valid
from lab.standins import zot_conditions
from lab.standins.zot_decode import (
    ANY,
    BOOL,
    BYTES,
    DURATION,
    FLOAT,
    INT,
    STRING,
    BadConfig,
    ListOf,
    MapOf,
    Panic,
    Struct,
    Text,
    decode,
    go_duration,
    lowered,
    read,
    unset,
    without_empty,
)

OPENID, OAUTH2 = ("google", "gitlab", "oidc"), ("github",)
LEVELS = ("debug", "trace", "info", "warn", "warning", "error", "fatal", "panic")
STORAGE_DRIVERS = ("s3", "gcs", "azure")
IDENTITY_ATTRIBUTES = (
    *("commonname", "cn", "subject", "dn", "email"),
    *("rfc822name", "uri", "url", "dnsname", "dns"),
)
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
REFUSED = "invalid server config"
#: zot 2.1.18 brought ``metrics.anonymousPolicy``; before, ``metrics.users: [""]`` meant the anonymous caller.
METRICS_ANONYMOUS_POLICY = (2, 1, 18)


def _time_window(text: str) -> str | None:
    """Why ``text`` is no daily window such as 22:00-06:00, or None."""
    if not text:
        return None
    refused = f"{REFUSED}: invalid gcTimeWindow {_quoted(text)}"
    start, dash, end = text.partition("-")
    if not dash:
        return f'{refused}, expected format "HH:MM-HH:MM"'
    minutes = []
    for part in (start.strip(), end.strip()):
        match = re.fullmatch(r"(\d{1,2}):(\d{2})", part)
        if not match or int(match[1]) > 23 or int(match[2]) > 59:
            return f'{refused}: {REFUSED}: invalid time {_quoted(part)}, expected 24h format "HH:MM"'
        minutes.append(int(match[1]) * 60 + int(match[2]))
    return f"{refused}: start and end of the window cannot be equal" if minutes[0] == minutes[1] else None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _sink(sink: Mapping[str, Any]) -> str | None:
    return None if sink.get("Type") in ("http", "nats") else "event sink is not supported"


TEXTS, LENGTHS = ListOf(STRING), {"mostRecentlyPushedCount": INT, "mostRecentlyPulledCount": INT}
KEEP = {"pulledWithin": DURATION, "pushedWithin": DURATION, **LENGTHS}
RETENTION = Struct(
    {
        "dryRun": BOOL,
        "delay": DURATION,
        "policies": ListOf(
            Struct(
                {
                    "repositories": TEXTS,
                    "deleteReferrers": BOOL,
                    "deleteUntagged": BOOL,
                    "keepTags": ListOf(Struct({"patterns": TEXTS, **KEEP})),
                    "keepUntagged": Struct(KEEP),
                }
            )
        ),
    }
)
STORAGE = {
    "rootDirectory": STRING,
    "maxRepos": INT,
    "dedupe": BOOL,
    "remoteCache": BOOL,
    "redirectBlobURL": BOOL,
    "gc": BOOL,
    "commit": BOOL,
    "gcDelay": DURATION,
    "gcInterval": DURATION,
    "gcTimeWindow": Text("config.GCTimeWindow", _time_window),
    "retention": RETENTION,
    "storageDriver": MapOf(ANY),
    "cacheDriver": MapOf(ANY),
    "gcMaxSchedulerDelay": DURATION,
}
SUB_PATHS = MapOf(Struct(STORAGE), "map[string]config.StorageConfig")
TLS = Struct({"cert": STRING, "key": STRING, "cacert": STRING})
CEL_MAPPING = Struct(
    {
        "variables": ListOf(Struct({"name": STRING, "expression": STRING})),
        "validations": ListOf(Struct({"expression": STRING, "message": STRING})),
        "username": STRING,
        "groups": STRING,
    }
)
BEARER = Struct(
    {
        "realm": STRING,
        "service": STRING,
        "upstreamTokenEndpoint": Struct({"realm": STRING, "service": STRING, "allowInsecureHttp": BOOL}, tagged=True),
        "cert": STRING,
        "oidc": ListOf(
            Struct(
                {
                    "issuer": STRING,
                    "audiences": TEXTS,
                    "claimMapping": CEL_MAPPING,
                    "certificateAuthority": STRING,
                    "certificateAuthorityFile": STRING,
                    "skipIssuerVerification": BOOL,
                },
                tagged=True,
            )
        ),
        "awsSecretsManager": Struct({"region": STRING, "secretName": STRING, "refreshInterval": DURATION}, tagged=True),
    }
)
LDAP = Struct(
    {
        "credentialsFile": STRING,
        "port": INT,
        **dict.fromkeys(("insecure", "startTLS", "skipVerify", "subtreeSearch"), BOOL),
        **dict.fromkeys(
            ("address", "userGroupAttribute", "baseDN", "userAttribute", "userFilter", "caCert"),
            STRING,
        ),
    }
)
PROVIDER = Struct(
    {
        **dict.fromkeys(("credentialsFile", "name", "clientID", "clientSecret", "keyPath"), STRING),
        **dict.fromkeys(("issuer", "authURL", "tokenURL"), STRING),
        "scopes": TEXTS,
        "claimMapping": Struct({"username": STRING, "groups": STRING}, tagged=True),
    }
)
PROVIDERS = MapOf(PROVIDER, "map[string]config.OpenIDProviderConfig")
AUTH = Struct(
    {
        "failDelay": INT,
        "htpasswd": Struct({"path": STRING}),
        "ldap": LDAP,
        "bearer": BEARER,
        "openid": Struct(
            {"providers": MapOf(PROVIDER, "map[string]config.OpenIDProviderConfig"), "callbackAllowOrigins": TEXTS}
        ),
        "apikey": BOOL,
        "sessionKeysFile": STRING,
        "sessionHashKey": BYTES,
        "sessionEncryptKey": BYTES,
        "sessionDriver": MapOf(ANY),
        "secureSession": BOOL,
        "mtls": Struct(
            {
                "identityAttributes": TEXTS,
                "uriSanPattern": STRING,
                "uriSanIndex": INT,
                "dnsSanIndex": INT,
                "emailSanIndex": INT,
            },
            tagged=True,
        ),
    }
)
POLICY = Struct(
    {
        "users": TEXTS,
        "actions": TEXTS,
        "groups": TEXTS,
        "conditions": ListOf(Struct({"expression": STRING, "message": STRING})),
    }
)
ENABLE = {"enable": BOOL}
SYNC_REGISTRY = Struct(
    {
        "urls": TEXTS,
        "pollInterval": DURATION,
        "content": ListOf(
            Struct(
                {
                    "prefix": STRING,
                    "tags": Struct({"regex": STRING, "excludeRegex": STRING, "semver": BOOL}),
                    "destination": STRING,
                    "stripPrefix": BOOL,
                }
            )
        ),
        **dict.fromkeys(("tlsVerify", "onDemand", "onlySigned", "syncLegacyCosignTags", "preserveDigest"), BOOL),
        **dict.fromkeys(("manifestCheckInterval", "retryDelay", "maxRetryDelay"), DURATION),
        **dict.fromkeys(("syncTimeout", "responseHeaderTimeout"), DURATION),
        **dict.fromkeys(("certDir", "credentialHelper"), STRING),
        **dict.fromkeys(("maxRetries", "reqConcurrent", "maxIdleConnsPerHost"), INT),
        "oauth2CredentialHelper": MapOf(ANY),
        "reqPerSec": FLOAT,
        "disableHTTP2": BOOL,
    }
)
OAUTH2_HELPER = Struct(
    {
        **dict.fromkeys(("TokenURL", "AssertionFile", "SigningFile", "GrantType", "ClientID"), STRING),
        **dict.fromkeys(("ClientSecretFile", "Username", "Audience"), STRING),
        **dict.fromkeys(("SubjectTokenType", "RequestedTokenType"), STRING),
        "Scopes": TEXTS,
    }
)
EVENT_SINK = Struct(
    {
        "Credentials": Struct(dict.fromkeys(("Username", "Password", "File", "Token"), STRING), lenient=True),
        "TLSConfig": Struct(dict.fromkeys(("CACertFile", "CertFile", "KeyFile"), STRING), lenient=True),
        **dict.fromkeys(("Type", "Address", "Channel", "Proxy"), STRING),
        "Timeout": DURATION,
        "Headers": MapOf(STRING),
    },
    lenient=True,
    check=_sink,
)
EXTENSIONS = Struct(
    {
        "search": Struct(
            {
                **ENABLE,
                "cve": Struct(
                    {
                        "updateInterval": DURATION,
                        "trivy": Struct(
                            {
                                "dbRepository": STRING,
                                "javaDBRepository": STRING,
                                "vulnSeveritySources": TEXTS,
                                "sbom": Struct({**ENABLE, "format": STRING}),
                            }
                        ),
                    }
                ),
            }
        ),
        "sync": Struct(
            {**ENABLE, "credentialsFile": STRING, "downloadDir": STRING, "registries": ListOf(SYNC_REGISTRY)}
        ),
        "metrics": Struct({**ENABLE, "prometheus": Struct({"path": STRING})}),
        "scrub": Struct({**ENABLE, "interval": DURATION}),
        "lint": Struct({**ENABLE, "mandatoryAnnotations": TEXTS}),
        "ui": Struct(ENABLE),
        "mgmt": Struct(ENABLE),
        "apikey": Struct(ENABLE),
        "trust": Struct({**ENABLE, "cosign": BOOL, "notation": BOOL}),
        "events": Struct({**ENABLE, "sinks": ListOf(EVENT_SINK)}),
    }
)


def fields(version: tuple[int, ...] | None = None) -> Struct:
    """The fields that a zot of ``version`` takes; None: of 2.1.20."""
    metrics: dict[str, Any] = {"users": TEXTS}
    if version is None or version >= METRICS_ANONYMOUS_POLICY:
        metrics["anonymousPolicy"] = TEXTS
    access = Struct(
        {
            "repositories": MapOf(
                Struct({"policies": ListOf(POLICY), "defaultPolicy": TEXTS, "anonymousPolicy": TEXTS}),
                "config.Repositories",
            ),
            "adminPolicy": POLICY,
            "groups": MapOf(Struct({"users": TEXTS}), "config.Groups"),
            "metrics": Struct(metrics),
        }
    )
    http = {
        **dict.fromkeys(("address", "externalUrl", "port", "allowOrigin", "realm"), STRING),
        "readTimeout": DURATION,
        "writeTimeout": DURATION,
        "tls": TLS,
        "auth": AUTH,
        "accessControl": access,
        "ratelimit": Struct({"rate": INT, "methods": ListOf(Struct({"method": STRING, "rate": INT}))}),
        "compat": TEXTS,
    }
    return Struct(
        {
            **dict.fromkeys(("distSpecVersion", "goVersion", "commit", "releaseTag", "binaryType"), STRING),
            "storage": Struct(
                {**STORAGE, "subPaths": MapOf(Struct(STORAGE), "map[string]config.StorageConfig"), "fastRestart": BOOL}
            ),
            "http": Struct(http),
            "log": Struct({"level": STRING, "output": STRING, "audit": STRING}),
            "extensions": EXTENSIONS,
            "scheduler": Struct({"numWorkers": INT}),
            "cluster": Struct({"members": TEXTS, "hashKey": STRING, "tls": TLS}, tagged=True),
        }
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration that zot accepts: the decoded document with what zot fills in."""

    document: Mapping[str, Any]
    version: tuple[int, ...] | None = None
    #: The policy that decisions are made with; None: there is no ``accessControl``, everything is allowed.
    access: Mapping[str, Any] | None = field(default=None)

    @property
    def http(self) -> Mapping[str, Any]:
        http: Mapping[str, Any] = self.document["http"]
        return http

    @property
    def auth(self) -> Mapping[str, Any]:
        auth: Mapping[str, Any] = self.http.get("auth") or {}
        return auth

    @property
    def storage(self) -> Mapping[str, Any]:
        storage: Mapping[str, Any] = self.document["storage"]
        return storage

    @property
    def realm(self) -> str:
        return str(self.http.get("realm", ""))

    @property
    def fail_delay(self) -> int:
        """Seconds that a refusal waits."""
        return max(0, int(self.auth.get("failDelay", 0)))

    @property
    def providers(self) -> Mapping[str, Any]:
        """The OpenID providers by name, with the credentials read from their files."""
        openid = self.auth.get("openid") or {}
        return {name: provider or {} for name, provider in (openid.get("providers") or {}).items()}

    @property
    def htpasswd(self) -> Path | None:
        path = (self.auth.get("htpasswd") or {}).get("path")
        return Path(path) if path else None

    @property
    def apikey(self) -> bool:
        """Whether API keys are accepted; zot turns them on with OpenID, whatever ``apikey`` says."""
        return bool(self.auth.get("apikey"))

    @property
    def basic(self) -> bool:
        """Whether there is any way to log in."""
        return bool(self.htpasswd or self.auth.get("ldap") is not None or self.providers or self.apikey)

    @property
    def tls(self) -> Mapping[str, str] | None:
        """Certificate and key, where both are named."""
        tls = self.http.get("tls") or {}
        return tls if tls.get("cert") and tls.get("key") else None

    @property
    def origin(self) -> str:
        """The address that browsers are sent back to."""
        external = str(self.http.get("externalUrl", "")).removesuffix("/")
        scheme = "https" if self.http.get("tls") is not None else "http"
        return external or f"{scheme}://{self.http['address']}:{self.http['port']}"

    @property
    def anonymous(self) -> bool:
        """Whether callers without credentials get past authentication."""
        repositories = (self.access or {}).get("repositories") or {}
        return any((block or {}).get("anonymousPolicy") for block in repositories.values())

    @property
    def metrics_path(self) -> str | None:
        """Where metrics are served, or None where they are off."""
        metrics = self._extension("metrics")
        return str(metrics["prometheus"].get("path", "")) if metrics else None

    @property
    def log_level(self) -> str:
        return str((self.document.get("log") or {}).get("level", "debug"))

    @property
    def log_output(self) -> str:
        """The file that zot logs to; empty: standard output."""
        return str((self.document.get("log") or {}).get("output", ""))

    @property
    def has_named_grants(self) -> bool:
        """Whether the policy grants something to callers with a name."""
        return self.access is not None and not _only_anonymous(self.access)

    @property
    def search(self) -> bool:
        """Whether the search extension is on, and with it the mgmt route."""
        return self._extension("search") is not None

    @property
    def ui(self) -> bool:
        return self._extension("ui") is not None

    def _extension(self, name: str) -> Mapping[str, Any] | None:
        extension = (self.document.get("extensions") or {}).get(name)
        return extension if extension and extension.get("enable") else None

    def reloaded(self, new: Settings) -> Settings:
        """These settings with what a running zot takes from ``new``: policy, logins, gc, sync; nothing else."""
        document: dict[str, Any] = deepcopy(dict(self.document))
        auth = document["http"].setdefault("auth", {})
        for key in ("htpasswd", "ldap", "apikey", "openid", "secureSession", "mtls"):
            _copy(new.auth, auth, key)
        _copy(new.http, document["http"], "accessControl")
        for key in ("gc", "dedupe", "gcDelay", "gcInterval", "gcTimeWindow", "redirectBlobURL"):
            _copy(new.storage, document["storage"], key)
        if "extensions" not in new.document:
            document.pop("extensions", None)
        else:
            for key in ("sync", "scrub"):
                _copy(new.document["extensions"], document.setdefault("extensions", {}), key)
        return Settings(document, self.version, new.access)


def _copy(source: Mapping[str, Any], target: dict[str, Any], key: str) -> None:
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)


def load(path: Path, version: tuple[int, ...] | None = None) -> Settings:
    """The settings in the file, as a zot of ``version`` reads them. Raises :class:`BadConfig`."""
    raw = lowered(read(path))
    plain = without_empty(raw)
    document = decode(fields(version), plain)
    log = document.get("log") or {}
    if (level := log.get("level", "debug")).lower() not in LEVELS:
        raise BadConfig(f"{REFUSED}: invalid log level '{level}', supported levels are: {', '.join(LEVELS)}")
    _open_log(log.get("output", ""))
    if not plain:
        raise BadConfig(f"{REFUSED}: failed to load config due to the absence of any key:value pair")
    _read_credentials(document)
    _fill_in(document, raw)
    for check in CHECKS:
        for refusal in check(document):
            raise BadConfig(refusal)
    return Settings(document, version, document["http"].get("accessControl"))


def _open_log(output: str) -> None:
    """Make the log file where there is none, with the rights of whoever asks: ``verify`` does that too (measured)."""
    if output:
        try:
            os.close(os.open(output, os.O_APPEND | os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError as error:
            raise Panic(f"open {output}: {(error.strerror or '').lower()}") from None


def read_secrets(path: str, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, str]:
    """The credentials in a file of their own; raises :class:`BadConfig` where one of ``names`` is missing."""
    kind = Struct(dict.fromkeys((*names, *optional), STRING), lenient=True)
    try:
        document = without_empty(lowered(read(Path(path))))
        secrets = decode(kind, document)
    except BadConfig as error:
        raise BadConfig(f"{REFUSED}\n{error}") from None
    if not document:
        raise BadConfig(f"{REFUSED}: failed to load secret file due to the absence of any key:value pair")
    if set(document) - {name.lower() for name in kind.fields}:
        raise BadConfig(f"{REFUSED}: failed to load secret file due to unknown keys")
    if set(unset(kind, document)) & set(names):
        raise BadConfig(f"{REFUSED}: failed to load secret file due to unset keys")
    return secrets


def _read_credentials(document: dict[str, Any]) -> None:
    auth = (document.get("http") or {}).get("auth") or {}
    if (ldap := auth.get("ldap")) and ldap.get("credentialsFile"):
        read_secrets(ldap["credentialsFile"], ("bindDN", "bindPassword"))
    for provider in ((auth.get("openid") or {}).get("providers") or {}).values():
        if provider and provider.get("credentialsFile"):
            provider |= read_secrets(provider["credentialsFile"], ("clientID", "clientSecret"))
    if auth.get("sessionKeysFile"):
        read_secrets(auth["sessionKeysFile"], (), ("hashKey", "encryptKey"))


def _fill_in(document: dict[str, Any], raw: Mapping[str, Any]) -> None:
    """zot's defaults, as far as its checks and its answers depend on them."""
    http = document.setdefault("http", {})
    http.setdefault("address", "127.0.0.1")
    http.setdefault("port", "8080")
    storage = document.setdefault("storage", {})
    storage.setdefault("dedupe", True)
    storage.setdefault("gc", True)
    if "storageDriver" in storage and storage["dedupe"]:
        storage.setdefault("remoteCache", True)
    for route, sub in (storage.get("subPaths") or {}).items():
        if sub.get("dedupe") and "storageDriver" in sub:
            sub.setdefault("remoteCache", True)
        # What is written as an empty object counts as written here, and as nothing when it is decoded.
        if sub.get("gc") and _dig(raw, "storage", "subpaths", route, "gcdelay") is None:
            sub["gcDelay"] = 3600 * 10**9
    if (auth := http.get("auth")) and "openid" in auth:
        auth["apikey"] = True
    for name, extension in (document.get("extensions") or {}).items():
        if name in ("sync", "search", "metrics", "scrub", "ui", "trust"):
            extension.setdefault("enable", True)
        if name == "metrics":
            extension.setdefault("prometheus", {"path": "/metrics"})
        if name == "search" and extension["enable"] and "cve" in extension:
            extension["cve"].setdefault("trivy", {})


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


# -- the checks, in zot's order; each yields what it refuses ------------------------------------------------------


def _check_port(document: Mapping[str, Any]) -> Iterator[str]:
    port = document["http"]["port"]
    if port and not (re.fullmatch(r"[+-]?\d+", port) and 0 <= int(port) <= 65535):
        yield f"{REFUSED}: invalid port {port}"


def _check_gc(document: Mapping[str, Any]) -> Iterator[str]:
    storage = document["storage"]
    for key, word in (("gcDelay", "delay"), ("gcInterval", "interval")):
        if storage.get(key, 0) < 0:
            yield f"{REFUSED}: invalid garbage-collect {word} specified {go_duration(storage[key])}"
    yield from _check_retention(storage)
    for sub in (storage.get("subPaths") or {}).values():
        if sub.get("gc") and sub.get("gcDelay", 0) <= 0:
            delay = go_duration(sub.get("gcDelay", 0))
            yield f"{REFUSED}: invalid GC delay configuration - cannot be negative or zero: {delay}"
        yield from _check_retention(sub)


def _check_retention(storage: Mapping[str, Any]) -> Iterator[str]:
    for policy in (storage.get("retention") or {}).get("policies") or []:
        for pattern in policy.get("repositories") or []:
            if not is_valid(pattern):
                yield f"{REFUSED}: retention repo glob pattern could not be compiled: {pattern}"
        for rule in policy.get("keepTags") or []:
            for pattern in rule.get("patterns") or []:
                if not _compiles(pattern):
                    yield f"{REFUSED}: retention tag regex could not be compiled: {pattern}"


def _compiles(pattern: str) -> bool:
    """Whether ``pattern`` is a regular expression to Go; both it and this library are RE2."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error:
        return False
    return True


def _check_ldap(document: Mapping[str, Any]) -> Iterator[str]:
    if (ldap := (document["http"].get("auth") or {}).get("ldap")) is not None:
        for key, word in (("userAttribute", "userAttribute"), ("address", "address"), ("baseDN", "basedn")):
            if not ldap.get(key):
                yield f"invalid LDAP configuration: invalid LDAP configuration, missing mandatory key: {word}"


def _check_mtls(document: Mapping[str, Any]) -> Iterator[str]:
    mtls = (document["http"].get("auth") or {}).get("mtls")
    if mtls is None:
        return
    if not _mutual(document):
        yield f"{REFUSED}: mTLS configuration requires TLS to be enabled with CA certificate"
    attributes = [name.strip().lower() for name in mtls.get("identityAttributes") or []]
    unknown = [name for name in mtls.get("identityAttributes") or [] if name.strip().lower() not in IDENTITY_ATTRIBUTES]
    if unknown:
        yield f"unsupported identity attribute: {','.join(unknown)}"
    uses_uri = {"uri", "url"} & set(attributes)
    for key in ("dnsSanIndex", "emailSanIndex", "uriSanIndex", "uriSanPattern"):
        if mtls.get(key) and not uses_uri:
            yield f"{REFUSED}: {key} is only supported for URI/URL MTLS identity attribute"
    if not _compiles(pattern := mtls.get("uriSanPattern", "")):
        yield f"invalid URI SAN pattern: {pattern}"


def _mutual(document: Mapping[str, Any]) -> bool:
    tls = document["http"].get("tls") or {}
    return all(tls.get(key) for key in ("cert", "key", "cacert"))


def _check_openid(document: Mapping[str, Any]) -> Iterator[str]:
    openid = (document["http"].get("auth") or {}).get("openid") or {}
    for name, provider in (openid.get("providers") or {}).items():
        wanted = {name in OPENID: ("clientID", "issuer", "scopes"), name in OAUTH2: ("clientID", "scopes")}.get(True)
        if wanted is None:
            yield f"{REFUSED}: unsupported openid/oauth2 provider"
        elif not all((provider or {}).get(key) for key in wanted):
            kind, what = (
                ("OpenID", "clientid, issuer and scopes") if name in OPENID else ("OAuth2", "clientid and scopes")
            )
            yield f"{REFUSED}: {kind} provider config requires {what} parameters"


def _check_bearer(document: Mapping[str, Any]) -> Iterator[str]:
    bearer = (document["http"].get("auth") or {}).get("bearer") or {}
    secrets, upstream = bearer.get("awsSecretsManager"), bearer.get("upstreamTokenEndpoint")
    if bearer.get("cert") and secrets is not None:
        yield f"{REFUSED}: cannot configure both cert and awsSecretsManager for bearer authentication"
    if upstream is not None:
        name = "upstreamTokenEndpoint.realm"
        if not (upstream.get("realm") and upstream.get("service")):
            yield f"{REFUSED}: {name} and upstreamTokenEndpoint.service must be configured together"
        address = urlsplit(upstream["realm"])
        if not (address.scheme and address.netloc):
            yield f"{REFUSED}: {name} must be an absolute URL"
        if address.scheme != "https" and not (address.scheme == "http" and upstream.get("allowInsecureHttp")):
            yield f"{REFUSED}: {name} must use https unless upstreamTokenEndpoint.allowInsecureHttp is true"
    if secrets is not None:
        for key in ("region", "secretName"):
            if not secrets.get(key):
                yield f"{REFUSED}: awsSecretsManager {key} must be specified"
        if secrets.get("refreshInterval", 0) < 0:
            yield f"{REFUSED}: awsSecretsManager refreshInterval must be non-negative"


def _check_sync(document: Mapping[str, Any]) -> Iterator[str]:
    sync = (document.get("extensions") or {}).get("sync") or {}
    for registry in sync.get("registries") or []:
        yield from _check_sync_registry(document, registry or {})


def _check_sync_registry(document: Mapping[str, Any], registry: Mapping[str, Any]) -> Iterator[str]:
    interval = registry.get("manifestCheckInterval", 0)
    if interval < 0:
        yield f"{REFUSED}: manifestCheckInterval cannot be negative"
    if interval > 0 and not registry.get("onDemand"):
        yield f"{REFUSED}: manifestCheckInterval requires onDemand to be enabled"
    for key in ("maxRetries", "maxRetryDelay"):
        if key in registry and "retryDelay" not in registry:
            yield f"{REFUSED}: retryDelay is required when using {key}"
    if "maxRetryDelay" in registry and registry["maxRetryDelay"] < registry["retryDelay"]:
        yield f"{REFUSED}: maxRetryDelay must be greater than or equal to retryDelay"
    for key, rule in (
        ("reqConcurrent", "greater than 0"),
        ("reqPerSec", "a finite value greater than 0"),
        ("maxIdleConnsPerHost", "greater than 0"),
    ):
        if key in registry and not 0 < registry[key] < float("inf"):
            yield f"{REFUSED}: {key} must be {rule}"
    uses_oauth2 = registry.get("credentialHelper") == "oauth2"
    if uses_oauth2 and (refusal := _oauth2_helper(registry.get("oauth2CredentialHelper") or {})):
        yield f"{REFUSED}: invalid oauth2CredentialHelper config: {refusal}"
    if registry.get("preserveDigest") and not document["http"].get("compat"):
        yield f"{REFUSED}: can not use PreserveDigest option without enabling http.Compat"
    for content in registry.get("content") or []:
        prefix, tags = content.get("prefix", ""), content.get("tags") or {}
        if not is_valid(prefix):
            yield f"{REFUSED}: sync prefix could not be compiled: {prefix}"
        for key in ("regex", "excludeRegex"):
            if not _compiles(tags.get(key, "")):
                yield f"{REFUSED}: sync content {key} could not be compiled: {tags[key]}"
        if content.get("stripPrefix") and "/*" not in prefix and content.get("destination") == "/":
            yield f"{REFUSED}: can not use stripPrefix true and destination '/' without using glob patterns in prefix"


def _oauth2_helper(raw: Mapping[str, Any]) -> str | None:
    """What is wrong with the options of the oauth2 credential helper, or None."""
    if not raw:
        return "oauth2 credential helper requires an oauth2CredentialHelper config"
    try:
        options = {
            key: value
            for key, value in decode(OAUTH2_HELPER, raw).items()
            if not isinstance(value, str) or value.strip()
        }
    except BadConfig as error:
        return str(error)
    if "TokenURL" not in options:
        return "oauth2 credential helper requires a tokenURL"
    sources = [key for key in ("AssertionFile", "SigningFile") if key in options]
    if len(sources) != 1:
        return (
            "oauth2 credential helper allows only assertionFile or signingFile"
            if sources
            else "oauth2 credential helper requires an assertionFile or a signingFile"
        )
    types = [options[key] for key in ("SubjectTokenType", "RequestedTokenType") if key in options]
    if options.get("GrantType") != TOKEN_EXCHANGE:
        if "Audience" in options or types:
            return (
                "oauth2 credential helper allows audience, subjectTokenType and requestedTokenType "
                f"only when grantType is {TOKEN_EXCHANGE}"
            )
        return None
    if "Audience" not in options:
        return f"oauth2 credential helper requires an audience when grantType is {TOKEN_EXCHANGE}"
    if not all(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name) for name in types):
        return "oauth2 credential helper requires subjectTokenType and requestedTokenType to be absolute URIs"
    return None


def _check_stores(document: Mapping[str, Any]) -> Iterator[str]:
    storage = document["storage"]
    stores = {"": storage, **(storage.get("subPaths") or {})}
    places = [
        (route, store.get("rootDirectory", ""), str((store.get("storageDriver") or {"name": "local"}).get("name")))
        for route, store in sorted(stores.items())
    ]
    for route, root, driver in places:
        for other, other_root, other_driver in places:
            if other == route or other_driver != driver:
                continue
            one, two = _store_name(route), _store_name(other)
            if root.lower() == other_root.lower():
                yield f"{REFUSED}: invalid storage config, {one} and {two} cannot use the same root directory"
            for inner, outer, places_named in ((root, other_root, (one, two)), (other_root, root, (two, one))):
                if _inside(inner, outer):
                    yield (
                        f"{REFUSED}: invalid storage config, {places_named[0]} root directory "
                        f"cannot be inside {places_named[1]} root directory"
                    )


def _store_name(route: str) -> str:
    return f"substore (route: {route})" if route else "default storage"


def _inside(inner: str, outer: str) -> bool:
    relative = posixpath.relpath(Path(inner).absolute(), Path(outer).absolute())
    return relative != "." and not relative.startswith("..")


def _check_cache(document: Mapping[str, Any]) -> Iterator[str]:
    storage = document["storage"]
    for store in (storage, *(storage.get("subPaths") or {}).values()):
        mark = "" if store is storage else "!"
        driver, cache = store.get("storageDriver"), store.get("cacheDriver")
        name = (cache or {}).get("name")
        if not store.get("remoteCache"):
            continue
        if store.get("dedupe") and driver is not None and cache is None:
            yield (
                f"{REFUSED}: invalid database config, dedupe set to true with remote storage and database, "
                f"but no remote database configured{mark}"
            )
        if cache is not None:
            if driver is None and (name != "redis" or store is not storage):
                yield f"{REFUSED}: invalid database config, cannot have local storage driver with remote database!"
            if name not in (("dynamodb", "redis") if store is storage else ("dynamodb",)):
                yield f"{REFUSED}: invalid database config, unsupported database driver"


def _check_sessions(document: Mapping[str, Any]) -> Iterator[str]:
    auth = document["http"].get("auth") or {}
    driver = auth.get("sessionDriver")
    if driver is None:
        return
    if "name" not in driver:
        yield f"{REFUSED}: must provide session driver name!"
    elif driver["name"] not in ("redis", "local"):
        yield f"{REFUSED}: session store driver {driver['name']} is not allowed!"
    elif driver["name"] == "redis" and auth.get("sessionKeysFile"):
        yield f"{REFUSED}: session keys not supported when redis session driver is used!"


def _check_extensions(document: Mapping[str, Any]) -> Iterator[str]:
    extensions = document.get("extensions") or {}
    if metrics := extensions.get("metrics"):
        path = (metrics["prometheus"] or {}).get("path", "")
        if path != _clean(path):
            yield f"{REFUSED}\ninvalid metrics path"
        if not path.startswith("/"):
            yield f"{REFUSED}\nmetrics path must start with /"
        if path in ("/", "/v2"):
            yield f"{REFUSED}\nprovided metrics path is disallowed"
    on = {name for name, extension in extensions.items() if extension.get("enable")}
    if "ui" in on and "search" not in on:
        yield f"{REFUSED}: failed to enable ui, search extension must be enabled"
    storage = document["storage"]
    remote = any("storageDriver" in store for store in (storage, *(storage.get("subPaths") or {}).values()))
    if remote and "search" in on and (extensions["search"].get("cve") or {}).get("trivy") is not None:
        yield (
            f"{REFUSED}: failed to enable cve scanning due to incompatibility with remote storage, please disable cve"
        )


def _clean(path: str) -> str:
    """Go's path.Clean."""
    if not path:
        return "."
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if path.startswith("/") else cleaned


def _check_access(document: Mapping[str, Any]) -> Iterator[str]:
    access = document["http"].get("accessControl")
    if access is None:
        return
    auth = document["http"].get("auth") or {}
    bearer = auth.get("bearer") or {}
    can_log_in = (
        Settings(document).basic
        or _mutual(document)
        or (bearer.get("realm") and bearer.get("service") and (bearer.get("cert") or "awsSecretsManager" in bearer))
        or any(issuer.get("issuer") and issuer.get("audiences") for issuer in bearer.get("oidc") or [])
    )
    if not can_log_in and not _only_anonymous(access) and not _only_anonymous_metrics(access):
        yield (
            f"{REFUSED}: access control config requires one of htpasswd, ldap, openid or mTLS authentication "
            "or using only 'anonymousPolicy' policies"
        )
    for place, policy in _policies(access):
        for number, condition in enumerate(policy.get("conditions") or []):
            if refusal := zot_conditions.refusal(condition.get("expression", "")):
                yield f"{REFUSED}: {place}: condition[{number}]: {refusal}"


def _policies(access: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for pattern, block in (access.get("repositories") or {}).items():
        for number, policy in enumerate((block or {}).get("policies") or []):
            yield f"repositories[{_quoted(pattern)}].policies[{number}]", policy or {}
    yield "adminPolicy", access.get("adminPolicy") or {}


def _only_anonymous(access: Mapping[str, Any]) -> bool:
    admin = access.get("adminPolicy") or {}
    blocks = [block or {} for block in (access.get("repositories") or {}).values()]
    named = any(
        policy.get("actions") or policy.get("users") for block in blocks for policy in block.get("policies") or []
    )
    if admin.get("actions") or admin.get("users") or named or any(block.get("defaultPolicy") for block in blocks):
        return False
    return any(block.get("anonymousPolicy") for block in blocks)


def _only_anonymous_metrics(access: Mapping[str, Any]) -> bool:
    admin = access.get("adminPolicy") or {}
    if any(admin.get(key) for key in ("actions", "users", "groups")) or access.get("repositories"):
        return False
    return not access.get("groups") and "read" in ((access.get("metrics") or {}).get("anonymousPolicy") or [])


def _check_drivers(document: Mapping[str, Any]) -> Iterator[str]:
    storage = document["storage"]
    sync = (document.get("extensions") or {}).get("sync") or {}
    for store in (storage, *(storage.get("subPaths") or {}).values()):
        driver = store.get("storageDriver") or {}
        if store.get("redirectBlobURL") and not driver:
            yield f"{REFUSED}: invalid storage config, redirectBlobURL is supported only for s3/gcs/azure storage"
        if driver and driver.get("name") not in STORAGE_DRIVERS:
            yield f"{REFUSED}: unsupported storage driver"
        if driver and sync.get("enable") and not sync.get("downloadDir"):
            yield (
                f"{REFUSED}: using both sync and remote storage features needs "
                "config.Extensions.Sync.DownloadDir to be specified"
            )


def _check_patterns(document: Mapping[str, Any]) -> Iterator[str]:
    for pattern in (document["http"].get("accessControl") or {}).get("repositories") or {}:
        if not is_valid(pattern):
            yield "syntax error in pattern: failed to compile authorization pattern"


def _check_cluster(document: Mapping[str, Any]) -> Iterator[str]:
    cluster = document.get("cluster")
    if cluster is not None:
        if not cluster.get("members"):
            yield f"{REFUSED}: cannot have 0 members in a scale out cluster"
        if len(cluster.get("hashKey", "").encode()) != 16:
            yield f"{REFUSED}: hashKey for scale out cluster must have 16 characters"


CHECKS = (
    *(_check_port, _check_gc, _check_ldap, _check_mtls, _check_openid, _check_bearer, _check_sync),
    *(_check_stores, _check_cache, _check_sessions, _check_extensions, _check_access),
    *(_check_drivers, _check_patterns, _check_cluster),
)
