"""Networks of the container engine, driven by the real docker client: names, isolation, connecting and leaving, and what is refused."""
import contextlib
import json

from cluster import NODE_ADDRESS, OUTSIDE_ADDRESS
from docker_engine import BOX, wait_for


@contextlib.contextmanager
def network(engine, *flags, prefix="net"):
    name = engine.unique(prefix)
    engine.docker("network", "create", *flags, name)
    try:
        yield name
    finally:
        engine.docker("network", "rm", name)


@contextlib.contextmanager
def running(engine, *flags, command=("sleep", "1000"), prefix="box"):
    name = engine.unique(prefix)
    engine.docker("run", "-d", "--name", name, *flags, BOX, *command)
    try:
        yield name
    finally:
        engine.docker("rm", "-f", name)


def address(engine, container, net):
    return engine.inspect(container)["NetworkSettings"]["Networks"][net]["IPAddress"]


def test_containers_find_each_other_by_name_alias_and_id(engine):
    with network(engine) as red:
        with running(engine, "--network", red, "--network-alias", "shop", "--network-alias", "store") as web, running(engine, "--network", red) as client:
            ip = address(engine, web, red)
            identity = engine.inspect(web)["Id"][:12]
            for name in (web, "shop", "store", identity, f"{web}.{red}"):
                assert ip in engine.docker("exec", client, "nslookup", name).stdout, name
                engine.docker("exec", client, "ping", "-c1", "-W3", name)
            assert web in engine.docker("exec", client, "nslookup", ip).stdout
            assert engine.docker("exec", client, "cat", "/etc/resolv.conf").stdout.startswith("nameserver 127.0.0.11\n")
            assert "ndots:0" in engine.docker("exec", client, "cat", "/etc/resolv.conf").stdout
            networks = engine.inspect(web)["NetworkSettings"]["Networks"][red]
            assert {web, "shop", "store", identity} <= set(networks["DNSNames"])
            shown = json.loads(engine.docker("network", "inspect", red).stdout)[0]
            assert {one["Name"] for one in shown["Containers"].values()} == {web, client}
            new = engine.unique("renamed")
            engine.docker("rename", web, new)
            engine.docker("exec", client, "ping", "-c1", "-W3", new)
            engine.docker("rename", new, web)


def test_the_default_bridge_has_no_names_but_links(engine):
    with running(engine) as web:
        result = engine.docker("run", "--rm", BOX, "ping", "-c1", "-W1", web, check=False)
        assert result.returncode != 0
        engine.docker("run", "--rm", "--link", f"{web}:db", BOX, "ping", "-c1", "-W3", "db")


def test_networks_are_apart_and_internal_ones_have_no_way_out(engine):
    with network(engine) as red, network(engine, "--internal") as blue:
        with running(engine, "--network", red) as web, running(engine, "--network", blue) as db, running(engine, "--network", blue) as client:
            engine.docker("exec", client, "ping", "-c1", "-W3", db)
            assert engine.docker("exec", client, "ping", "-c1", "-W1", address(engine, web, red), check=False).returncode != 0
            assert engine.docker("exec", client, "ping", "-c1", "-W1", OUTSIDE_ADDRESS, check=False).returncode != 0
            assert engine.docker("exec", web, "ping", "-c1", "-W1", address(engine, db, blue), check=False).returncode != 0
            engine.docker("exec", web, "ping", "-c1", "-W3", OUTSIDE_ADDRESS)


def test_a_running_container_joins_and_leaves(engine, cli):
    with network(engine) as red, network(engine) as blue:
        with running(engine, "--network", red) as web, running(engine, "--network", blue) as client:
            cli("network", "connect", "--alias", "front", blue, web)
            engine.docker("exec", client, "ping", "-c1", "-W3", "front")
            assert "eth1" in engine.docker("exec", web, "ip", "-o", "link").stdout
            cli("network", "disconnect", blue, web)
            assert "eth1" not in engine.docker("exec", web, "ip", "-o", "link").stdout
            assert list(engine.inspect(web)["NetworkSettings"]["Networks"]) == [red]
            result = cli("network", "disconnect", blue, web, check=False)
            assert result.returncode == 1 and f"is not connected to network {blue}" in result.stderr
            # What is joined while it rests counts at the next start.
            engine.docker("stop", "-t", "0", web)
            cli("network", "connect", blue, web)
            engine.docker("start", web)
            engine.docker("exec", client, "ping", "-c1", "-W3", web)
            cli("network", "disconnect", blue, web)


def test_fixed_addresses_subnets_and_options(engine, cli):
    with network(engine, "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.254", "--ip-range", "10.77.0.128/25", "--aux-address", "printer=10.77.0.128",
                 "--label", "team=a", "-o", "com.docker.network.driver.mtu=1400") as red:
        with running(engine, "--network", red, "--ip", "10.77.0.7", "--mac-address", "02:42:00:00:00:07") as web:
            assert address(engine, web, red) == "10.77.0.7"
            assert "02:42:00:00:00:07" in engine.docker("exec", web, "ip", "link", "show", "eth0").stdout
            assert "mtu 1400" in engine.docker("exec", web, "ip", "link", "show", "eth0").stdout
            assert "default via 10.77.0.254" in engine.docker("exec", web, "ip", "route").stdout
            for ip, text in (("10.77.0.7", "Address already in use"), ("10.78.0.1", "no configured subnet contains IP address 10.78.0.1")):
                result = cli("run", "--rm", "--network", red, "--ip", ip, BOX, "true", check=False)
                assert result.returncode == 125 and text in result.stderr, result.stderr
            other = cli("run", "--rm", "--network", red, BOX, "ip", "-4", "address", "show", "eth0").stdout
            assert "10.77.0.129/24" in other, other
        listed = engine.docker("network", "ls", "-q", "--filter", "label=team=a", "--no-trunc").stdout.split()
        assert listed == [engine.api("GET", f"/networks/{red}").body["Id"]]
    result = cli("run", "--rm", "--network", "bridge", "--ip", "172.17.0.9", BOX, "true", check=False)
    assert result.returncode == 125 and "user specified IP address is supported on user defined networks only" in result.stderr


