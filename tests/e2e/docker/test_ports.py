"""Published ports: they answer where the user said and nowhere else, and one that is taken is named."""
import contextlib
import re
import subprocess
import sys

import pytest

from cluster import NODE_ADDRESS
from docker_engine import BOX, wait_for

PAGE = ("sh", "-c", "hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp")


@contextlib.contextmanager
def web(engine, *flags, prefix="web"):
    name = engine.unique(prefix)
    engine.docker("run", "-d", "--name", name, "--hostname", name, *flags, BOX, *PAGE)
    try:
        yield name
    finally:
        engine.docker("rm", "-f", name)


def ports(engine, name):
    """{"80/tcp": [("0.0.0.0", 8080)]}"""
    return {port: [(one["HostIp"], int(one["HostPort"])) for one in bindings or ()] for port, bindings in engine.inspect(name)["NetworkSettings"]["Ports"].items()}


def outside(engine, url):
    result = engine.sandbox.outside(["curl", "-sS", "--max-time", "2", url], check=False)
    return result.stdout if result.returncode == 0 else None


def answers(engine, name, port, host="127.0.0.1"):
    return wait_for(f"{name} at {host}:{port}", lambda: engine.fetch(f"http://{host}:{port}/") == f"{name}\n", 20)


def test_a_port_answers_everywhere(engine, cli):
    name = engine.unique("web")
    cli("run", "-d", "--name", name, "--hostname", name, "-p", "8080:80", BOX, *PAGE)
    try:
        answers(engine, name, 8080)
        assert engine.fetch(f"http://{NODE_ADDRESS}:8080/") == f"{name}\n"
        assert outside(engine, f"http://{NODE_ADDRESS}:8080/") == f"{name}\n"
        # From another container by the host's address, and from itself.
        assert engine.docker("run", "--rm", BOX, "wget", "-qO-", f"http://{NODE_ADDRESS}:8080/").stdout == f"{name}\n"
        assert engine.docker("exec", name, "wget", "-qO-", f"http://{NODE_ADDRESS}:8080/").stdout == f"{name}\n"
        assert cli("port", name).stdout.startswith("80/tcp -> 0.0.0.0:8080")
        assert "0.0.0.0:8080->80/tcp" in cli("ps", "--filter", f"name={name}").stdout
        # Nobody comes in by the container's own address, even with a route to it.
        ip = engine.inspect(name)["NetworkSettings"]["IPAddress"]
        engine.sandbox.outside(["ip", "route", "replace", f"{ip}/32", "via", NODE_ADDRESS])
        assert outside(engine, f"http://{ip}/") is None
        assert engine.fetch(f"http://{ip}/") == f"{name}\n", "the host itself may"
    finally:
        cli("rm", "-f", name)
    assert engine.fetch("http://127.0.0.1:8080/") is None


def test_loopback_stays_on_loopback(engine):
    with web(engine, "-p", "127.0.0.1:8081:80") as name:
        answers(engine, name, 8081)
        assert ports(engine, name) == {"80/tcp": [("127.0.0.1", 8081)]}
        assert outside(engine, f"http://{NODE_ADDRESS}:8081/") is None
        assert engine.fetch(f"http://{NODE_ADDRESS}:8081/") is None


def test_ranges_and_any_port(engine):
    with web(engine, "-p", "8100-8101:80-81", "-p", "80", prefix="range") as name:
        bound = ports(engine, name)
        assert bound["81/tcp"][0] == ("0.0.0.0", 8101) and ("0.0.0.0", 8100) in bound["80/tcp"]
        free = next(port for host, port in bound["80/tcp"] if port != 8100)
        assert free >= 1024
        answers(engine, name, 8100)
        answers(engine, name, free)
    with web(engine, "-p", "8110-8112:80") as first, web(engine, "-p", "8110-8112:80") as second:
        assert ports(engine, first)["80/tcp"][0][1] == 8110 and ports(engine, second)["80/tcp"][0][1] == 8111
        answers(engine, second, 8111)


def test_publish_all(engine):
    name = engine.unique("all")
    engine.docker("run", "-d", "--name", name, "--hostname", name, "--expose", "80", "-P", BOX, *PAGE)
    try:
        (host, port), = ports(engine, name)["80/tcp"]
        answers(engine, name, port)
    finally:
        engine.docker("rm", "-f", name)


SERVER = "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('',53));print('up',flush=True)\ndata=b''\nwhile data!=b'quit':\n data,who=s.recvfrom(99);s.sendto(b'pong',who)"
CLIENT = "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(10)\ns.sendto(sys.argv[2].encode(),(sys.argv[1],5353));print(s.recv(99).decode())"


