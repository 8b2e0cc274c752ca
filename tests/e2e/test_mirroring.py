"""Services without a selector: what is written into their Endpoints is reached through the Service."""
import json

import cluster as support


def test_endpoints_written_by_hand_are_served(cluster):
    cluster.kubectl("-n", cluster.ns, "run", "server", "--image=estiba/busybox:test", "--restart=Never", "--", "sh", "-c", "mkdir /www && echo hello > /www/index.html && httpd -f -p 8080 -h /www")
    address = support.wait_for("the pod's address", lambda: cluster.kubectl("-n", cluster.ns, "get", "pod", "server", "-o", "jsonpath={.status.podIP}"))
    cluster.kubectl("-n", cluster.ns, "create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "manual"}, "spec": {"ports": [{"port": 80, "targetPort": 8080}]}},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "manual"}, "subsets": [{"addresses": [{"ip": address}], "ports": [{"port": 8080}]}]}]}))
    service = cluster.kubectl("-n", cluster.ns, "get", "service", "manual", "-o", "jsonpath={.spec.clusterIP}")
    fetch = lambda: cluster.sandbox.inside(["python3", "-c", f"import urllib.request; print(urllib.request.urlopen('http://{service}/', timeout=2).read().decode())"], check=False).stdout.strip()
    support.wait_for("the answer", lambda: fetch() == "hello", step=0.2)
    cluster.kubectl("-n", cluster.ns, "delete", "endpoints", "manual")
    slices = lambda: cluster.kubectl("-n", cluster.ns, "get", "endpointslices", "-l", "kubernetes.io/service-name=manual", "-o", "name")
    support.wait_for("the slice to go", lambda: not slices())
    cluster.kubectl("-n", cluster.ns, "delete", "pod/server", "--grace-period=0", "--force")
