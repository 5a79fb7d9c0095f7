"""A STUB of Dagger's engine: it takes the SDK's GraphQL queries over HTTP, answers them, and records them.

It builds nothing and runs nothing. Its schema is the part of Dagger's API that the module uses, written down here;
queries are parsed, validated and resolved by graphql-core. Files are those of this machine, so that the module reads
the real ``containers/``; every container "works", but for a step that a test wants to fail.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import graphql
from aiohttp import web

from tests.integration.ci.lab import serving

TOKEN = "stub-session"
SDL = """
scalar JSON
interface Node { id: ID! }
enum ImageLayerCompression { EStarGZ ESTARGZ Gzip GZIP Uncompressed UNCOMPRESSED Zstd ZSTD }
enum ImageMediaTypes { DockerMediaTypes DOCKER OCIMediaTypes OCI }
enum ExistsType { REGULAR_TYPE DIRECTORY_TYPE SYMLINK_TYPE }

type Query {
  node(id: ID!): Node
  host: Host!
  container: Container!
  directory: Directory!
  git(url: String!): GitRepository!
  version: String!
  setSecret(name: String!, plaintext: String!): Secret!
  currentFunctionCall: FunctionCall!
  error(message: String!): Error!
  module: Module!
  typeDef: TypeDef!
  function(name: String!, returnType: ID!): Function!
}
type Host implements Node { id: ID!  directory(path: String!): Directory! }
type GitRepository implements Node { id: ID!  tag(name: String!): GitRef! }
type GitRef implements Node { id: ID!  tree: Directory! }
type Secret implements Node { id: ID!  name: String! }
type Directory implements Node {
  id: ID!
  directory(path: String!): Directory!
  file(path: String!): File!
  entries(path: String): [String!]!
  exists(path: String!, expectedType: ExistsType, doNotFollowSymlinks: Boolean): Boolean!
  dockerBuild(dockerfile: String): Container!
}
type File implements Node { id: ID!  contents: String! }
type Container implements Node {
  id: ID!
  sync: ID!
  from(address: String!): Container!
  withDirectory(path: String!, source: ID!): Container!
  withFile(path: String!, source: ID!): Container!
  withWorkdir(path: String!): Container!
  withEnvVariable(name: String!, value: String!): Container!
  withLabel(name: String!, value: String!): Container!
  withExposedPort(port: Int!): Container!
  withUser(name: String!): Container!
  withEntrypoint(args: [String!]!): Container!
  withExec(args: [String!]!): Container!
  withRegistryAuth(address: String!, username: String!, secret: ID!): Container!
  directory(path: String!): Directory!
  file(path: String!): File!
  asTarball(forcedCompression: ImageLayerCompression, mediaTypes: ImageMediaTypes): File!
  publish(address: String!, forcedCompression: ImageLayerCompression, mediaTypes: ImageMediaTypes): String!
}
type FunctionCall implements Node {
  id: ID!
  name: String!
  parentName: String!
  parent: JSON!
  inputArgs: [FunctionCallArgValue!]!
  returnValue(value: JSON!): String
  returnError(error: ID!): String
}
type FunctionCallArgValue implements Node { id: ID!  name: String!  value: JSON! }
enum TypeDefKind { STRING_KIND INTEGER_KIND BOOLEAN_KIND FLOAT_KIND VOID_KIND }
enum FunctionCachePolicy { Default PerSession Never }
type Module implements Node {
  id: ID!
  withDescription(description: String!): Module!
  withObject(object: ID!): Module!
}
type TypeDef implements Node {
  id: ID!
  withKind(kind: TypeDefKind!): TypeDef!
  withOptional(optional: Boolean!): TypeDef!
  withObject(name: String!, description: String): TypeDef!
  withFunction(function: ID!): TypeDef!
  withConstructor(function: ID!): TypeDef!
}
type Function implements Node {
  id: ID!
  withDescription(description: String!): Function!
  withCachePolicy(policy: FunctionCachePolicy!, timeToLive: String): Function!
  withArg(name: String!, typeDef: ID!, description: String, defaultValue: JSON,
    defaultPath: String, defaultAddress: String, ignore: [String!], deprecated: String): Function!
}
type Error implements Node { id: ID!  withValue(name: String!, value: JSON!): Error! }
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One selected field with its arguments; an ID among them is replaced by the steps that made the object."""

    field: str
    args: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """An object of the API: its type and the steps that lead to it."""

    type: str
    steps: tuple[Step, ...] = ()


@dataclasses.dataclass(slots=True)
class Call:
    """A call of a module's function, as the engine hands it to the module's runtime."""

    name: str
    inputs: dict[str, Any]
    value: Any = None
    error: str | None = None


class Stub:
    """What was asked (``bodies``: every request's body as it came; ``asked``: every leaf with the way to it)."""

    digest = "sha256:" + "0" * 64

    def __init__(self) -> None:
        self.port = 0
        self.forget()
        self._schema = graphql.build_schema(SDL)

    def forget(self) -> None:
        """Begin anew, at the same address."""
        self.bodies: list[str] = []
        self.asked: list[tuple[Step, ...]] = []
        self.call: Call | None = None
        self.failing = ""
        self._objects: list[Object] = []

    def id_of(self, thing: Object) -> str:
        """The opaque ID of an object."""
        self._objects.append(thing)
        return f"stub:{len(self._objects) - 1}"

    def of_id(self, identifier: str) -> Object:
        """The object of an ID."""
        return self._objects[int(identifier.removeprefix("stub:"))]

    def leaves(self, field: str) -> list[tuple[Step, ...]]:
        """The ways to every leaf ``field`` that was asked, in order."""
        return [steps for steps in self.asked if steps[-1].field == field]

    # --- resolving ---

    def _resolve(self, source: Any, info: graphql.GraphQLResolveInfo, /, **args: Any) -> Any:
        if isinstance(source, dict):
            return source[info.field_name]
        here: Object = source or Object("Query")
        if info.field_name == "node":
            return self.of_id(args["id"])
        resolved = {
            name: self.of_id(value) if isinstance(value, str) and value.startswith("stub:") else value
            for name, value in args.items()
        }
        steps = (*here.steps, Step(info.field_name, resolved))
        named = graphql.get_named_type(info.return_type)
        if isinstance(named, graphql.GraphQLObjectType) and named.name != "FunctionCallArgValue":
            return Object(named.name, steps)
        self.asked.append(steps)
        return getattr(self, f"_{here.type}_{info.field_name}", self._identify)(here, resolved)

    def _identify(self, here: Object, args: dict[str, Any]) -> str:
        return self.id_of(here)

    def _path(self, here: Object) -> Path:
        path = Path()
        for step in here.steps:
            if "path" in step.args:
                path /= step.args["path"]
        return path

    def _Directory_exists(self, here: Object, args: dict[str, Any]) -> bool:
        return (self._path(here) / args["path"]).exists()

    def _Directory_entries(self, here: Object, args: dict[str, Any]) -> list[str]:
        return sorted(entry.name for entry in self._path(here).iterdir())

    def _File_contents(self, here: Object, args: dict[str, Any]) -> str:
        return self._path(here).read_text(encoding="utf-8")

    def _Container_sync(self, here: Object, args: dict[str, Any]) -> str:
        for command in _commands(here):
            if self.failing and self.failing in command:
                raise graphql.GraphQLError(
                    f'process "{" ".join(command)}" did not complete successfully: exit code: 3',
                    extensions={
                        "_type": "EXEC_ERROR",
                        "cmd": command,
                        "exitCode": 3,
                        "stdout": "",
                        "stderr": "working\nno such package\n",
                    },
                )
        return self.id_of(here)

    def _Container_publish(self, here: Object, args: dict[str, Any]) -> str:
        return f"{args['address']}@{self.digest}"

    def _Query_version(self, here: Object, args: dict[str, Any]) -> str:
        return "v0.21.11"

    def _FunctionCall_name(self, here: Object, args: dict[str, Any]) -> str:
        assert self.call
        return self.call.name

    def _FunctionCall_parentName(self, here: Object, args: dict[str, Any]) -> str:
        return "BlumeopsCi"

    def _FunctionCall_parent(self, here: Object, args: dict[str, Any]) -> str:
        return "{}"

    def _FunctionCall_inputArgs(self, here: Object, args: dict[str, Any]) -> list[dict[str, str]]:
        assert self.call
        pairs = [{"name": name, "value": json.dumps(value)} for name, value in self.call.inputs.items()]
        return [{**pair, "id": self.id_of(Object("FunctionCallArgValue", (Step("arg", pair),)))} for pair in pairs]

    def _FunctionCallArgValue_name(self, here: Object, args: dict[str, Any]) -> str:
        return str(here.steps[-1].args["name"])

    def _FunctionCallArgValue_value(self, here: Object, args: dict[str, Any]) -> str:
        return str(here.steps[-1].args["value"])

    def _FunctionCall_returnValue(self, here: Object, args: dict[str, Any]) -> None:
        assert self.call
        self.call.value = json.loads(args["value"])

    def _FunctionCall_returnError(self, here: Object, args: dict[str, Any]) -> None:
        assert self.call
        self.call.error = args["error"].steps[0].args["message"]

    async def handle(self, request: web.Request) -> web.Response:
        """One POST to /query."""
        wanted = "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()
        if request.headers.get("Authorization") != wanted:
            return web.Response(status=401)
        body = await request.text()
        self.bodies.append(body)
        asked = json.loads(body)
        result = graphql.graphql_sync(
            self._schema,
            asked["query"],
            variable_values=asked.get("variables"),
            operation_name=asked.get("operationName"),
            field_resolver=self._resolve,
            type_resolver=lambda value, info, kind: value.type,
        )
        return web.json_response(result.formatted)


def _commands(thing: Object) -> Iterator[list[str]]:
    """Every command that leads to an object, also by way of the objects that went into it."""
    for step in thing.steps:
        for value in step.args.values():
            if isinstance(value, Object):
                yield from _commands(value)
        if step.field == "withExec":
            yield step.args["args"]


@contextmanager
def engine() -> Iterator[Stub]:
    """Serve a stub on loopback."""
    stub = Stub()
    app = web.Application()
    app.router.add_post("/query", stub.handle)
    with serving(app) as stub.port:
        yield stub
