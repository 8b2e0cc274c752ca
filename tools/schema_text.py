"""Reads the schema texts (src/model/schema/*.api, notation in docs/schema.md) into plain objects."""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

BUILTINS = {"string", "bool", "int32", "int64", "double", "bytes", "object", "any"}
ALL_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
FORMS = {
    "quantity", "time", "micro_time", "int_or_string", "raw_extension", "fields", "patch", "json",
    "schema_or_array", "schema_or_bool", "schema_or_strings",
}


class SchemaError(Exception):
    pass


@dataclass
class Field:
    name: str
    number: int  # 0: not in protobuf
    base: str  # a builtin, or the full name of a type
    shape: str  # single, list, map, map_of_lists
    where: str
    pointer: bool = False
    required: bool = False
    optional: bool = False  # structs tell "" from absent
    list_type: str = ""
    keys: list = field(default_factory=list)
    merge: bool = False
    merge_key: str = ""
    replace: bool = False
    retain_keys: bool = False
    may_be_empty: bool = False
    map_type: str = ""
    default: str = ""  # JSON
    published: bool = False  # the default is in OpenAPI too
    enum: list = field(default_factory=list)
    wrapped: str = ""  # in protobuf the list is field 1 of a message of this name
    embed: int = 0  # index into Type.embeds + 1; 0: directly in the message


@dataclass
class Type:
    name: str
    package: "Package"
    where: str
    kind: bool = False  # has apiVersion and kind
    is_list: bool = False  # metadata and items
    everywhere: bool = False  # belongs to every group and version
    map_type: str = ""
    form: str = "message"
    json_type: str = "object"  # scalars: how JSON writes it, "string:date-time"
    fields: list = field(default_factory=list)
    embeds: list = field(default_factory=list)  # (number, index of the parent embed + 1)

    @property
    def full(self):
        return f"{self.package.path}.{self.name}"


@dataclass
class Subresource:
    name: str
    kind: str
    group_version: tuple  # (group, version)
    verbs: list


@dataclass
class Column:
    name: str
    type: str
    wide: bool
    source: str  # ".spec.x" (a path) or a name that code knows


@dataclass
class Resource:
    plural: str
    kind: str
    namespaced: bool
    singular: str
    short: list
    categories: list
    package: "Package"
    where: str
    returns_deleted: bool = False
    verbs: list = field(default_factory=list)
    subs: list = field(default_factory=list)
    columns: list = field(default_factory=list)


@dataclass
class Package:
    path: str
    group: str = ""
    version: str = ""
    structs: bool = False
    types: list = field(default_factory=list)
    resources: list = field(default_factory=list)

    @property
    def short(self):
        return "/".join(self.path.split(".")[-2:])

    @property
    def id(self):
        return "_".join(self.path.split(".")[-2:]).replace("-", "_")


class Schema:
    """All packages. `types` maps full names to types."""

    def __init__(self):
        self.packages = []
        self.groups = []
        self.types = {}

    def load(self, folder):
        files = sorted(Path(folder).glob("*.api"))
        for path in files:
            Reader(self, path).read()
        self.packages.sort(key=lambda p: p.path)
        for package in self.packages:
            package.types.sort(key=lambda t: t.name)
            for t in package.types:
                if t.full in self.types:
                    raise SchemaError(f"{t.where}: {t.name} is declared twice in {package.path}")
                self.types[t.full] = t
        self._resolve()
        return files

    def _resolve(self):
        by_short = {}
        scalars = {}
        for package in self.packages:
            by_short[package.short] = package
            for t in package.types:
                if t.form != "message" and t.form not in ("patch", "json") and not t.form.startswith("schema_"):
                    scalars[t.name] = t.full
        for package in self.packages:
            if package.group not in self.groups and (package.group or package.resources):
                raise SchemaError(f"group {package.group} is missing in the `groups` lines")
            for t in package.types:
                for f in t.fields:
                    f.base = self._full(f, package, by_short, scalars)
            for r in package.resources:
                for s in r.subs:
                    head, _, s.kind = s.kind.rpartition(".")
                    if head and head not in by_short:
                        raise SchemaError(f"{r.where}: no package {head}")
                    p = by_short[head] if head else package
                    s.group_version = (p.group, p.version)

    def _full(self, f, package, by_short, scalars):
        if f.base in BUILTINS:
            return f.base
        head, _, name = f.base.rpartition(".")
        if head and head not in by_short:
            raise SchemaError(f"{f.where}: no package {head}")
        full = f"{(by_short[head] if head else package).path}.{name}"
        if full in self.types:
            return full
        if not head and name in scalars:
            return scalars[name]
        raise SchemaError(f"{f.where}: no type {f.base}")