def test_udp(engine):
    name = engine.unique("udp")
    engine.docker("run", "-d", "--name", name, "-p", "5353:53/udp", BOX, "sleep", "1000")
    # A server in the container's network; the image has none that speaks UDP.
    inside = ["nsenter", "--net", "--target", engine.inspect(name)["State"]["Pid"], "timeout", "100", sys.executable, "-c", SERVER]
    server = subprocess.Popen(engine.sandbox.command(inside), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "up\n"
        assert engine.sandbox.inside([sys.executable, "-c", CLIENT, "127.0.0.1", "ping"]).stdout == "pong\n"
        assert engine.sandbox.outside([sys.executable, "-c", CLIENT, NODE_ADDRESS, "ping"]).stdout == "pong\n"
        assert ports(engine, name) == {"53/udp": [("0.0.0.0", 5353)]}
    finally:
        engine.sandbox.inside([sys.executable, "-c", CLIENT, "127.0.0.1", "quit"], check=False)
        server.wait(110)
        engine.docker("rm", "-f", name)


def test_ipv6_ports(engine):
    net = engine.unique("six")
    engine.docker("network", "create", "--ipv6", net)
    engine.sandbox.inside(["ip", "address", "replace", "2001:db8:9::1/64", "dev", "eth0", "nodad"])
    engine.sandbox.outside(["ip", "address", "replace", "2001:db8:9::2/64", "dev", "eth0", "nodad"])
    try:
        with web(engine, "--network", net, "-p", "8090:80") as name:
            assert ports(engine, name)["80/tcp"] == [("0.0.0.0", 8090), ("::", 8090)]
            wait_for("the page by IPv6", lambda: outside(engine, "http://[2001:db8:9::1]:8090/") == f"{name}\n", 20)
            answers(engine, name, 8090)
    finally:
        engine.docker("network", "rm", net)


def test_a_taken_port_is_named_and_can_be_had_later(engine, cli):
    with web(engine, "-p", "8120:80"):
        name = engine.unique("second")
        result = cli("run", "-d", "--name", name, "-p", "8120:80", BOX, *PAGE, check=False)
        assert result.returncode == 125, result.stderr
        assert re.search(rf"driver failed programming external connectivity on endpoint {name} \([0-9a-f]{{64}}\): Bind for 0\.0\.0\.0:8120 failed: port is already allocated", result.stderr), result.stderr
        assert engine.inspect(name)["State"]["Status"] == "created"
    try:
        engine.docker("start", name)
        wait_for("the second one", lambda: engine.fetch("http://127.0.0.1:8120/"), 20)
    finally:
        engine.docker("rm", "-f", name)


def test_a_port_of_the_hosts_own_is_not_taken_away(engine, cli):
    holder = subprocess.Popen(engine.sandbox.command([sys.executable, "-c", "import socket\ns=socket.create_server(('127.0.0.1',8130))\nprint('up',flush=True)\ns.accept()"]), stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "up\n"
        name = engine.unique("late")
        result = cli("run", "--name", name, "-p", "8130:80", BOX, "true", check=False)
        assert result.returncode == 125 and "port is already allocated (address already in use" in result.stderr, result.stderr
        engine.docker("rm", "-f", name)
    finally:
        subprocess.run(engine.sandbox.command(["sh", "-c", "kill $(ss -Hltnp sport = :8130 | sed 's/.*pid=\\([0-9]*\\).*/\\1/')"]), check=False)
        holder.kill()
        holder.wait()
    # And the other way round: the host's programs do not get what leads to a container.
    with web(engine, "-p", "8131:80"):
        result = engine.sandbox.inside([sys.executable, "-c", "import socket; socket.create_server(('', 8131))"], check=False)
        assert "Address already in use" in result.stderr


@pytest.mark.parametrize("port, text", [("198.51.100.9:8140:80", "198.51.100.9"), ("nonsense:80:80", "nonsense"), ("99999:80", "99999")])
def test_bad_ports(engine, cli, port, text):
    name = engine.unique("bad")
    result = cli("run", "--name", name, "-p", port, BOX, "true", check=False)
    engine.docker("rm", "-f", name, check=False)
    assert result.returncode == 125 and text in result.stderr, result.stderr


def test_a_container_reaches_no_loopback_of_the_host(engine):
    holder = subprocess.Popen(engine.sandbox.command(["timeout", "60", "busybox", "nc", "-ll", "-p", "8150", "-e", "echo", "secret"]))
    try:
        wait_for("the host's server", lambda: engine.sandbox.inside(["busybox", "nc", "-w", "2", "127.0.0.1", "8150"], check=False, stdin=subprocess.DEVNULL).stdout == "secret\n", 10)
        gateway = engine.api("GET", "/networks/bridge").body["IPAM"]["Config"][0]["Gateway"]
        script = f"ip route del local 127.0.0.0/8 table local; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via {gateway}; nc -w 2 127.0.0.1 8150 </dev/null"
        result = engine.docker("run", "--rm", "--privileged", BOX, "sh", "-c", script, check=False)
        assert "secret" not in result.stdout
    finally:
        holder.terminate()
        holder.wait()
