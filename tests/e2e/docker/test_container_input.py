"""Bad input is refused with an error that names the object, the field and the way out, in Docker's words where scripts match on them, and leaves
nothing behind."""
import pytest

from docker_engine import BOX


def create(engine, body, name=None):
    answer = engine.api("POST", "/containers/create" + (f"?name={name}" if name else ""), {"Image": BOX, "Cmd": ["true"], **body})
    if answer.status == 201:
        engine.api("DELETE", f"/containers/{answer.body['Id']}?force=1")
    return answer


def test_a_name_in_use_names_its_holder(engine, cli):
    name = engine.unique("taken")
    holder = cli("create", "--name", name, BOX, "true").stdout.strip()
    try:
        result = cli("create", "--name", name, BOX, "true", check=False)
        assert result.returncode == 1 and f'The container name "/{name}" is already in use by container "{holder}"' in result.stderr, result.stderr
        assert "remove (or rename)" in result.stderr
        assert cli("run", "--name", name, BOX, "true", check=False).returncode == 125
    finally:
        cli("rm", name)


@pytest.mark.parametrize("name", ["a b", "-x", "ü", "a/b", "x"])
def test_bad_names_are_refused_with_the_rule(engine, name):
    from urllib.parse import quote
    answer = create(engine, {}, quote(name))
    assert answer.status == 400 and "Invalid container name" in answer.body["message"] and "[a-zA-Z0-9]" in answer.body["message"], answer.text


def test_an_unknown_image(engine, cli):
    answer = engine.api("POST", "/containers/create", {"Image": "no-such-image:7"})
    assert answer.status == 404 and answer.body["message"] == "No such image: no-such-image:7"
    result = cli("inspect", "no-such-image:7", check=False)
    assert result.returncode == 1 and "No such object: no-such-image:7" in result.stderr
    result = cli("rmi", "no-such-image:7", check=False)
    assert result.returncode == 1 and "No such image: no-such-image:7" in result.stderr


@pytest.mark.parametrize("verb", [["start"], ["stop"], ["kill"], ["rm"], ["logs"], ["restart"], ["pause"], ["top"], ["port"], ["diff"], ["wait"], ["rename", "{}", "other-name"], ["exec", "{}", "true"],
                                  ["cp", "{}:/etc", "/tmp/nowhere"]])
def test_an_unknown_container(engine, cli, verb):
    words = [word.format("nobody-here") for word in verb]
    if len(words) == 1:
        words.append("nobody-here")
    result = cli(*words, check=False)
    assert result.returncode != 0 and "nobody-here" in result.stderr and "no such container" in result.stderr.lower(), result.stderr


def test_a_container_that_does_not_run(engine, cli):
    name = engine.unique("still")
    cli("create", "--name", name, BOX, "sleep", "100")
    try:
        for words, text in ((("exec", name, "true"), "is not running"), (("kill", name), "is not running"), (("pause", name), "not running"), (("top", name), "is not running")):
            result = cli(*words, check=False)
            assert result.returncode == 1 and text in result.stderr, (words, result.stderr)
        assert cli("stop", name).stdout.strip() == name
    finally:
        cli("rm", "-f", name)


def test_a_running_container_is_not_removed_without_force(engine, cli):
    name = engine.unique("runs")
    cli("run", "-d", "--name", name, BOX, "sleep", "100")
    try:
        result = cli("rm", name, check=False)
        assert result.returncode == 1 and "container" in result.stderr and ("stop" in result.stderr.lower() and "force" in result.stderr.lower()), result.stderr
    finally:
        cli("rm", "-f", name)


@pytest.mark.parametrize("flags,text", [
    (["--memory", "lots"], "invalid"), (["--memory", "1m"], "6MB"), (["--cpus", "many"], "many"), (["--cpu-shares", "-1"], ""), (["--memory-swap", "6m", "--memory", "64m"], "swap"),
    (["--restart", "sometimes"], "restart policy"), (["-p", "http:80"], "port"), (["-p", "99999:80"], "port"), (["--network", "no-such-network"], "no-such-network"), (["-v", "relative:also-relative"], ""),
    (["--ulimit", "nofile=2:1"], "ulimit"), (["--cap-add", "FLY"], "FLY"), (["--device", "/dev/no-such-device"], "/dev/no-such-device"), (["--user", "nobody-known"], "nobody-known"),
    (["-w", "relative"], "relative"), (["--sysctl", "kernel.panic=1"], "kernel.panic"), (["--pids-limit", "x"], ""), (["--log-driver", "carrier-pigeon"], "carrier-pigeon"),
    (["--volumes-from", "nobody-here"], "nobody-here"), (["--network", "container:nobody-here"], "nobody-here"), (["--security-opt", "seccomp=/no/such/profile"], "/no/such/profile"),
    (["--mount", "type=bind,source=/no/such/dir,target=/x"], "/no/such/dir"), (["--mount", "type=tape,target=/x"], ""), (["--health-cmd", "true", "--health-interval", "-1s"], ""),
    (["--env-file", "/no/such/file"], "/no/such/file"), (["--tmpfs", "relative"], "relative"), (["--cpuset-cpus", "900"], "900"), (["--link", "nobody-here"], "nobody-here")])
