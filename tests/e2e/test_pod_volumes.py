"""What is in a pod's volumes, with which modes and owners, and how it follows its sources."""
import json

import pytest

import cluster as support
from cluster import wait_for
from manifests import config_map, pod

BOX = "estiba/busybox:test"
FILES = ("configMap", "secret", "downwardAPI")
KINDS = (*FILES, *(f"projected {kind}" for kind in FILES))


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def volume(name, kind, source="one", items=None, mode=None, optional=None):
    """A volume of files: of the ConfigMap or Secret `source`, or of the pod's own annotation of that name. `items`: [(key, path, mode)]."""
    inner = kind.split()[-1]
    if inner == "downwardAPI":
        made = {"items": [{"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{key}']"}, **({"mode": own} if own else {})}
                          for key, path, own in items or [("a", "a", None), ("b", "b", None)]]}
    else:
        made = {"secretName" if kind == "secret" else "name": source}
        if items:
            made["items"] = [{"key": key, "path": path, **({"mode": own} if own else {})} for key, path, own in items]
        if optional:
            made["optional"] = True
    if kind.startswith("projected"):
        made = {"sources": [{inner: made}]}
    if mode:
        made["defaultMode"] = mode
    return {"name": name, kind.split()[0]: made}


def sources(name="one", **data):
    return [config_map(name, **data), secret(name, **data)]


def mounts(*names):
    return [{"name": name, "mountPath": f"/{name}"} for name in names]


def shell(cluster, name):
    return lambda command, *more: cluster.k("exec", name, *more, "--", "sh", "-c", command)


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_an_empty_directory_is_everybodys_and_keeps_modes(cluster, medium):
    root = {"name": "root", "image": BOX, "command": ["sleep", "1000"], "volumeMounts": mounts("v")}
    cluster.apply(pod("empty", volumes=[{"name": "v", "emptyDir": {"medium": medium}}], volumeMounts=mounts("v"), securityContext={"runAsUser": 1001}))
    made = pod("shared", volumes=[{"name": "v", "emptyDir": {"medium": medium}}], volumeMounts=mounts("v"), securityContext={"runAsUser": 1001})
    made["spec"]["containers"].append(root)
    cluster.apply(made)
    cluster.wait_running("shared")
    user = shell(cluster, "shared")
    assert user("stat -c '%a %u' /v").split() == ["777", "0"]
    assert ("tmpfs" in user("grep ' /v ' /proc/mounts")) == (medium == "Memory")
    for mode in ("644", "666", "777"):
        user(f"echo user > /v/user{mode}; chmod {mode} /v/user{mode}")
        user(f"echo root > /v/root{mode}; chmod {mode} /v/root{mode}", "-c", "root")
    assert user("cd /v; stat -c '%n %a %u' *", "-c", "root").split("\n")[:-1] == [f"{who}{mode} {mode} {uid}" for who, uid in (("root", 0), ("user", 1001)) for mode in ("644", "666", "777")]
    assert user("cat /v/root644 /v/user644").split() == ["root", "user"], "the containers share it"
    assert "Permission denied" in user("echo x 2>&1 >> /v/root644 || true")
    assert user("echo more >> /v/root666 && cat /v/root666").split() == ["root", "more"]


@pytest.mark.parametrize("kind", KINDS)
def test_files_have_their_places_modes_and_owners(cluster, kind):
    cluster.apply(*sources(a="first", b="second"))
    volumes = [volume("all", kind), volume("again", kind), volume("strict", kind, mode=0o400),
               volume("mapped", kind, items=[("a", "path/to/a", None), ("b", "b", 0o440)], mode=0o644)]
    made = pod("files", volumes=volumes, volumeMounts=mounts("all", "again", "strict", "mapped"), annotations={"a": "first", "b": "second"})
    user = pod("user", volumes=[volume("v", kind, mode=0o440)], volumeMounts=mounts("v"), annotations={"a": "first", "b": "second"})
    user["spec"]["securityContext"] = {"runAsUser": 1000, "fsGroup": 1001}
    cluster.apply(made, user)
    cluster.wait_running("files")
    sh = shell(cluster, "files")
    assert sh("cat /all/a /all/b /again/a /strict/b") == "firstsecondfirstsecond"
    assert sh("stat -L -c %a /all/a /strict/a /mapped/path/to/a /mapped/b").split() == ["644", "400", "644", "440"]
    assert sh("ls /mapped").split() == ["b", "path"] and sh("cat /mapped/path/to/a") == "first"
    cluster.wait_running("user")
    sh = shell(cluster, "user")
    assert sh("cat /v/a /v/b; id -G") == "firstsecond0 1001\n"
    assert sh("stat -L -c '%a %g' /v/a").split() == ["440", "1001"]