class Reader:
    def __init__(self, schema, path):
        self.schema = schema
        self.path = path
        self.package = None
        self.type = None
        self.resource = None
        self.embeds = []  # (indent, embed index + 1)

    def fail(self, what):
        raise SchemaError(f"{self.where}: {what}")

    def read(self):
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            self.where = f"{self.path.name}:{number}"
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            indent = len(line) - len(line.lstrip(" "))
            words = line.split()
            if indent == 0:
                self.type = self.resource = None
                handler = getattr(self, "top_" + words[0], None)
                if handler is None:
                    self.fail(f"unknown declaration {words[0]}")
                handler(words[1:])
            elif self.type is not None:
                self.field(indent // 2, line.strip())
            elif self.resource is not None:
                self.resource_line(line.strip(), words)
            else:
                self.fail("indented line outside of a type or resource")

    def top_groups(self, words):
        self.schema.groups += ["" if w == "core" else w for w in words]

    def top_package(self, words):
        self.package = Package(words[0])
        self.schema.packages.append(self.package)

    def top_group(self, words):
        self.package.group = "" if words[0] == "core" else words[0]
        self.package.version = words[1]
        self.package.structs = "structs" in words[2:]

    def new_type(self, name, **more):
        self.type = Type(name, self.package, self.where, **more)
        self.embeds = []
        self.package.types.append(self.type)

    def top_type(self, words):
        self.new_type(words[0])
        for w in words[1:]:
            if w in ("atomic", "granular"):
                self.type.map_type = w
            elif w == "everywhere":
                self.type.everywhere = True
            else:
                self.fail(f"unknown word {w}")

    def top_kind(self, words):
        self.top_type(words)
        self.type.kind = True

    def top_list(self, words):
        if len(words) != 3 or words[1] != "of":
            self.fail("expected `list NAME of TYPE`")
        self.new_type(words[0], kind=True, is_list=True)
        meta = "ListMeta" if self.package.short == "meta/v1" else "meta/v1.ListMeta"
        self.type.fields = [
            Field("metadata", 1, meta, "single", self.where),
            Field("items", 2, words[2], "list", self.where, required=True),
        ]
        self.type = None

    def top_scalar(self, words):
        name, json_type, form = words
        if form not in FORMS:
            self.fail(f"unknown form {form}")
        self.new_type(name, json_type=json_type, form=form)
        self.type = None

    FIELD = re.compile(r"(\S+)\s+(\d+|-)\s+(\S+)\s*(.*)")
    MODIFIER = re.compile(r"(?P<hidden>:)?= (?P<default>.+)|(?P<word>\w+)(?:\((?P<args>[^)]*)\))?")

    def field(self, depth, text):
        match = self.FIELD.fullmatch(text)
        if not match:
            self.fail("expected `NAME NUMBER TYPE …`")
        name, number, base, rest = match.groups()
        while self.embeds and self.embeds[-1][0] >= depth:
            self.embeds.pop()
        inside = self.embeds[-1][1] if self.embeds else 0
        if name == "embed":
            self.type.embeds.append((int(number), inside))
            self.embeds.append((depth, len(self.type.embeds)))
            return
        f = Field(name, 0 if number == "-" else int(number), base, "single", self.where, embed=inside)
        if f.base.endswith("?"):
            f.pointer, f.base = True, f.base[:-1]
        for prefix, shape in (("map[string][]", "map_of_lists"), ("map[string]", "map"), ("[]", "list")):
            if f.base.startswith(prefix):
                f.shape, f.base = shape, f.base[len(prefix):]
                break
        for m in self.MODIFIER.finditer(rest):
            self.modifier(f, m)
        if any(other.name == name for other in self.type.fields):
            self.fail(f"{self.type.name}.{name} is declared twice")
        self.type.fields.append(f)

    def modifier(self, f, match):
        word, args = match["word"], match["args"]
        if match["default"]:
            f.default, f.published = match["default"], not match["hidden"]
            try:
                json.loads(f.default)
            except ValueError:
                self.fail(f"the default {f.default} is no JSON")
        elif word in ("required", "optional", "replace"):
            setattr(f, word, True)
        elif word == "retainKeys":
            f.retain_keys = True
        elif word == "mayBeEmpty":
            f.may_be_empty = True
        elif word in ("atomic", "granular") and f.shape != "list" and f.base != "bytes":
            f.map_type = word
        elif word in ("atomic", "set", "map"):
            f.list_type = word
            f.keys = args.split(",") if args else []
        elif word == "merge":
            f.merge, f.merge_key = True, args or ""
        elif word == "wrapped":
            f.wrapped = args
        elif word == "enum":
            f.enum = args.split(",")
        else:
            self.fail(f"unknown word {word}")

    def top_resource(self, words):
        plural, kind, scope, *more = words
        if scope not in ("namespaced", "cluster"):
            self.fail("the scope is `namespaced` or `cluster`")
        returns_deleted = "returns-deleted" in more
        options = dict(w.split("=") for w in more if w != "returns-deleted")
        self.resource = Resource(
            plural, kind, scope == "namespaced", options.get("singular", kind.lower()),
            options["short"].split(",") if "short" in options else [],
            options["categories"].split(",") if "categories" in options else [],
            self.package, self.where, returns_deleted)
        self.package.resources.append(self.resource)

    COLUMN = re.compile(r'(column|wide)\s+"([^"]+)"\s+(\S+)\s+(\S+)')

    def resource_line(self, text, words):
        r = self.resource
        if words[0] == "verbs":
            r.verbs = ALL_VERBS if words[1] == "*" else words[1:]
        elif words[0] == "sub":
            r.subs.append(Subresource(words[1], words[2], (), words[3:]))
        elif match := self.COLUMN.fullmatch(text):
            r.columns.append(Column(match[2], match[3], match[1] == "wide", match[4]))
        else:
            self.fail("expected `verbs`, `sub`, `column` or `wide`")


def load(folder):
    schema = Schema()
    try:
        files = schema.load(folder)
    except SchemaError as error:
        sys.exit(f"schema: {error}")
    return schema, files
