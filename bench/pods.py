"""How long pods and Deployments take, as a watch sees it, and what the cluster costs."""
import time

from measure import KUBERNETES, Api, Watch, cpu_by_thread, ours, pod, running_cluster, spent, support, wake_ups

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def running(name):
    return lambda kind, value: value["metadata"]["name"] == name and value["status"].get("phase") == "Running"


def gone(name):
    return lambda kind, value: value["metadata"]["name"] == name and kind == "DELETED"


def one_pod(api, watch, rounds):
    started, ended = [], []
    for i in range(rounds):
        name = f"one-{i}"
        begin = time.monotonic()
        api.create(PODS, pod(name))
        started.append((watch.when(running(name), f"{name} Running", begin) - begin) * 1000)
        time.sleep(0.2)
        begin = time.monotonic()
        api.call("DELETE", f"{PODS}/{name}")
        ended.append((watch.when(gone(name), f"{name} gone", begin) - begin) * 1000)
        time.sleep(0.2)
    return started, ended


def many_pods(api, watch, count, rounds):
    started, ended = [], []
    for i in range(rounds):
        names = [f"many-{i}-{n}" for n in range(count)]
        begin = time.monotonic()
        for name in names:
            api.create(PODS, pod(name))
        started.append((max(watch.when(running(name), f"{name} Running", begin) for name in names) - begin) * 1000)
        time.sleep(0.5)
        begin = time.monotonic()
        for name in names:
            api.call("DELETE", f"{PODS}/{name}")
        ended.append((max(watch.when(gone(name), f"{name} gone", begin) for name in names) - begin) * 1000)
        time.sleep(0.5)
    return started, ended


def deployment(api, watch, replicas, rounds):
    made, rolled = [], []
    template = pod("unused", round="1")

    def complete(name, generation):
        def check(kind, value):
            status = value.get("status", {})
            return (value["metadata"]["name"] == name and status.get("observedGeneration", 0) >= generation and
                    all(status.get(field, 0) == replicas for field in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")))
        return check

    for i in range(rounds):
        name = f"web-{i}"
        begin = time.monotonic()
        api.create(DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                                 "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "bench", "round": "1"}},
                                          "template": {"metadata": {"labels": template["metadata"]["labels"]}, "spec": template["spec"]}}})
        made.append((watch.when(complete(name, 1), f"{name} ready", begin) - begin) * 1000)
        time.sleep(0.5)
        begin = time.monotonic()
        patch = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
        generation = api.call("PATCH", f"{DEPLOYMENTS}/{name}", patch, "application/merge-patch+json")[1]["metadata"]["generation"]
        rolled.append((watch.when(complete(name, generation), f"{name} rolled", begin) - begin) * 1000)
        api.call("DELETE", f"{DEPLOYMENTS}/{name}?propagationPolicy=Foreground")
        watch.when(gone(name), f"{name} gone")
    return made, rolled


def measure(table):
    with running_cluster() as cluster:
        api = Api(cluster)
        pods = Watch(api, PODS)
        one_pod(api, pods, 2)  # the first ones warm up what is made once
        started, ended = one_pod(api, pods, 10)
        table.add("pod created to Running, one", started, "ms", "50 ms", f"339 ms ({KUBERNETES})")
        table.add("pod deleted with grace to gone, one", ended, "ms", "100 ms", f"1,160 ms ({KUBERNETES})")
        started, ended = many_pods(api, pods, 30, 3)
        table.add("pods created to Running, 30 at once", started, "ms", "1,000 ms", f"6,500-8,600 ms ({KUBERNETES})")
        table.add("pods deleted with grace to gone, 30 at once", ended, "ms")
        deployments = Watch(api, DEPLOYMENTS)
        made, rolled = deployment(api, deployments, 10, 3)
        table.add("Deployment of 10 created to all ready", made, "ms", "1,000 ms", f"3,900-5,100 ms ({KUBERNETES})")
        table.add("Deployment of 10 rolled to a new version", rolled, "ms", "2,000 ms", f"5,500 ms ({KUBERNETES})")
        pods.close()
        deployments.close()


def idle(cluster, seconds=20):
    """CPU in % of a core, wake-ups a second, and the threads that woke up."""
    pids = ours(cluster)
    cpu, woken, begin = cpu_by_thread(pids), wake_ups(pids), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begin
    after = wake_ups(pids)
    by_thread = {key: after[key] - woken.get(key, 0) for key in after if after[key] != woken.get(key, 0)}
    return spent(cpu, pids) / passed * 100, sum(by_thread.values()) / passed, by_thread


def memory(cluster):
    pids = ours(cluster)
    server = cluster.server_pid()
    shims = [support.pss_kib(pid) / 1024 for pid in pids if pid != server]
    return support.pss_kib(server) / 1024, shims


def measure_memory(table):
    with running_cluster() as cluster:
        api = Api(cluster)
        time.sleep(3)
        server, shims = memory(cluster)
        table.add("memory (PSS) of everything of ours, idle", server + sum(shims), "MiB", "50 MB", f"697 MB ({KUBERNETES})")
        cpu, woken, threads = idle(cluster)
        table.add("CPU of the idle cluster", cpu, "%", "0.3 %", f"3.4 % (control plane of {KUBERNETES})")
        table.add("wake-ups of the idle cluster", woken, "/s")
        _threads(threads)
        watch = Watch(api, PODS)
        names = [f"many-{n}" for n in range(30)]
        for name in names:
            api.create(PODS, pod(name))
        for name in names:
            watch.when(running(name), f"{name} Running")
        time.sleep(3)
        server, shims = memory(cluster)
        table.add("memory (PSS) of everything of ours, 30 pods", server + sum(shims), "MiB", "80 MB", f"954 MB ({KUBERNETES})")
        table.add("  of it the server", server, "MiB")
        table.add("  of it each shim", shims, "MiB", "", f"3 MB a pod ({KUBERNETES})")
        cpu, woken, threads = idle(cluster)
        table.add("CPU of the cluster with 30 idle pods", cpu, "%")
        table.add("wake-ups of the cluster with 30 idle pods", woken, "/s")
        _threads(threads)
        for name in names:
            api.call("DELETE", f"{PODS}/{name}")
        many_pods(api, watch, 30, 12)
        watch.close()
        server, shims = memory(cluster)
        table.add("memory of the server after 390 pods came and went", server, "MiB")


def _threads(threads):
    for (pid, thread, name), count in sorted(threads.items(), key=lambda item: -item[1])[:8]:
        print(f"    {name} ({pid}/{thread}): {count} in 20 s")