def test_what_is_optional_comes_and_goes(cluster):
    kinds = ("configMap", "secret", "projected configMap", "projected secret")
    names = [f"v{n}" for n in range(len(kinds))]
    makes = lambda name, **data: sources(name, **data)
    cluster.apply(*makes("goes", key="there"), *makes("changes", key="old"))
    volumes = []
    for name, kind in zip(names, kinds):
        volumes += [volume(f"{name}-{source}", kind, source, optional=True) for source in ("goes", "changes", "comes")]
    cluster.apply(pod("follows", volumes=volumes, volumeMounts=mounts(*(v["name"] for v in volumes))))
    cluster.wait_running("follows")
    sh = shell(cluster, "follows")
    read = lambda source: [sh(f"cat /{name}-{source}/key 2>/dev/null || true") for name in names]
    assert read("goes") == ["there"] * 4 and read("changes") == ["old"] * 4 and read("comes") == [""] * 4
    cluster.k("delete", "configmap,secret", "goes")
    cluster.apply(*makes("changes", key="new"), *makes("comes", key="late"))
    wait_for("what was deleted to go", lambda: read("goes") == [""] * 4, 30, 0.5)
    wait_for("what was changed", lambda: read("changes") == ["new"] * 4, 30, 0.5)
    wait_for("what was made", lambda: read("comes") == ["late"] * 4, 30, 0.5)


def test_binary_data_arrives_as_it_is(cluster):
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "binary"}, "data": {"text": "text"}, "binaryData": {"bytes": "3q2+7wD/"}},
                  pod("binary", volumes=[volume("v", "configMap", "binary")], volumeMounts=mounts("v")))
    cluster.wait_running("binary")
    assert shell(cluster, "binary")("cat /v/text; od -An -tx1 /v/bytes").split() == ["text", "de", "ad", "be", "ef", "00", "ff"]


@pytest.mark.parametrize("projected", [False, True])
def test_the_downward_api_tells_what_a_pod_is(cluster, projected):
    field = lambda path, name: {"path": path, "fieldRef": {"fieldPath": name}}
    resource = lambda path, name, container="main": {"path": path, "resourceFieldRef": {"containerName": container, "resource": name}}
    items = [field("name", "metadata.name"), field("labels", "metadata.labels"), field("annotations", "metadata.annotations"), field("uid", "metadata.uid"),
             resource("cpu-limit", "limits.cpu"), resource("cpu-request", "requests.cpu"), resource("memory-limit", "limits.memory"), resource("memory-request", "requests.memory"),
             resource("cpu-default", "limits.cpu", "free"), resource("memory-default", "limits.memory", "free")]
    source = {"projected": {"sources": [{"downwardAPI": {"items": items}}]}} if projected else {"downwardAPI": {"items": items}}
    made = pod("told", volumes=[{"name": "v", **source}], volumeMounts=mounts("v"), labels={"colour": "red"}, annotations={"note": "one"},
               resources={"requests": {"cpu": "250m", "memory": "16Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"}})
    made["spec"]["containers"].append({"name": "free", "image": BOX, "command": ["sleep", "1000"]})
    cluster.apply(made)
    there = cluster.wait_running("told")
    sh = shell(cluster, "told")
    read = lambda *names: [sh(f"cat /v/{name}") for name in names]
    assert read("name", "uid", "cpu-limit", "cpu-request", "memory-limit", "memory-request") == ["told", there["metadata"]["uid"], "2", "1", str(64 << 20), str(16 << 20)]
    node = cluster.get("node", "node-1")["status"]["allocatable"]
    assert read("cpu-default") == [node["cpu"]] and read("memory-default") == [str(int(node["memory"].removesuffix("Ki")) * 1024)]
    assert 'colour="red"' in read("labels")[0] and 'note="one"' in read("annotations")[0]
    cluster.k("label", "--overwrite", "pod", "told", "colour=blue")
    cluster.k("annotate", "--overwrite", "pod", "told", "note=two")
    wait_for("the new label", lambda: 'colour="blue"' in read("labels")[0], 20)
    wait_for("the new annotation", lambda: 'note="two"' in read("annotations")[0], 20)


def test_one_projection_of_everything(cluster):
    cluster.apply(*sources(a="of the map"), secret("two", b="of the secret"))
    cluster.apply(pod("mixed", volumeMounts=mounts("v"), volumes=[{"name": "v", "projected": {"defaultMode": 0o444, "sources": [
        {"configMap": {"name": "one", "items": [{"key": "a", "path": "map/a"}]}}, {"secret": {"name": "two"}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}, {"serviceAccountToken": {"path": "token", "audience": "api"}}]}}]))
    cluster.wait_running("mixed")
    sh = shell(cluster, "mixed")
    assert sh("cat /v/map/a /v/b /v/name") == "of the mapof the secretmixed" and sh("cat /v/token").count(".") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_a_volume_of_files(cluster, kind):
    cluster.apply(*sources(a="first", b="second"))
    made = pod("part", annotations={"a": "first", "b": "second"}, volumes=[volume("v", kind, items=[("a", "sub/a", None), ("b", "b", None)]), {"name": "e", "emptyDir": {}}],
               volumeMounts=[{"name": "v", "mountPath": "/sub", "subPath": "sub"}, {"name": "v", "mountPath": "/etc/passwd", "subPath": "sub/a"},
                             {"name": "e", "mountPath": "/made", "subPath": "not/there/yet"}])
    cluster.apply(made)
    cluster.wait_running("part")
    sh = shell(cluster, "part")
    assert sh("cat /sub/a /etc/passwd; ls /sub") == "firstfirsta\n"
    assert sh("echo x > /made/x; ls /made") == "x\n"


