#!/usr/bin/env python3
"""From a manifest to a served page, then from code to an image, containers and a pod: every step on clusters of its own.
'./dev demo' runs both; './dev demo cluster' and './dev demo code' run one."""
import collections
import os
import pathlib
import statistics
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/support"))
import cluster as support  # noqa: E402
import course  # noqa: E402
import docker_engine  # noqa: E402

PAGE = f"http://{support.NODE_ADDRESS}:30080/"


def step(text):
    print(f"\n\033[1m==> {text}\033[0m", flush=True)


def show(text):
    print("\n".join("    " + line for line in str(text).rstrip().splitlines()), flush=True)


class Asking:
    """A client that keeps asking for the page and counts what it gets."""

    def __init__(self, cluster):
        self.cluster, self.answers, self.failures, self.running = cluster, collections.Counter(), [], True
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()

    def _ask(self):
        while self.running:
            begin = time.strftime("%H:%M:%S")
            page = self.cluster.fetch(PAGE)
            if page is None or "| version" not in page:
                self.failures.append(f"{begin} {page!r}")
            else:
                self.answers[page.split(" | ")[1]] += 1
            time.sleep(0.02)

    def stop(self):
        self.running = False
        self.thread.join()
        return sum(self.answers.values())


def pods(cluster):
    return cluster.get("-n", "shop", "pods")["items"]


def rollout(cluster):
    show(cluster.kubectl("-n", "shop", "rollout", "status", "deployment/shop", "--timeout=60s").splitlines()[-1])


def deploy(cluster):
    step("kubectl apply -f examples/shop/")
    begin = time.monotonic()
    show(cluster.kubectl("apply", "-f", HERE / "shop"))
    support.wait_for("the first page", lambda: cluster.fetch(PAGE, 1), 30)
    first_page = time.monotonic() - begin
    rollout(cluster)
    show(cluster.kubectl("-n", "shop", "get", "pods", "-o", "wide"))
    show(cluster.kubectl("-n", "shop", "get", "deployments,services,endpoints"))
    return first_page


def look(cluster):
    name = pods(cluster)[0]["metadata"]["name"]
    step(f"kubectl describe, logs and exec of {name}")
    show("\n".join(cluster.kubectl("-n", "shop", "describe", "pod", name).splitlines()[-12:]))
    show("\n".join(cluster.kubectl("-n", "shop", "logs", name).splitlines()[:3]))
    show(cluster.kubectl("-n", "shop", "exec", name, "--", "python3", "-c", "import os; print('inside', os.uname().nodename, 'as pid', os.getpid())"))
    step("30 requests through the node port")
    answered = collections.Counter()
    for _ in range(30):
        answered[cluster.fetch(PAGE).split(" | ")[2]] += 1
    show("\n".join(f"{count:3} {pod}" for pod, count in sorted(answered.items())))
    assert len(answered) == 3, "not all three pods answered"


