"""Pods' networks made by CNI plugins instead of the built-in bridge: Debian's containernetworking-plugins, as an administrator or an add-on configures
them."""
import json
import pathlib

import pytest

from cluster import NODE_ADDRESS, Cluster, busybox_image, python_image, wait_for
from manifests import WEB, deployment, pod, service

PLUGINS = pathlib.Path("/usr/lib/cni")
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())"


class Plugins:
    """The folders of a cluster: its configurations, and plugins of the test's own beside Debian's."""

    def __init__(self, cluster):
        self.cluster, self.ipam = cluster, cluster.dir / "ipam"
        for folder in ("net.d", "plugins"):
            (cluster.dir / folder).mkdir()
        cluster.flags |= {"cni-conf-dir": cluster.dir / "net.d", "cni-bin-dir": f"{cluster.dir / 'plugins'},{PLUGINS}", "pod-cidr": "10.66.0.0/16"}

    def configure(self, *plugins, main="bridge", ranges=("10.66.0.0/24",)):
        routes = [{"dst": "::/0" if ":" in text else "0.0.0.0/0"} for text in ranges]
        first = {"type": main, "ipMasq": True, "ipam": {"type": "host-local", "dataDir": str(self.ipam), "ranges": [[{"subnet": text}] for text in ranges], "routes": routes}}
        if main == "bridge":
            first |= {"bridge": "cni0", "isGateway": True, "hairpinMode": True}
        text = json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [first, *plugins]})
        draft = self.cluster.dir / "draft"
        draft.write_text(text)
        draft.rename(self.cluster.dir / "net.d/10-pods.conflist")

    def script(self, name, text):
        path = self.cluster.dir / "plugins" / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)

    def reserved(self):
        return sorted(entry.name for entry in (self.ipam / "pods").glob("[0-9f]*[.:]*")) if self.ipam.exists() else []


@pytest.fixture
def plugins():
    if not (PLUGINS / "bridge").exists():
        pytest.skip("needs Debian's package containernetworking-plugins")
    with Cluster() as cluster:
        cluster.import_image(busybox_image(), "estiba/busybox:test")
        cluster.import_image(python_image(), "estiba/python:test")
        made = Plugins(cluster)
        yield made
        if cluster.server and cluster.server.poll() is None:
            cluster.kubectl("delete", "deployments,pods", "--all", "--wait=true", "--timeout=60s", check=False)
            wait_for("the plugins to take everything away", lambda: made.reserved() == [], 20)


def conditions(cluster):
    return {c["type"]: c for c in cluster.get("node", "node-1")["status"]["conditions"]}


@pytest.mark.parametrize("main", ("bridge", "ptp"))
def test_pods_and_services_on_the_plugins_network(plugins, main):
    cluster = plugins.cluster
    plugins.configure({"type": "portmap", "capabilities": {"portMappings": True}}, main=main)
    cluster.start()
    cluster.ns = "default"
    cluster.apply(deployment("web", 2, *WEB, readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}), service("web", type="NodePort"),
                  pod("client", "busybox", "sleep", "3600", image="estiba/python:test"),
                  pod("door", *WEB, ports=[{"containerPort": 8080, "hostPort": 9090}]))
    cluster.k("rollout", "status", "deployment/web", "--timeout=60s")
    for name in ("client", "door"):
        cluster.wait_running(name)
    pods = {p["metadata"]["name"]: p["status"]["podIP"] for p in cluster.get("pods")["items"]}
    assert all(ip.startswith("10.66.0.") for ip in pods.values()) and plugins.reserved() == sorted(pods.values())
    assert ("cni0" in cluster.sandbox.inside(["ip", "-o", "link"]).stdout) == (main == "bridge")
    get = lambda url: cluster.k("exec", "client", "--", "python3", "-c", FETCH, url, check=False).strip()
    names = {name for name in pods if name.startswith("web-")}
    wait_for("both pods by the service's name", lambda: {get("http://web/") for _ in range(8)} == names, 15)
    assert get(f"http://{pods['door']}:8080/") == "door"
    port = cluster.get("service", "web")["spec"]["ports"][0]["nodePort"]
    wait_for("the node's port from outside", lambda: (cluster.fetch(f"http://{NODE_ADDRESS}:{port}/") or "").strip() in names, 10)
    assert cluster.sandbox.inside(["curl", "-sS", "--max-time", "3", f"http://127.0.0.1:{port}/"]).stdout.strip() in names
    ip = cluster.get("service", "web")["spec"]["clusterIP"]
    assert cluster.sandbox.inside(["curl", "-sS", "--max-time", "3", f"http://{ip}/"]).stdout.strip() in names
    assert (cluster.fetch(f"http://{NODE_ADDRESS}:9090/") or "").strip() == "door", "the plugin portmap leads there"