def test_names_are_of_the_pods_own_namespace(cluster):
    cluster.kubectl("create", "namespace", cluster.ns + "-2")
    try:
        cluster.kubectl("-n", cluster.ns + "-2", "create", "secret", "generic", "same", "--from-literal=key=theirs")
        cluster.apply(secret("same", key="ours"), pod("own", volumes=[volume("v", "secret", "same")], volumeMounts=mounts("v")))
        cluster.wait_running("own")
        assert shell(cluster, "own")("cat /v/key") == "ours"
    finally:
        cluster.kubectl("delete", "namespace", cluster.ns + "-2", "--wait=false")


def test_many_volumes_in_many_pods_at_once(cluster):
    count, names = 50, [f"racing-{n}" for n in range(5)]
    cluster.apply(*(config_map(f"m{n}", key=str(n)) for n in range(count)))
    volumes = [volume(f"m{n}", "configMap", f"m{n}") for n in range(count)]
    cluster.apply(*(pod(name, volumes=volumes, volumeMounts=mounts(*(v["name"] for v in volumes))) for name in names))
    for name in names:
        cluster.wait_running(name, 60)
        assert shell(cluster, name)("for n in $(seq 0 49); do cat /m$n/key; done") == "".join(map(str, range(count)))


def test_files_leave_each_other_alone(cluster):
    cluster.apply(*sources(a="map"), secret("two", a="secret"))
    cluster.apply(pod("both", volumes=[volume("one", "configMap"), volume("two", "secret", "two"), {"name": "three", "emptyDir": {}}], volumeMounts=mounts("one", "two", "three")))
    cluster.wait_running("both")
    assert shell(cluster, "both")("cat /one/a /two/a; ls /three") == "mapsecret"
    assert json.loads(cluster.k("get", "configmap", "one", "-o", "json"))["data"] == {"a": "map"}


def test_trust_bundles_are_projected(cluster, tmp_path):
    def certificate(name):
        support.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-days", "2",
                     "-keyout", tmp_path / "key", "-out", tmp_path / name])
        return (tmp_path / name).read_text()
    one, two, three = (certificate(name) for name in ("one", "two", "three"))
    signer = f"{cluster.ns}.example.com/signer"
    def bundle(name, text, **spec):
        return {"apiVersion": "certificates.k8s.io/v1beta1", "kind": "ClusterTrustBundle", "metadata": {"name": name, "labels": spec.pop("labels", {})}, "spec": {"trustBundle": text, **spec}}
    prefix = signer.replace("/", ":")
    made = [bundle(f"{cluster.ns}-named", one + two + one), bundle(f"{prefix}:live", two, signerName=signer, labels={"state": "live"}), bundle(f"{prefix}:old", three, signerName=signer)]
    cluster.apply(*made)
    try:
        sources = [{"name": f"{cluster.ns}-named", "path": "named"}, {"signerName": signer, "labelSelector": {"matchLabels": {"state": "live"}}, "path": "live"},
                   {"signerName": signer, "labelSelector": {}, "path": "all"}, {"signerName": signer, "path": "none", "optional": True}, {"name": "missing", "path": "missing", "optional": True}]
        reader = pod("reader", "sh", "-c", "for f in named live all none missing; do echo $f $(grep -c BEGIN /b/$f); done; cat /b/live", restartPolicy="Never", volumeMounts=[{"name": "b", "mountPath": "/b"}])
        reader["spec"]["volumes"] = [{"name": "b", "projected": {"sources": [{"clusterTrustBundle": source} for source in sources]}}]
        waits = pod("waits", volumeMounts=[{"name": "b", "mountPath": "/b"}])
        waits["spec"]["volumes"] = [{"name": "b", "projected": {"sources": [{"clusterTrustBundle": {"name": "missing", "path": "x"}}]}}]
        cluster.apply(reader, waits)
        cluster.wait_ended("reader")
        said = cluster.k("logs", "reader")
        assert said.startswith("named 2\nlive 1\nall 2\nnone 0\nmissing 0\n") and said.endswith(two), said
        wait_for("an event about the bundle", lambda: '"missing" not found' in cluster.k("get", "events", "--field-selector", "involvedObject.name=waits"))
    finally:
        cluster.kubectl("delete", "clustertrustbundles.v1beta1.certificates.k8s.io", *(b["metadata"]["name"] for b in made))
