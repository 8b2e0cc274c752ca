#!/usr/bin/env python3
"""Turns the schema texts (src/model/schema/*.api) into C++: constant tables and typed structs.

    tools/schema.py SCHEMA_FOLDER OUTPUT_FOLDER

writes OUTPUT_FOLDER/model/schema_tables.cpp with schema_arrays.h and, for every group whose `group` line says `structs`,
OUTPUT_FOLDER/model/types/<group>_<version>.h with its sources <group>_<version>_<n>.cpp. Files that would not change are left alone.
`tools/schema.py --list SCHEMA_FOLDER` prints the names of the generated sources (for CMake).
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True
import schema_text  # noqa: E402

MADE = "// Made by tools/schema.py from src/model/schema/*.api."

KEYWORDS = set("""alignas alignof and asm auto bool break case catch char class const continue default delete do double else enum
explicit export extern false float for friend goto if inline int long mutable namespace new not operator or private protected
public register return short signed sizeof static struct switch template this throw true try typedef typeid typename union
unsigned using virtual void volatile while xor""".split())

KINDS = {
    "string": "string", "bool": "boolean", "int32": "int32", "int64": "int64", "double": "number", "bytes": "bytes",
    "object": "object", "any": "any",
}


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def version_order(version):
    """Kubernetes' order: general availability first, then beta, then alpha, each with the highest number first."""
    major, stage, minor = re.fullmatch(r"v(\d+)(alpha|beta)?(\d*)", version).groups()
    return {None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0)


class Tables:
    """Writes model/schema_tables.cpp."""

    def __init__(self, schema):
        self.schema = schema
        self.types = [t for p in schema.packages for t in p.types]
        self.index = {t.full: i for i, t in enumerate(self.types)}
        self.strings = {}  # tuple of strings -> name of its array
        self.more = {}
        self.head = []
        self.first_field = {}  # full name of a type -> index of its first field

    def string_list(self, values):
        if not values:
            return "{}"
        values = tuple(values)
        if values not in self.strings:
            name = f"s{len(self.strings)}"
            self.strings[values] = name
            self.head.append(f"constexpr std::string_view {name}[] = {{{', '.join(map(quote, values))}}};")
        return self.strings[values]

    def more_of(self, f):
        if not (f.keys or f.merge_key or f.default or f.enum):
            return "nullptr"
        key = (tuple(f.keys), f.merge_key, f.default, f.published, tuple(f.enum))
        if key not in self.more:
            keys, allowed = self.string_list(f.keys), self.string_list(f.enum)
            name = f"m{len(self.more)}"
            self.more[key] = name
            self.head.append(f"constexpr FieldMore {name} = {{{keys}, {quote(f.merge_key)}, {quote(f.default)}, {allowed}, "
                             f"{int(f.published)}}};")
        return "&" + self.more[key]

    def field(self, f):
        kind, type_ = KINDS.get(f.base), "nullptr"
        if kind is None:
            kind = "message" if self.schema.types[f.base].form == "message" else "special"
            type_ = f"all + {self.index[f.base]}"
        flags = ", ".join(str(int(bool(b))) for b in (f.required, f.pointer, f.merge, f.replace, f.retain_keys, f.wrapped, f.may_be_empty))
        return (f"{{{quote(f.name)}, {type_}, {self.more_of(f)}, {f.number}, Kind::{kind}, Shape::{f.shape}, "
                f"ListType::{f.list_type or 'none'}, MapType::{f.map_type or 'none'}, {f.embed}, {flags}}},")

    def type_lines(self):
        fields, embeds, types = [], [], []
        for t in self.types:
            spans = []
            for rows, target, kind in ((t.fields, fields, "fields"), (t.embeds, embeds, "embeds")):
                spans.append(f"{{{kind} + {len(target)}, {len(rows)}}}" if rows else "{}")
                if kind == "fields":
                    self.first_field[t.full] = len(target)
                for row in rows:
                    target.append(self.field(row) if kind == "fields" else f"{{{row[0]}, {row[1]}}},")
            package = self.schema.packages.index(t.package)
            types.append(f"{{{quote(t.name)}, package_list + {package}, {spans[0]}, {spans[1]}, {quote(t.json_type)}, Form::{t.form}, "
                         f"MapType::{t.map_type or 'none'}, {int(t.kind)}, {int(t.everywhere)}}},")
        return fields, embeds, types

    def resource(self, r):
        subs, columns = "{}", "{}"
        name = f"{r.package.id}_{r.plural}"
        if r.subs:
            rows = [f"{{{quote(s.name)}, {quote(s.group_version[0])}, {quote(s.group_version[1])}, {quote(s.kind)}, "
                    f"{self.string_list(s.verbs)}}}" for s in r.subs]
            subs = name + "_subs"
            self.head.append(f"constexpr Subresource {subs}[] = {{{', '.join(rows)}}};")
        if r.columns:
            rows = [f"{{{quote(c.name)}, {quote(c.type)}, {quote(c.source)}, {int(c.wide)}}}" for c in r.columns]
            columns = name + "_columns"
            self.head.append(f"constexpr Column {columns}[] = {{{', '.join(rows)}}};")
        kind = f"{r.package.path}.{r.kind}"
        if kind not in self.index:
            sys.exit(f"schema: {r.where}: no type {kind}")
        lists = ", ".join(self.string_list(x) for x in (r.short, r.categories, r.verbs))
        return (f"{{{quote(r.package.group)}, {quote(r.package.version)}, {quote(r.plural)}, {quote(r.singular)}, {quote(r.kind)}, "
                f"all + {self.index[kind]}, {int(r.namespaced)}, {int(r.returns_deleted)}, {lists}, {subs}, {columns}}},")

    def group_lines(self):
        resources, versions, groups = [], [], []
        for group in self.schema.groups:
            first = len(versions)
            packages = [p for p in self.schema.packages if p.group == group and p.resources]
            if not packages:
                continue  # a group of files, which nobody discovers
            for p in sorted(packages, key=lambda p: version_order(p.version)):
                versions.append(f"{{{quote(p.version)}, {{resource_list + {len(resources)}, {len(p.resources)}}}}},")
                resources += [self.resource(r) for r in p.resources]
            groups.append(f"{{{quote(group)}, {{version_list + {first}, {len(versions) - first}}}}},")
        return resources, versions, groups

    def arrays(self):
        """The header with the arrays' bounds, which constant initializers need."""
        count = sum(len(t.fields) for t in self.types)
        return "\n".join([MADE, "#pragma once", '#include "model/schema.h"', "", "namespace estiba::model::schema::tables {", "",
                          f"extern const Type all[{len(self.types)}];", f"extern const Field fields[{count}];", "",
                          "}  // namespace estiba::model::schema::tables", ""])

    def text(self):
        fields, embeds, types = self.type_lines()
        resources, versions, groups = self.group_lines()
        packages, at = [], 0
        for p in self.schema.packages:
            packages.append(f"{{{quote(p.path)}, {quote(p.group)}, {quote(p.version)}, {{all + {at}, {len(p.types)}}}}},")
            at += len(p.types)
        out = [MADE, '#include "model/schema_arrays.h"', '#include "model/schema_tables.h"', "",
               "namespace estiba::model::schema::tables {", "",
               f"extern const Package package_list[{len(packages)}];", "namespace {", *self.head,
               "constexpr Embed embeds[] = {", *embeds, "};"]
        for name, kind, rows in (("resource_list", "Resource", resources), ("version_list", "Version", versions),
                                 ("group_list", "Group", groups)):
            out += [f"constinit const {kind} {name}[] = {{", *rows, "};"]
        out += ["}  // namespace", f"constinit const Field fields[{len(fields)}] = {{", *fields, "};",
                f"constinit const Type all[{len(types)}] = {{", *types, "};",
                f"constinit const Package package_list[{len(packages)}] = {{", *packages, "};",
                "constinit const std::span<const Package> packages = package_list;",
                "constinit const std::span<const Type> types = all;",
                "constinit const std::span<const Group> groups = group_list;",
                "constinit const std::span<const Resource> resources = resource_list;", "",
                "}  // namespace estiba::model::schema::tables", ""]
        return "\n".join(out)