def test_bad_flags_of_run(engine, cli, flags, text):
    name = engine.unique("bad")
    remove = [] if "--restart" in flags else ["--rm"]
    result = cli("run", *remove, "--name", name, *flags, BOX, "true", check=False)
    # Docker's client takes "no such file or directory" of a start for a missing program.
    assert result.returncode == (127 if "--device" in flags else 125), (result.returncode, result.stdout, result.stderr)
    assert text.lower() in result.stderr.lower(), result.stderr
    assert engine.api("GET", f"/containers/{name}/json").status == 404


@pytest.mark.parametrize("words,code,text", [(["no-such-program"], 127, "not found"), (["/etc"], 126, ""), (["sh", "-c", "exit 42"], 42, ""), (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137, ""), (["/etc/passwd"], 126, "permission denied")])
def test_exit_codes(engine, cli, words, code, text):
    result = cli("run", "--rm", BOX, *words, check=False)
    assert result.returncode == code and text in result.stderr.lower(), (result.returncode, result.stderr)


def test_bad_requests_of_the_api(engine):
    assert engine.api("GET", "/v1.10/_ping").status == 400 or engine.api("GET", "/v1.10/info").status == 400
    answer = engine.api("GET", "/v1.10/info")
    assert answer.status == 400 and "1.24" in answer.body["message"], answer.text
    answer = engine.api("GET", "/v1.99/info")
    assert answer.status == 400 and "1.50" in answer.body["message"], answer.text
    answer = engine.api("GET", "/no/such/path")
    assert answer.status == 404 and "page not found" in answer.body["message"]
    answer = engine.api("POST", "/containers/create", b"{not json", {"Content-Type": "application/json"})
    assert answer.status == 400 and answer.body["message"]
    answer = engine.api("POST", "/containers/create", b"Image=box", {"Content-Type": "text/plain"})
    assert answer.status in (400, 415), answer.text
    answer = engine.api("GET", "/containers/json?filters=nonsense")
    assert answer.status == 400 and "filter" in answer.body["message"]
    answer = engine.api("GET", '/containers/json?filters={"flavour":["sweet"]}')
    assert answer.status == 400 and "flavour" in answer.body["message"]
    for body in ({"HostConfig": {"Memory": 1}}, {"HostConfig": {"NanoCpus": -1}}, {"HostConfig": {"RestartPolicy": {"Name": "maybe"}}}, {"HostConfig": {"Memory": "much"}}, {"Healthcheck": {"Interval": 1}}):
        answer = create(engine, body)
        assert answer.status == 400 and answer.body["message"], (body, answer.text)


def test_the_swarm_answers_that_there_is_none(engine):
    for path in ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs"):
        answer = engine.api("GET", path)
        assert answer.status == 503 and "swarm" in answer.body["message"], (path, answer.text)


def test_removing_what_is_in_use(engine, cli):
    volume, network, name = engine.unique("vol"), engine.unique("net"), engine.unique("user")
    cli("volume", "create", volume)
    cli("network", "create", network)
    holder = cli("run", "-d", "--name", name, "--network", network, "-v", f"{volume}:/v", BOX, "sleep", "100").stdout.strip()
    try:
        result = cli("volume", "rm", volume, check=False)
        assert result.returncode == 1 and "volume is in use" in result.stderr and holder in result.stderr, result.stderr
        result = cli("network", "rm", network, check=False)
        assert result.returncode == 1 and "has active endpoints" in result.stderr and name in result.stderr, result.stderr
        result = cli("network", "rm", "bridge", check=False)
        assert result.returncode == 1 and "pre-defined network" in result.stderr, result.stderr
    finally:
        cli("rm", "-f", name)
        cli("network", "rm", network)
        cli("volume", "rm", volume)


def test_a_daemon_that_is_not_there(own_engine):
    for run in (own_engine.docker, own_engine.estiba):
        result = run("ps", check=False)
        assert result.returncode == 1 and "Cannot connect to the Docker daemon at unix:///run/estiba/docker.sock" in result.stderr, result.stderr
