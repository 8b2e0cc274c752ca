"""Compares our schema texts (src/model/schema/*.api) with the facts of Kubernetes, field by field.

Runs when the folder with the facts is there: $ESTIBA_REFERENCE, or shared/reference beside this repository.
"""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import schema_text  # noqa: E402


def reference():
    candidates = [os.environ.get("ESTIBA_REFERENCE"), ROOT / "../shared/reference", ROOT / "../../shared/reference"]
    for folder in candidates:
        if folder and (Path(folder) / "kubernetes-1.36/types.tsv").exists():
            return Path(folder) / "kubernetes-1.36"
    pytest.skip("the facts of Kubernetes are not here (ESTIBA_REFERENCE)")


def rows(name):
    header, *lines = (reference() / name).read_text().splitlines()
    columns = header.split("\t")
    if columns[0] == "type":
        columns[0] = "owner"  # types.tsv calls two columns `type`
    return [dict(zip(columns, line.split("\t") + [""] * len(columns))) for line in lines]


@pytest.fixture(scope="module")
def schema():
    """Without metrics.k8s.io, which in Kubernetes an extension server answers."""
    loaded = schema_text.load(ROOT / "src/model/schema")[0]
    loaded.packages = [package for package in loaded.packages if package.group != "metrics.k8s.io"]
    loaded.types = {name: t for name, t in loaded.types.items() if t.package in loaded.packages}
    return loaded


JSON_TYPES = {
    "string": "string", "bool": "boolean", "int32": "integer:int32", "int64": "integer:int64", "double": "number:double",
    "bytes": "string:byte", "object": "object", "any": "any",
}
PROTO_TYPES = {"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "double": "double", "bytes": "bytes"}


def json_type(f):
    base = JSON_TYPES.get(f.base, f.base)
    return {"single": "", "list": "[]", "map": "map[string]", "map_of_lists": "map[string][]"}[f.shape] + base


def proto_type(f, t):
    """How generated.proto writes the type of a field of `t`."""
    if f.wrapped:
        name = f.wrapped
    elif f.base in PROTO_TYPES:
        name = PROTO_TYPES[f.base]
    else:
        package, _, name = f.base.rpartition(".")
        if package != t.package.path:
            name = "." + package.replace("io.k8s.", "k8s.io.", 1).replace("-", "_") + "." + name
    return f"map<string, {name}>" if f.shape.startswith("map") else name


def strategy(f):
    words = [word for word, on in (("replace", f.replace), ("merge", f.merge), ("retainKeys", f.retain_keys)) if on]
    return ",".join(words)


def ours(schema):
    out = {}
    for full, t in schema.types.items():
        if t.form != "message" or (not t.fields and not t.kind):
            out[full, "-"] = {"type": t.json_type, "map_type": t.map_type}
        for f in t.fields:
            direct = f.number and not f.embed
            out[full, f.name] = {
                "proto": str(f.number) if direct else "", "proto_type": proto_type(f, t) if direct else "", "type": json_type(f),
                "required": "required" if f.required else "", "list_type": f.list_type, "map_keys": ",".join(f.keys),
                "patch_strategy": strategy(f), "patch_key": f.merge_key, "map_type": f.map_type or t.map_type,
                "default": f.default if f.published else "",
            }
        if t.kind:
            for name in ("apiVersion", "kind"):
                out[full, name] = {"type": "string", "proto": "", "map_type": t.map_type}
    return out


# Types of configuration files, which no API serves and so no table of facts lists.
OF_FILES = "io.k8s.kube-scheduler."


def test_every_field_is_as_in_kubernetes(schema):
    mine, differences, seen = ours(schema), [], set()
    for row in rows("types.tsv"):
        key = row.pop("owner"), row.pop("field")
        seen.add(key)
        if key not in mine:
            differences.append(f"{key} is missing")
            continue
        for column, expected in row.items():
            got = mine[key].get(column, "")
            # Where types.tsv names no protobuf field (names that differ by case or dashes), protos.tsv is compared below.
            if column in ("proto", "proto_type") and not expected:
                continue
            if got != expected:
                differences.append(f"{key} {column}: {got!r}, Kubernetes has {expected!r}")
    differences += [f"{key} is not in Kubernetes" for key in mine.keys() - seen if not key[0].startswith(OF_FILES)]
    assert not differences, "\n".join(differences)
    assert sum(not name.startswith(OF_FILES) for name in schema.types) == 771


def test_every_resource_is_as_in_kubernetes(schema):
    mine = {}
    for package in schema.packages:
        for r in package.resources:
            subs = [f"{s.name}({s.kind}:{','.join(s.verbs)})" for s in r.subs]
            mine[package.group, package.version, r.plural] = [
                r.kind, "Namespaced" if r.namespaced else "Cluster", r.singular, ",".join(r.short), ",".join(r.categories),
                ",".join(r.verbs), ";".join(subs)]
    theirs = {}
    for row in rows("resources.tsv"):
        group, version, plural, *rest = row.values()
        theirs[group, version, plural] = rest[:7]
    assert mine == theirs
    assert len(mine) == 95


def test_embedded_fields_have_the_numbers_of_their_protobuf_messages(schema):
    messages = {}
    for row in rows("protos.tsv"):
        messages.setdefault((row["package"], row["message"]), {})[row["field"]] = row

    def fold(name):
        return name.lower().replace("-", "").replace("$", "").replace("_", "")

    def check(package, message, t, inside):
        fields = messages[package, message]
        by_name = {fold(name): row for name, row in fields.items()}
        for f in t.fields:
            if f.embed == inside and f.number:
                row = by_name.get(fold(f.name))
                assert row and int(row["number"]) == f.number, (t.full, f.name)
        for i, (number, parent) in enumerate(t.embeds, 1):
            if parent == inside:
                (row,) = [r for r in fields.values() if int(r["number"]) == number]
                head, _, name = row["type"].rpartition(".")
                check(head.lstrip(".") or package, name, t, i)

    checked = 0
    for t in schema.types.values():
        package = t.package.path.replace("io.k8s.", "k8s.io.", 1).replace("-", "_")
        if t.form == "message" and (package, t.name) in messages:
            check(package, t.name, t, 0)
            checked += 1
    assert checked > 700