INLINE = {"metadata", "spec", "status", "template"}
SCALARS = {  # base -> C++ type, codec kind; where "" differs from absent see Structs.member
    "string": ("std::string", "string"), "bytes": ("std::string", "bytes"), "object": ("std::string", "raw"),
    "any": ("std::string", "raw"), "bool": ("bool", "boolean"), "int32": ("int32_t", "int32"), "int64": ("int64_t", "int64"),
    "double": ("double", "number"),
}
FORMS = {
    "quantity": "string", "time": "string", "micro_time": "string", "int_or_string": "int_or_string", "raw_extension": "raw",
    "fields": "raw", "json": "raw", "patch": "raw",
}


class Structs:
    """Writes model/types/<group>_<version>.h and its sources."""

    def __init__(self, schema, package, tables):
        self.schema = schema
        self.package = package
        self.tables = tables
        self.mine = [t for t in package.types if t.form == "message" and not t.is_list]
        self.includes = set()

    def cpp_name(self, t):
        if t.package is self.package:
            return t.name
        if not t.package.structs:
            sys.exit(f"schema: {self.package.short} has structs and uses {t.full}, which has none")
        self.includes.add(t.package.id)
        return f"{t.package.id}::{t.name}"

    def member(self, f):
        """(C++ type, codec kind, nested type or None, whether it must be complete)"""
        if f.base in SCALARS:
            cpp, kind = SCALARS[f.base]
        else:
            t = self.schema.types[f.base]
            if t.form == "message":
                return self.message_member(f, t)
            kind = FORMS[t.form]
            cpp = "IntOrString" if kind == "int_or_string" else "std::string"
        if f.shape == "list":
            return f"std::vector<{cpp}>", kind + "s", None, False
        if f.shape == "map":
            return f"std::map<std::string, {cpp}>", kind + "_map", None, False
        if f.shape == "map_of_lists":
            return f"std::map<std::string, std::vector<{cpp}>>", kind + "_lists_map", None, False
        if kind in ("boolean", "int32", "int64", "number"):
            if f.required and not f.pointer:
                return cpp, kind, None, False
            return f"std::optional<{cpp}>", "optional_" + kind, None, False
        if f.optional and kind == "string":
            return "std::optional<std::string>", "optional_string", None, False
        return cpp, kind, None, False

    def message_member(self, f, t):
        name = self.cpp_name(t)
        if f.shape == "list":
            return f"std::vector<{name}>", "messages", t, True
        if f.shape != "single":
            sys.exit(f"schema: {f.where}: structs have no maps of messages yet")
        if f.required or f.name in INLINE:
            return name, "message", t, True
        return f"Opt<{name}>", "boxed", t, False

    @staticmethod
    def id(name):
        name = re.sub(r"\W", "_", name)
        return name + "_" if name in KEYWORDS else name

    def ordered(self):
        """The types, each behind those it holds by value."""
        done, out, path = set(), [], []

        def visit(t):
            if t.full in done:
                return
            if t in path:
                sys.exit(f"schema: {t.where}: {t.name} holds itself by value")
            path.append(t)
            for f in t.fields:
                _, _, nested, complete = self.member(f)
                if nested and complete and nested.package is self.package:
                    visit(nested)
            path.pop()
            done.add(t.full)
            out.append(t)

        for t in self.mine:
            visit(t)
        return out

    def header(self):
        body = [f"struct {t.name};" for t in self.mine] + [""]
        for t in self.ordered():
            body.append(f"struct {t.name} {{")
            for f in t.fields:
                cpp, *_ = self.member(f)
                zero = " = 0" if cpp in ("int32_t", "int64_t", "double") else " = false" if cpp == "bool" else ""
                body.append(f"  {cpp} {self.id(f.name)}{zero};")
            body += ["  static const codec::Struct layout_;", "};", ""]
        includes = [f'#include "model/types/{i}.h"' for i in sorted(self.includes)]
        return "\n".join([
            MADE, "#pragma once", "#include <cstdint>", "#include <map>",
            "#include <optional>", "#include <string>", "#include <vector>", "", '#include "model/codec.h"',
            '#include "model/int_or_string.h"', '#include "model/opt.h"', *includes, "",
            f"namespace estiba::model::{self.package.id} {{", "", *body, f"}}  // namespace estiba::model::{self.package.id}", ""])

    def source(self, types):
        body = []
        for t in types:
            slots = "{}"
            if t.fields:
                slots = f"{t.name}_slots"
                body.append(f"static constexpr codec::Slot {slots}[] = {{")
                for i, f in enumerate(t.fields):
                    _, kind, nested, _ = self.member(f)
                    pointer = f"&{self.cpp_name(nested)}::layout_" if nested else "nullptr"
                    body.append(f"    {{schema::tables::fields + {self.tables.first_field[t.full] + i}, {pointer}, "
                                f"__builtin_offsetof({t.name}, {self.id(f.name)}), codec::Cpp::{kind}}},")
                body.append("};")
            body.append(f"constinit const codec::Struct {t.name}::layout_{{schema::tables::all + {self.tables.index[t.full]}, {slots}, "
                        f"codec::operations_of<{t.name}>}};")
        return body

    def parts(self):
        """The types of each source file: small enough to compile in a second or two."""
        return [self.mine[i:i + 60] for i in range(0, len(self.mine), 60)]

    def text(self, types):
        return "\n".join([
            MADE, f'#include "model/types/{self.package.id}.h"', "",
            '#include "model/schema_arrays.h"', "", "#pragma clang diagnostic ignored \"-Winvalid-offsetof\"", "",
            f"namespace estiba::model::{self.package.id} {{", "",
            *self.source(types), "", f"}}  // namespace estiba::model::{self.package.id}", ""])


def main(args):
    if args[0] == "--list":
        schema, _ = schema_text.load(args[1])
        parts = {p.id: len(Structs(schema, p, None).parts()) for p in schema.packages if p.structs}
        print(";".join(["model/schema_tables.cpp"] + [f"model/types/{id}_{i + 1}.cpp" for id, n in parts.items() for i in range(n)]))
        return
    schema, _ = schema_text.load(args[0])
    out = Path(args[1])
    tables = Tables(schema)
    write(out / "model/schema_arrays.h", tables.arrays())
    write(out / "model/schema_tables.cpp", tables.text())
    for package in schema.packages:
        if package.structs:
            structs = Structs(schema, package, tables)
            write(out / f"model/types/{package.id}.h", structs.header())
            for i, types in enumerate(structs.parts()):
                write(out / f"model/types/{package.id}_{i + 1}.cpp", structs.text(types))


main(sys.argv[1:])