def test_pools_avoid_the_routes_of_the_host(engine):
    taken = engine.api("GET", "/networks").body
    subnets = {config["Subnet"] for one in taken for config in one["IPAM"]["Config"]}
    free = next(n for n in range(17, 32) if f"172.{n}.0.0/16" not in subnets)
    engine.sandbox.inside(["ip", "route", "add", "unreachable", f"172.{free}.5.0/24"])
    engine.sandbox.inside(["ip", "route", "add", f"172.{free}.9.0/24", "via", OUTSIDE_ADDRESS])
    try:
        with network(engine) as red:
            assert engine.api("GET", f"/networks/{red}").body["IPAM"]["Config"][0]["Subnet"] != f"172.{free}.0.0/16"
    finally:
        engine.sandbox.inside(["ip", "route", "del", "unreachable", f"172.{free}.5.0/24"])
        engine.sandbox.inside(["ip", "route", "del", f"172.{free}.9.0/24"])


def test_ipv6(engine):
    with network(engine, "--ipv6", "--subnet", "fd00:77::/64") as six:
        with running(engine, "--network", six) as web:
            shown = engine.inspect(web)["NetworkSettings"]["Networks"][six]
            assert shown["GlobalIPv6Address"].startswith("fd00:77::") and shown["GlobalIPv6PrefixLen"] == 64 and shown["IPAddress"]
            engine.docker("run", "--rm", "--network", six, BOX, "ping", "-6", "-c1", "-W3", web)


def test_host_none_and_another_containers_network(engine, cli):
    assert NODE_ADDRESS in cli("run", "--rm", "--network", "host", BOX, "ip", "-4", "address").stdout
    alone = cli("run", "--rm", "--network", "none", BOX, "ip", "-o", "link").stdout.strip().splitlines()
    assert len(alone) == 1 and " lo:" in alone[0], alone
    with running(engine) as web:
        mine = cli("run", "--rm", "--network", f"container:{web}", BOX, "ip", "-4", "address", "show", "eth0").stdout
        assert engine.inspect(web)["NetworkSettings"]["IPAddress"] in mine
    result = cli("run", "--rm", "--network", "nowhere", BOX, "true", check=False)
    assert result.returncode == 125 and "network nowhere not found" in result.stderr


def test_what_is_refused(engine, cli):
    with network(engine, "--subnet", "10.79.0.0/16") as red:
        for words, text in ((("rm", "bridge"), "bridge is a pre-defined network and cannot be removed"), (("rm", "nowhere"), "nowhere"),
                            (("create", red), f"network with name {red} already exists"), (("create", "--subnet", "10.79.3.0/24", "over"), "Pool overlaps with other one on this address space"),
                            (("create", "-d", "weave", "w"), "plugin weave"), (("create", "host"), "operation is not permitted on predefined host network"),
                            (("connect", red, "nobody"), "No such container: nobody")):
            result = cli("network", *words, check=False)
            assert result.returncode == 1 and text in result.stderr, (words, result.stderr)
        with running(engine, "--network", red) as web:
            result = cli("network", "rm", red, check=False)
            assert result.returncode == 1 and f"network {red} id " in result.stderr and "has active endpoints" in result.stderr and web in result.stderr


def test_prune_takes_what_nobody_uses(engine):
    unused, label = engine.unique("unused"), engine.unique("label")
    engine.docker("network", "create", "--label", label, unused)
    with network(engine, "--label", label) as used:
        with running(engine, "--network", used):
            assert engine.docker("network", "prune", "-f", "--filter", f"label={label}").stdout.split()[-1] == unused
    assert engine.api("GET", f"/networks/{unused}").status == 404


def test_names_and_ports_outlive_the_engine(own_engine):
    engine = own_engine
    engine.start()
    engine.docker("network", "create", "red")
    engine.docker("run", "-d", "--name", "web", "--network", "red", "-p", "8080:80", BOX, "sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    engine.docker("run", "-d", "--name", "client", "--network", "red", BOX, "sleep", "1000")
    wait_for("the page", lambda: engine.fetch("http://127.0.0.1:8080/") == "hello\n", 20)
    engine.kill9()
    assert engine.fetch("http://127.0.0.1:8080/") == "hello\n", "no process of the engine is in the way"
    engine.start()
    assert engine.fetch("http://127.0.0.1:8080/") == "hello\n"
    assert engine.docker("exec", "client", "wget", "-qO-", "http://web/").stdout == "hello\n"
    assert engine.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] == "8080"
    result = engine.docker("run", "--rm", "-p", "8080:80", BOX, "true", check=False)
    assert result.returncode == 125 and "port is already allocated" in result.stderr
    # Another tool empties the packet filter.
    engine.sandbox.inside(["nft", "flush", "ruleset"])
    wait_for("the ports after a flush", lambda: engine.fetch("http://127.0.0.1:8080/") == "hello\n", 20)
    engine.remove_all()
    engine.stop()
    assert engine.leftovers() == []
