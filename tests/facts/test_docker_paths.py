"""Every path of Docker's API reference is answered by a running engine; where the answer is a refusal, docs/docker-api.md gives the reason.

Runs when the folder with the facts is there: $ESTIBA_REFERENCE, or shared/reference beside this repository.
"""

import os
import re
import socket
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import docker_engine  # noqa: E402

METHODS = ("get", "head", "post", "put", "delete")


def reference():
    for folder in (os.environ.get("ESTIBA_REFERENCE"), ROOT / "../shared/reference", ROOT / "../../shared/reference"):
        if folder and (Path(folder) / "docker/engine-api-1.50.yaml").exists():
            return Path(folder) / "docker/engine-api-1.50.yaml"
    return None


def operations():
    if not reference():
        return []
    paths = yaml.load(reference().read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["paths"]
    return [(method.upper(), path, sorted(methods[method]["responses"])) for path, methods in paths.items() for method in METHODS if method in methods]


def documented():
    """What the table of refusals in docs/docker-api.md names, as patterns."""
    text = (ROOT / "docs/docker-api.md").read_text().split("## Answered with a refusal", 1)[1].split("\n## ", 1)[0]
    out = []
    for line in text.splitlines():
        cells = line.replace("\\|", "\0").split("|")
        for name in re.findall(r"`([^`]*/[^`]*)`", cells[1] if len(cells) > 1 else ""):
            head, *more = name.split(" ")[-1].split("\0")
            base = head.rsplit("/", 1)[0]
            out += [head, *(f"{base}/{each}" for each in more)]
    return [re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(each)) + "(/.*)?") for each in out]


@pytest.fixture(scope="module")
def engine():
    if not reference():
        pytest.skip("the facts of Docker are not here (ESTIBA_REFERENCE)")
    with docker_engine.Engine() as engine:
        engine.start()
        yield engine


def status_of(engine, method, path):
    """The status alone: some answers never end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(engine.socket_path)
        body = b"" if method in ("GET", "HEAD") else b"{}"
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = connection.recv(65536)
            assert piece, f"{method} {path}: no answer"
            answer += piece
        # A refusal is read whole: its text tells whether it is the router's.
        head, _, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        while method != "HEAD" and b" 404 " in head.split(b"\r\n", 1)[0] and length and len(body) < int(length[1]):
            piece = connection.recv(65536)
            assert piece, f"{method} {path}: the answer broke off"
            body += piece
            answer += piece
        return int(answer.split()[1]), answer


def test_every_path_is_answered_or_its_refusal_explained(engine):
    listed = documented()
    assert listed
    wrong = []
    for method, path, answers in operations():
        real = re.sub(r"\{[^}]*\}", "nothing-of-this-name", path)
        status, text = status_of(engine, method, real)
        if b"page not found" in text:
            wrong.append(f"{method} {path}: nobody answers")
        elif path == "/distribution/{name}/json":
            assert b"nothing-of-this-name" in text  # what it says depends on whether there is a way to a registry
        elif status >= 500 and not any(pattern.fullmatch(path) for pattern in listed):
            # What the reference itself says about servers' errors is for what went wrong, not for what is not there.
            wrong.append(f"{method} {path}: {status}, which docs/docker-api.md does not explain: {text[-200:]}")
        elif status not in answers and str(status) not in map(str, answers) and status not in (101, 400, 404, 501):
            wrong.append(f"{method} {path}: {status}, but the reference has {answers}")
    assert not wrong, "\n".join(wrong)


def test_the_list_of_the_unit_test_is_whole():
    if not reference():
        pytest.skip("the facts of Docker are not here (ESTIBA_REFERENCE)")
    listed = set(re.findall(r"^(GET|HEAD|POST|PUT|DELETE) (/\S*)$", (ROOT / "src/docker/api/paths_test.cpp").read_text(), re.M))
    plain = {(method, re.sub(r"\{[^}]*\}|a/b", "*", path)) for method, path in listed}
    for method, path, _ in operations():
        assert (method, re.sub(r"\{[^}]*\}", "*", path)) in plain, f"{method} {path} is not in src/docker/api/paths_test.cpp"
