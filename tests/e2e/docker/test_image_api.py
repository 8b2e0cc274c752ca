"""Images by Docker's API: lists and filters, inspection, names, save and load, import, removal and pruning; hostile archives."""
import http.client
import io
import os
import json
import tarfile
import urllib.parse

import pytest

from docker_engine import BOX


def filters(**values):
    return urllib.parse.quote(json.dumps({key: value if isinstance(value, list) else [value] for key, value in values.items()}))


def tar_of(files):
    """A tar of {name: bytes or TarInfo}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            info.size = len(data)
            info.mode = info.mode or 0o755
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def image(engine):
    """A small image of its own: (name, id)."""
    name = engine.unique("img") + ":1"
    repo, tag = name.split(":")
    answer = engine.api("POST", f"/images/create?fromSrc=-&repo={repo}&tag={tag}&changes={urllib.parse.quote('LABEL own=' + repo)}&changes=CMD+%5B%22%2Fa%22%5D&message=hello",
                        tar_of({"a": name.encode()}))
    assert answer.status == 200, answer.text
    yield name, answer.lines[-1]["status"]
    engine.api("DELETE", f"/images/{name}?force=1")


def names(engine, **query):
    answer = engine.api("GET", f"/images/json?filters={filters(**query)}")
    assert answer.status == 200, answer.text
    return [tag for entry in answer.body for tag in entry["RepoTags"]]


def test_list_inspect_and_history(engine, image):
    name, id = image
    entry = next(e for e in engine.api("GET", "/images/json").body if e["Id"] == id)
    assert entry["RepoTags"] == [name] and entry["Size"] == len(name) and entry["Containers"] == -1 and entry["SharedSize"] == -1
    for reference in (name, id, id.removeprefix("sha256:")[:12], id.removeprefix("sha256:")[:5]):
        answer = engine.api("GET", f"/images/{reference}/json")
        assert answer.status == 200 and answer.body["Id"] == id, answer.text
    body = engine.api("GET", f"/images/{name}/json").body
    assert body["Config"]["Cmd"] == ["/a"] and body["Config"]["Labels"]["own"] == name.split(":")[0] and body["Comment"] == "hello"
    assert body["Os"] == "linux" and body["RootFS"]["Type"] == "layers" and len(body["RootFS"]["Layers"]) == 1
    history = engine.api("GET", f"/images/{name}/history").body
    assert history[0]["Id"] == id and history[0]["Tags"] == [name] and history[0]["Size"] == len(name)
    missing = engine.api("GET", "/images/no-such-image/json")
    assert missing.status == 404 and missing.body == {"message": "No such image: no-such-image:latest"}
    assert engine.api("GET", "/images/NoGood/json").status == 400


def test_filters(engine, image):
    name, id = image
    repo = name.split(":")[0]
    assert names(engine, reference=repo) == [name]
    assert names(engine, reference=repo + ":2") == []
    assert names(engine, reference=repo[:-1] + "*") == [name]
    assert names(engine, label="own=" + repo) == [name]
    assert names(engine, label="own=other") == []
    assert name not in names(engine, before=name) and name not in names(engine, since=name)
    assert name in names(engine, dangling="false") and name not in names(engine, dangling="true")
    assert name not in names(engine, until="1h")
    bad = engine.api("GET", f"/images/json?filters={filters(nonsense='x')}")
    assert bad.status == 400 and "invalid filter 'nonsense'" in bad.text


def test_names_come_and_go(engine, image):
    name, id = image
    other = engine.unique("img")
    assert engine.api("POST", f"/images/{name}/tag?repo={other}&tag=x").status == 201
    assert set(engine.api("GET", f"/images/{id}/json").body["RepoTags"]) == {name, other + ":x"}
    assert engine.api("POST", f"/images/{name}/tag?repo=Bad&tag=x").status == 400
    refused = engine.api("DELETE", f"/images/{id}")
    assert refused.status == 409 and "must be forced" in refused.body["message"] and "multiple repositories" in refused.body["message"]
    assert engine.api("DELETE", f"/images/{other}:x").body == [{"Untagged": other + ":x"}]
    removed = engine.api("DELETE", f"/images/{name}")
    assert removed.body[0] == {"Untagged": name} and {"Deleted": id} in removed.body
    assert engine.api("GET", f"/images/{id}/json").status == 404


def test_an_image_in_use_stays(engine, image):
    name, id = image
    container = engine.api("POST", "/containers/create", {"Image": name, "Cmd": ["/a"]}).body["Id"]
    try:
        refused = engine.api("DELETE", f"/images/{name}")
        assert refused.status == 409
        assert refused.body["message"] == (f'conflict: unable to remove repository reference "{name}" (must force) - container {container[:12]} '
                                           f"is using its referenced image {id[7:19]}")
        refused = engine.api("DELETE", f"/images/{id}")
        assert refused.status == 409 and refused.body["message"] == f"conflict: unable to delete {id[7:19]} (must be forced) - image is being used by stopped container {container[:12]}"
        assert engine.api("DELETE", f"/images/{name}?force=1").body == [{"Untagged": name}]
        assert engine.api("GET", f"/images/{id}/json").body["RepoTags"] == []
        assert id not in [e["Id"] for e in engine.api("POST", "/images/prune").body["ImagesDeleted"] or [] if "Id" in e]
        assert engine.api("GET", f"/images/{id}/json").status == 200
    finally:
        engine.api("DELETE", f"/containers/{container}?force=1")
    pruned = engine.api("POST", f"/images/prune?filters={filters(label='own=' + name.split(':')[0])}").body
    assert {"Deleted": id} in pruned["ImagesDeleted"] and pruned["SpaceReclaimed"] > 0


def test_save_and_load_by_both_clients(engine, cli, image):
    name, id = image
    path = engine.dir / (engine.unique("saved") + ".tar")
    cli("save", "-o", path, name)
    with tarfile.open(path) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        assert manifest[0]["RepoTags"] == [name] and "oci-layout" in tar.getnames()
    cli("rmi", name)
    assert engine.api("GET", f"/images/{id}/json").status == 404
    assert f"Loaded image: {name}" in cli("load", "-i", path).stdout
    assert engine.api("GET", f"/images/{name}/json").body["Id"] == id
    assert f"Loaded image: {name}" in cli("load", "-q", "-i", path).stdout


def test_a_save_that_fails_in_the_middle_is_seen(engine, cli, tmp_path):
    """Its answer breaks off, so that no client takes half an archive for the whole."""
    repo = engine.unique("damaged")
    (tmp_path / "a").write_bytes(os.urandom(2_000_000))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    engine.estiba("build", "-q", "-t", f"{repo}:1", tmp_path)
    layer = engine.api("GET", f"/images/{repo}:1/json").body["RootFS"]["Layers"][0].removeprefix("sha256:")
    os.truncate(engine.data_dir / "images/layers" / layer / "fs/a", 500_000)  # the layer's archive is made of this
    with pytest.raises(http.client.IncompleteRead):
        engine.api("GET", f"/images/{repo}:1/get")
    out = tmp_path / "out.tar"
    result = cli("save", "-o", out, f"{repo}:1", check=False)
    assert result.returncode != 0 and not out.exists(), result
    engine.api("DELETE", f"/images/{repo}:1?force=1")


def test_several_images_in_one_archive(engine, image):
    name, id = image
    archive = engine.api("GET", f"/images/get?names={name}&names={BOX}")
    assert archive.status == 200
    lines = engine.api("POST", "/images/load", archive.data).lines
    assert {f"Loaded image: {name}\n", f"Loaded image: {BOX}\n"} <= {line.get("stream") for line in lines}
    by_id = engine.api("GET", f"/images/{id}/get")
    assert by_id.status == 200
    assert engine.api("GET", "/images/no-such/get").status == 404


@pytest.mark.parametrize("what, archive, says", [
    ("dots", {"../evil": b"x"}, '".." is not allowed'),
    ("absolute", {"/evil": b"x"}, "absolute name"),
    ("link out", {"l": tarfile.TarInfo("l")}, "leads out of the root"),
    ("device", {"d": tarfile.TarInfo("d")}, "device node"),
])
def test_hostile_root_file_systems_are_refused(engine, what, archive, says):
    if what == "link out":
        archive["l"].type, archive["l"].linkname = tarfile.SYMTYPE, "../../etc"
    if what == "device":
        archive["d"].type, archive["d"].devmajor, archive["d"].devminor = tarfile.BLKTYPE, 8, 0
    repo = engine.unique("hostile")
    answer = engine.api("POST", f"/images/create?fromSrc=-&repo={repo}", tar_of(archive))
    assert answer.status in (400, 500) and says in answer.body["message"], answer.text
    assert engine.api("GET", f"/images/{repo}/json").status == 404


def test_archives_that_are_none(engine, image):
    archive = engine.api("GET", f"/images/{image[0]}/get").data
    for body, says in ((b"", "tar"), (b"x" * 2000, "tar"), (tar_of({"a": b"x"}), "no images"), (archive[:len(archive) // 2], "truncated")):
        answer = engine.api("POST", "/images/load", body)
        assert answer.status >= 400 and says in answer.text, answer.text
    # A layer whose bytes are not what the configuration says.
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    layer = json.loads(files["manifest.json"])[0]["Layers"][0]
    files[layer] = files[layer][:-1] + bytes([files[layer][-1] ^ 1])
    answer = engine.api("POST", "/images/load", tar_of(files))
    engine.api("DELETE", f"/images/{image[0]}")
    answer = engine.api("POST", "/images/load", tar_of(files))
    assert "digest" in answer.text and "Loaded image" not in answer.text, answer.text


def test_search_is_refused_clearly(engine):
    answer = engine.api("GET", "/images/search?term=x")
    assert answer.status == 501 and "not supported" in answer.body["message"]


def test_events_tell_of_images(engine, image):
    name, id = image
    since = engine.api("GET", "/info").body["SystemTime"]
    other = engine.unique("img")
    engine.api("POST", f"/images/{name}/tag?repo={other}&tag=x")
    engine.api("DELETE", f"/images/{other}:x")
    until = engine.api("GET", "/info").body["SystemTime"]
    events = engine.api("GET", f"/events?since={urllib.parse.quote(since)}&until={urllib.parse.quote(until)}&filters={filters(type='image')}", timeout=20)
    assert events.status == 200, events.text
    actions = [(e["Action"], e["Actor"]["ID"]) for e in events.lines]
    assert ("tag", id) in actions and ("untag", id) in actions
