"""Volumes: they outlive containers, take what the image has, are kept while somebody uses them, and say what is wrong."""
import contextlib
import json

from docker_engine import BOX


@contextlib.contextmanager
def volume(engine, *flags):
    name = engine.unique("vol")
    engine.docker("volume", "create", *flags, name)
    try:
        yield name
    finally:
        engine.docker("volume", "rm", "-f", name)


def test_data_outlives_its_container(engine, cli):
    name = engine.unique("datos")
    assert cli("volume", "create", "--label", "a=b", name).stdout.strip() == name
    cli("run", "--rm", "-v", f"{name}:/data", BOX, "sh", "-c", "echo kept > /data/file")
    assert cli("run", "--rm", "-v", f"{name}:/data:ro", BOX, "cat", "/data/file").stdout == "kept\n"
    result = cli("run", "--rm", "-v", f"{name}:/data:ro", BOX, "touch", "/data/other", check=False)
    assert result.returncode == 1 and "Read-only file system" in result.stderr
    shown = json.loads(cli("volume", "inspect", name).stdout)[0]
    assert shown["Name"] == name and shown["Driver"] == "local" and shown["Labels"] == {"a": "b"} and shown["Scope"] == "local"
    assert shown["Mountpoint"].endswith(f"/volumes/{name}/_data")
    assert name in cli("volume", "ls", "-q", "--filter", "label=a=b").stdout.split()
    assert cli("volume", "rm", name).stdout.strip() == name
    result = cli("volume", "inspect", name, check=False)
    assert result.returncode == 1 and "no such volume" in result.stderr.lower() and name in result.stderr


def test_a_volume_in_use_stays(engine, cli):
    with volume(engine) as name:
        holder = engine.docker("create", "-v", f"{name}:/data", BOX, "true").stdout.strip()
        try:
            result = cli("volume", "rm", name, check=False)
            assert result.returncode == 1 and f"remove {name}: volume is in use - [{holder}]" in result.stderr, result.stderr
            assert name not in engine.docker("volume", "ls", "-q", "--filter", "dangling=true").stdout.split()
        finally:
            engine.docker("rm", holder)
        assert name in engine.docker("volume", "ls", "-q", "--filter", "dangling=true").stdout.split()


def test_an_empty_volume_takes_what_the_image_has(engine):
    """The owner and mode of the directory, too; one that is not empty, and a bind mount, take nothing."""
    with volume(engine) as name:
        assert engine.docker("run", "--rm", "-v", f"{name}:/etc", BOX, "head", "-n1", "/etc/passwd").stdout.startswith("root:")
        engine.docker("run", "--rm", "-v", f"{name}:/etc", BOX, "rm", "/etc/passwd")
        assert "passwd" not in engine.docker("run", "--rm", "-v", f"{name}:/etc", BOX, "ls", "/etc").stdout.split()
    with volume(engine) as name:
        assert "passwd" not in engine.docker("run", "--rm", "--mount", f"type=volume,src={name},dst=/etc,volume-nocopy", BOX, "ls", "/etc").stdout
    directory = engine.dir / engine.unique("bound")
    directory.mkdir()
    assert "passwd" not in engine.docker("run", "--rm", "-v", f"{directory}:/etc", BOX, "ls", "/etc").stdout


def test_anonymous_volumes_go_with_rm_and_prune(engine):
    before = set(engine.docker("volume", "ls", "-q").stdout.split())
    engine.docker("run", "--rm", "-v", "/data", BOX, "true")
    assert set(engine.docker("volume", "ls", "-q").stdout.split()) == before
    kept = engine.docker("create", "-v", "/data", BOX, "true").stdout.strip()
    engine.docker("rm", kept)
    (left,) = set(engine.docker("volume", "ls", "-q").stdout.split()) - before
    assert len(left) == 64
    gone = engine.docker("create", "-v", "/data", BOX, "true").stdout.strip()
    engine.docker("rm", "-v", gone)
    with volume(engine, "--label", "keep") as named:
        answer = engine.api("POST", "/v1.43/volumes/prune").body
        assert left in answer["VolumesDeleted"] and named not in answer["VolumesDeleted"], answer
        answer = engine.api("POST", '/v1.43/volumes/prune?filters={"all":["true"],"label":["keep"]}').body
        assert answer["VolumesDeleted"] == [named]
    assert set(engine.docker("volume", "ls", "-q").stdout.split()) <= before


def test_options_of_the_local_driver(engine):
    with volume(engine, "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=1000") as name:
        shown = engine.docker("run", "--rm", "-v", f"{name}:/data", BOX, "sh", "-c", "grep ' /data ' /proc/mounts; stat -c %u /data").stdout
        assert shown.startswith("tmpfs /data tmpfs") and shown.endswith("1000\n") and "size=1024k" in shown, shown
    directory = engine.dir / engine.unique("bound")
    directory.mkdir()
    with volume(engine, "-o", "type=none", "-o", "o=bind", "-o", f"device={directory}") as name:
        engine.docker("run", "--rm", "-v", f"{name}:/data", BOX, "touch", "/data/here")
        assert (directory / "here").exists()
    with volume(engine, "-o", "type=none", "-o", "o=bind", "-o", f"device={directory}/missing") as name:
        result = engine.docker("run", "--rm", "-v", f"{name}:/data", BOX, "true", check=False)
        assert result.returncode == 125 and "failed to mount local volume" in result.stderr and "no such file or directory" in result.stderr.lower(), result.stderr


def test_bad_volumes(engine, cli):
    for words, text in ((("create", "x"), "volume name is too short"), (("create", "a/b"), 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'),
                        (("create", "-d", "flocker", "some"), 'plugin "flocker" not found'), (("create", "-o", "colour=red", "some"), 'invalid option: "colour"'),
                        (("rm", "nothing"), "nothing")):
        result = cli("volume", *words, check=False)
        assert result.returncode == 1 and text in result.stderr, (words, result.stderr)
    assert engine.api("GET", "/volumes/some").status == 404


def test_volumes_outlive_the_engine(own_engine):
    engine = own_engine
    engine.start()
    engine.docker("volume", "create", "--label", "a=b", "datos")
    engine.docker("run", "--rm", "-v", "datos:/data", BOX, "sh", "-c", "echo kept > /data/file")
    holder = engine.docker("create", "-v", "datos:/data", BOX, "cat", "/data/file").stdout.strip()
    engine.kill9()
    engine.start()
    assert engine.api("GET", "/volumes/datos").body["Labels"] == {"a": "b"}
    assert engine.docker("volume", "rm", "datos", check=False).returncode == 1
    assert engine.docker("start", "-a", holder).stdout == "kept\n"
    engine.docker("rm", holder)
    engine.docker("volume", "rm", "datos")
    engine.stop()
    assert engine.leftovers() == []