def heal(cluster):
    name = pods(cluster)[0]["metadata"]["name"]
    step(f"kubectl delete pod {name}: its replacement")
    cluster.kubectl("-n", "shop", "delete", "pod", name)
    rollout(cluster)
    show(cluster.kubectl("-n", "shop", "get", "pods"))
    name = sorted(pod["metadata"]["name"] for pod in pods(cluster))[0]
    step(f"the process of {name} is killed: its restart")
    cluster.kubectl("-n", "shop", "exec", name, "--", "python3", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")

    def restarted():
        pod = cluster.get("-n", "shop", "pod", name)
        status = pod["status"]["containerStatuses"][0]
        return status["restartCount"] >= 1 and status["ready"]

    support.wait_for("the restart", restarted, 120)
    show(cluster.kubectl("-n", "shop", "get", "pods"))


def update(cluster):
    step("a second version, rolled out while a client keeps asking")
    asking = Asking(cluster)
    cluster.kubectl("apply", "-f", HERE / "shop-v2")
    rollout(cluster)
    time.sleep(0.5)
    show(cluster.fetch(PAGE))
    step("kubectl rollout undo")
    cluster.kubectl("-n", "shop", "rollout", "undo", "deployment/shop")
    rollout(cluster)
    time.sleep(0.5)
    show(cluster.fetch(PAGE))
    total = asking.stop()
    show(f"{total} requests meanwhile ({dict(asking.answers)}), {len(asking.failures)} failed")
    assert not asking.failures, asking.failures


def survive(cluster):
    step("kill -9 of the server, while a client keeps asking")
    facts = lambda: sorted((pod["metadata"]["name"], pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"],
                            pod["status"]["containerStatuses"][0]["containerID"]) for pod in pods(cluster))
    support.wait_for("the last rollout's pods to be gone", lambda: len(pods(cluster)) == 3, 30)
    before = facts()
    asking = Asking(cluster)
    cluster.kill9()
    time.sleep(1)
    show(f"without a server: {cluster.fetch(PAGE)}")
    seconds = cluster.start()
    support.wait_for("ready pods", lambda: all(pod["status"]["containerStatuses"][0]["ready"] for pod in pods(cluster)), 20)
    time.sleep(1)
    total = asking.stop()
    after = facts()
    show(f"ready again after {seconds * 1000:.0f} ms; {total} requests meanwhile, {len(asking.failures)} failed")
    show(cluster.kubectl("-n", "shop", "get", "pods"))
    assert before == after, f"not the same pods:\n{before}\n{after}"
    assert not asking.failures, asking.failures
    show("the same pods, the same UIDs, nothing restarted")
    return seconds


def memory(cluster):
    server = support.pss_kib(cluster.server_pid())
    shims = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"estiba-oci\0shim" in (entry / "cmdline").read_bytes():
                if os.readlink(entry / "ns/pid") == os.readlink(f"/proc/{cluster.server_pid()}/ns/pid"):
                    shims.append(support.pss_kib(entry.name))
        except OSError:
            continue
    return server, shims


def shop(kubectl):
    """First half: a cluster, a Deployment, its roll-out, a crash. What is left behind, which should be nothing."""
    step("a Python image of Debian packages")
    archive = support.python_image()
    show(f"{archive} ({archive.stat().st_size // 1_000_000} MB), {support.run([kubectl, 'version', '--client', '--short'], check=False).stdout.strip() or kubectl}")
    with support.Cluster(kubectl=kubectl) as cluster:
        try:
            show(cluster.import_image(archive, "estiba/python:demo").stdout)
            step("estiba server, in network and mount namespaces of its own")
            ready = cluster.start()
            show(f"ready after {ready * 1000:.0f} ms")
            first_page = deploy(cluster)
            look(cluster)
            heal(cluster)
            update(cluster)
            again = survive(cluster)
            server, shims = memory(cluster)
            step("delete everything")
            cluster.kubectl("delete", "--ignore-not-found", "-f", HERE / "shop")
            left = end(cluster)
        except BaseException:
            print(cluster.log()[-6000:], file=sys.stderr)
            raise
    step("figures")
    show(f"exec to /readyz, first start       {ready * 1000:6.0f} ms")
    show(f"exec to /readyz, after kill -9     {again * 1000:6.0f} ms")
    show(f"kubectl apply to the first page    {first_page * 1000:6.0f} ms")
    show(f"memory of the server (PSS)         {server / 1024:6.1f} MiB")
    show(f"memory of each shim (PSS)          {statistics.mean(shims) / 1024 if shims else 0:6.2f} MiB")
    return left


def end(cluster):
    """Stops a cluster whose pods were deleted; what is left."""
    support.wait_for("the pods' processes to end", lambda: not [p for p in cluster.sandbox.processes() if "estiba-oci" in p and "shim ---" not in p], 20)
    cluster.stop()
    left = cluster.leftovers()
    show("nothing is left behind" if not left else "left behind:\n" + "\n".join(left))
    return left


def code(kubectl):
    """Second half, the course's example: code, image, containers, registry, and the same image in a pod without a pull."""
    with support.Cluster(kubectl=kubectl, **{"docker-socket": docker_engine.SOCKET}) as cluster:
        try:
            step("base images of Debian packages: python:3.11-slim and postgres")
            engine = docker_engine.ServerEngine(cluster)
            course.prepare(engine)
            step("estiba server --docker-socket: a cluster and a container engine in one process")
            show(f"ready after {cluster.start() * 1000:.0f} ms")
            example = course.Course(engine, engine.estiba, "estiba", step=step, show=show)
            with course.registry(engine):
                example.run()
            step("kubectl apply -f examples/django/kubernetes.yaml: the image that was built starts in a pod, without a pull")
            begin = time.monotonic()
            show(cluster.kubectl("apply", "-f", HERE / "django/kubernetes.yaml"))
            page = f"http://{support.NODE_ADDRESS}:30088/"
            support.wait_for("the page from the pod", lambda: "orders" in (cluster.fetch(page, 3) or ""), 240, 0.05)
            show(cluster.fetch(page))
            show(f"{time.monotonic() - begin:.1f} s from kubectl apply to a page out of PostgreSQL")
            show(cluster.kubectl("get", "pods", "-o", "wide"))
            events = cluster.kubectl("get", "events", "--field-selector", "reason=Pulling")
            assert "Pulling" not in events, events
            cluster.kubectl("delete", "-f", HERE / "django/kubernetes.yaml")
            left = end(cluster)
        except BaseException:
            print(cluster.log()[-6000:], file=sys.stderr)
            raise
    step("figures")
    for verb in ("build", "run", "exec", "ps", "stop", "start", "push", "pull", "rm"):
        show(f"estiba {verb:<8} (the last one)        {example.times[verb] * 1000:8.0f} ms")
    return left


def main():
    kubectl = os.environ.get("KUBECTL") or support.kubectls()[0]
    halves = {"cluster": shop, "code": code}
    unknown = [name for name in sys.argv[1:] if name not in halves]
    if unknown:
        sys.exit(f"demo: no part {unknown[0]!r}; there are {', '.join(halves)}")
    left = [what for name, half in halves.items() if name in (sys.argv[1:] or halves) for what in half(kubectl)]
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
