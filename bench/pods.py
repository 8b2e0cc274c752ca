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


def ready_by_probe(api, watch, rounds):
    took = []
    for i in range(rounds):
        name, made = f"probed-{i}", pod(f"probed-{i}")
        made["spec"]["containers"][0].update(command=["sh", "-c", "mkdir /www; echo ok > /www/ok; exec busybox httpd -f -p 8080 -h /www"],
                                             readinessProbe={"httpGet": {"path": "/ok", "port": 8080}, "periodSeconds": 1})
        made["spec"]["terminationGracePeriodSeconds"] = 1
        ready = lambda kind, value: value["metadata"]["name"] == name and any(c["type"] == "Ready" and c["status"] == "True" for c in value["status"].get("conditions", []))  # noqa: B023
        begin = time.monotonic()
        api.create(PODS, made)
        took.append((watch.when(ready, f"{name} Ready", begin) - begin) * 1000)
        api.call("DELETE", f"{PODS}/{name}")
        watch.when(gone(name), f"{name} gone", begin)
        time.sleep(0.2)
    return took


def measure(table):
    with running_cluster() as cluster:
        api = Api(cluster)
        pods = Watch(api, PODS)
        one_pod(api, pods, 2)  # the first ones warm up what is made once
        started, ended = one_pod(api, pods, 10)
        table.add("pod created to Running, one", started, "ms", "20 ms", f"339 ms ({KUBERNETES})")
        table.add("pod deleted with grace to gone, one", ended, "ms", "50 ms", f"1,160 ms ({KUBERNETES})")
        started, ended = many_pods(api, pods, 30, 3)
        table.add("pods created to Running, 30 at once", started, "ms", "600 ms", f"6,500-8,600 ms ({KUBERNETES})")
        table.add("pods deleted with grace to gone, 30 at once", ended, "ms")
        table.add("pod created to Ready by an HTTP probe", ready_by_probe(api, pods, 10), "ms", "40 ms", f"380-1,400 ms ({KUBERNETES})")
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
        empty = server + sum(shims)
        table.add("memory (PSS) of everything of ours, idle", empty, "MiB", "50 MB", f"697 MB ({KUBERNETES})")
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
        table.add("  added by each pod", (server + sum(shims) - empty) / len(names), "MiB", "0.6 MB", "3.3 MB: 3.1 in a shim, 0.2 in the pause container")
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


def measure_full_node(table):
    """As many pods as a kubelet takes, which do nothing."""
    with running_cluster() as cluster:
        api, names = Api(cluster), [f"idle-{n}" for n in range(110)]
        watch = Watch(api, PODS)
        begin = time.monotonic()
        for name in names:
            api.create(PODS, pod(name))
        table.add("110 pods created to Running", (max(watch.when(running(name), f"{name} Running", begin) for name in names) - begin) * 1000, "ms")
        watch.close()
        time.sleep(10)
        cpu, woken, threads = idle(cluster, 30)
        table.add("CPU of a node with 110 idle pods", cpu, "%", "0.5 %")
        table.add("wake-ups of a node with 110 idle pods", woken, "/s", "20 /s")
        _threads(threads)
        server, shims = memory(cluster)
        table.add("memory (PSS) of everything of ours, 110 pods", server + sum(shims), "MiB")
        table.add("  of it each shim", shims, "MiB")


LOGGED = 256 << 20  # bytes of text
CLOCK = "import time\nwhile True:\n print(time.time_ns(), flush=True); time.sleep(0.02)"


def measure_logs(table):
    """What a container writes: the shim's CPU for it, and how long a line is on its way to whoever follows."""
    with running_cluster() as cluster:
        cluster.import_image(support.python_image(), "estiba/python:test")
        api = Api(cluster)
        watch = Watch(api, PODS)
        for width in (100, 1000):
            name, made = f"logs-{width}", pod(f"logs-{width}")
            made["spec"]["containers"][0]["command"] = ["sh", "-c", f"read go < /dev/null; yes {'x' * (width - 1)} | head -c {LOGGED}; echo; echo done; exec sleep 1000"]
            made["spec"]["terminationGracePeriodSeconds"] = 1
            before, begin = cpu_by_thread(ours(cluster)), time.monotonic()
            api.create(PODS, made)
            watch.when(running(name), f"{name} Running", begin)
            while api_text(api, f"{PODS}/{name}/log?tailLines=1") != "done\n":
                time.sleep(0.1)
            passed, pids = time.monotonic() - begin, [pid for pid in ours(cluster) if pid != cluster.server_pid()]
            table.add(f"log of lines of {width} bytes written, for a core's second", LOGGED / 1e6 / spent(before, pids), "MB", "400 MB")
            table.add("  by one container, in all", LOGGED / 1e6 / passed, "MB/s")
            api.call("DELETE", f"{PODS}/{name}")
            watch.when(gone(name), f"{name} gone", begin)
        made = pod("clock")
        made["spec"]["containers"][0].update(image="estiba/python:test", command=["python3", "-c", CLOCK])
        made["spec"]["terminationGracePeriodSeconds"] = 1
        begin = time.monotonic()
        api.create(PODS, made)
        watch.when(running("clock"), "clock Running", begin)
        follower, late = api.connect(), []
        follower.request("GET", f"{PODS}/clock/log?follow=1&tailLines=1")
        answer = follower.getresponse()
        for _ in range(110):
            line = answer.readline()
            late.append((time.time_ns() - int(line)) / 1e6)
        table.add("a line from its write to who follows the log", late[10:], "ms", "2 ms")
        follower.close()
        watch.close()


def api_text(api, path):
    api.connection.request("GET", path)
    return api.connection.getresponse().read().decode(errors="replace")


def _threads(threads):
    for (pid, thread, name), count in sorted(threads.items(), key=lambda item: -item[1])[:8]:
        print(f"    {name} ({pid}/{thread}): {count} in 20 s")