def test_the_node_is_ready_when_a_configuration_is_there(plugins):
    cluster = plugins.cluster
    cluster.start(wait=False)
    wait_for("the node", lambda: cluster.kubectl("get", "node", "node-1", check=False).startswith("NAME") and conditions(cluster), 20)
    ready = conditions(cluster)["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "KubeletNotReady")
    assert "NetworkPluginNotReady" in ready["message"] and f"no CNI configuration can be used in {cluster.dir}/net.d" in ready["message"]
    cluster.ns = "default"
    wait_for("the default account", lambda: cluster.kubectl("get", "serviceaccount", "default", check=False).startswith("NAME"), 20)
    cluster.apply(pod("waits"), pod("host", hostNetwork=True, tolerations=[{"operator": "Exists"}]))
    cluster.wait_running("host")  # as an add-on's own pod, which brings the configuration
    assert cluster.pod("waits")["status"]["phase"] == "Pending"
    plugins.configure(main="ptp")
    cluster.wait_running("waits")
    assert conditions(cluster)["Ready"]["status"] == "True"
    assert plugins.reserved() == [cluster.pod("waits")["status"]["podIP"]]


def test_a_plugin_that_fails_half_way_is_named_and_leaves_nothing(plugins):
    cluster = plugins.cluster
    plugins.script("shaky", "[ $CNI_COMMAND != ADD ] || { echo '{\"code\":100,\"msg\":\"no switch in sight\"}'; exit 1; }")
    plugins.configure({"type": "shaky"}, main="ptp")
    cluster.start()
    cluster.ns = "default"
    cluster.apply(pod("unlucky"))
    events = lambda: [e["message"] for e in cluster.get("events")["items"] if e["reason"] == "FailedCreatePodSandBox"]
    wait_for("the event", lambda: any("CNI network pods, plugin shaky, ADD: no switch in sight" in text for text in events()), 20)
    assert cluster.pod("unlucky")["status"]["phase"] == "Pending"
    wait_for("the address to come back", lambda: plugins.reserved() == [], 10)
    plugins.configure(main="ptp")
    cluster.wait_running("unlucky", 60)


def test_a_restart_keeps_pods_and_what_is_due(plugins):
    cluster = plugins.cluster
    plugins.configure(main="ptp")
    cluster.start()
    cluster.ns = "default"
    cluster.apply(pod("stays", *WEB), pod("goes"))
    for name in ("stays", "goes"):
        cluster.wait_running(name)
    ip = cluster.pod("stays")["status"]["podIP"]
    cluster.kill9()
    cluster.start()
    fetch = lambda: cluster.sandbox.inside(["curl", "-sS", "--max-time", "3", f"http://{ip}:8080/"], check=False).stdout.strip()
    assert fetch() == "stays"
    # What a plugin cannot take away now is tried again, with the configuration of its ADD.
    stubborn = cluster.dir / "plugins" / "ptp"
    stubborn.write_text("#!/bin/sh\necho '{\"code\":5,\"msg\":\"busy\"}'; exit 1\n")
    stubborn.chmod(0o755)
    cluster.k("delete", "pod", "goes", "--wait=true", "--timeout=30s")
    assert len(plugins.reserved()) == 2
    stubborn.unlink()
    wait_for("the address to come back", lambda: plugins.reserved() == [ip], 30)
    assert cluster.pod("stays")["status"]["podIP"] == ip and fetch() == "stays"


def test_both_families_and_rates(plugins):
    cluster = plugins.cluster
    cluster.flags |= {"pod-cidr": "10.66.0.0/16,fd00:66::/48", "service-cidr": "10.43.0.0/16,fd00:43::/112"}
    cluster.sandbox.outside(["ip", "address", "add", "2001:db8:77::2/64", "dev", "eth0", "nodad"])
    cluster.sandbox.inside(["sh", "-c", "ip address add 2001:db8:77::1/64 dev eth0 nodad && ip -6 route add default via 2001:db8:77::2"])
    plugins.configure({"type": "bandwidth", "capabilities": {"bandwidth": True}}, main="ptp", ranges=("10.66.0.0/24", "fd00:66::/64"))
    cluster.start()
    cluster.ns = "default"
    serve = ("sh", "-c", "mkdir -p /www && hostname > /www/index.html && exec busybox httpd -f -p [::]:8080 -h /www")
    cluster.apply(pod("web", *serve, annotations={"kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M"}),
                  pod("client", "busybox", "sleep", "3600", image="estiba/python:test"), service("web", ipFamilyPolicy="RequireDualStack"))
    for name in ("web", "client"):
        cluster.wait_running(name)
    own = [entry["ip"] for entry in cluster.pod("web")["status"]["podIPs"]]
    assert own[0].startswith("10.66.0.") and own[1].startswith("fd00:66::"), own
    at = lambda address: f"http://[{address}]" if ":" in address else f"http://{address}"
    get = lambda url: cluster.k("exec", "client", "--", "python3", "-c", FETCH, url, check=False).strip()
    for address in own:
        wait_for(f"an answer at {address}", lambda: get(f"{at(address)}:8080/") == "web", 20)
    for address in cluster.get("service", "web")["spec"]["clusterIPs"]:
        wait_for(f"an answer at {address}", lambda: get(f"{at(address)}/") == "web", 20)
    rates = [q["options"]["rate"] for q in json.loads(cluster.sandbox.inside(["tc", "-j", "qdisc"]).stdout) if q["kind"] == "tbf"]
    assert sorted(rates) == [10_000_000 // 8, 20_000_000 // 8], rates
    # A restart asks the plugins whether all is as it should be, and it is.
    cluster.stop()
    cluster.start()
    assert get(f"{at(own[1])}:8080/") == "web" and cluster.pod("web")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_back_to_the_built_in_network_nothing_of_the_plugins_stays(plugins):
    cluster = plugins.cluster
    plugins.configure()
    cluster.start()
    cluster.ns = "default"
    cluster.apply(pod("web", *WEB), service("web"))
    cluster.wait_running("web")
    assert len(plugins.reserved()) == 1
    cluster.stop()
    del cluster.flags["cni-conf-dir"]
    cluster.flags["pod-cidr"] = "10.66.0.0/16"
    cluster.start()
    wait_for("the plugins to take everything away", lambda: plugins.reserved() == [], 20)
    moved = cluster.wait_pod("web", lambda p: p["status"].get("phase") == "Running" and p["status"]["containerStatuses"][0]["ready"] and p["status"]["containerStatuses"][0]["restartCount"] == 1,
                             "running again, on the other network")
    address = moved["status"]["podIP"]
    assert "estiba0" in cluster.sandbox.inside(["ip", "route", "get", address]).stdout
    front = cluster.get("service", "web")["spec"]["clusterIP"]
    wait_for("the service", lambda: cluster.sandbox.inside(["curl", "-sS", "--max-time", "3", f"http://{front}/"], check=False).stdout.strip() == "web", 20)
    assert not (cluster.data_dir / "network/cni").exists()
