"""Images that nobody uses go when their disk fills up; those that anybody uses stay."""
import io
import tarfile

import cluster as support
from cluster import wait_for
from manifests import pod


def archive(directory, name):
    """The root file system of an image with one file, as a tar."""
    path = directory / f"{name}.tar"
    with tarfile.open(path, "w") as tar:
        file = tarfile.TarInfo(name)
        file.size = 100_000
        tar.addfile(file, io.BytesIO(name[0].encode() * file.size))
    return path


def test_a_full_disk_loses_its_unused_images_alone():
    with support.Cluster(**{"minimum-image-ttl-duration": "0s", "eviction-hard": "", "image-gc-high-threshold": "85", "docker-socket": "/run/estiba/docker.sock"}) as cluster:
        # A disk of its own, that the test can fill.
        cluster.data_dir.mkdir()
        cluster.sandbox.inside(["mount", "-t", "tmpfs", "-o", "size=256m", "estiba-test", cluster.data_dir])
        names = lambda: {line.split()[0] + ":" + line.split()[1] for line in cluster.estiba("image", "list", "--data-dir", cluster.data_dir).stdout.splitlines()[1:]}
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        for name in ("unused", "dockers", "mounted", "ended"):
            # Each is an image of its own.
            cluster.import_image(archive(cluster.dir, name), f"estiba/{name}:test")
        cluster.start()
        cluster.ns = "default"
        cluster.apply(pod("user", "sleep", "3600", volumes=[{"name": "v", "image": {"reference": "estiba/mounted:test"}}], volumeMounts=[{"name": "v", "mountPath": "/v"}]))
        cluster.wait_running("user")
        docker = lambda *arguments: cluster.sandbox.inside(["curl", "-sS", "--fail", "--unix-socket", "/run/estiba/docker.sock", *arguments]).stdout
        docker("-X", "POST", "http://d/images/estiba/dockers:test/tag?repo=mine&tag=1")
        docker("-H", "Content-Type: application/json", "-d", '{"Image": "estiba/ended:test", "Cmd": ["/nothing"]}', "http://d/containers/create?name=ended")
        before = names()
        assert any("unused" in name for name in before)
        cluster.stop()
        cluster.sandbox.inside(["sh", "-c", f"head -c $((230 * 1024 * 1024)) /dev/zero > {cluster.data_dir}/filler"])
        cluster.start()
        wait_for("the unused image to go", lambda: not any("unused" in name for name in names()), 20, 0.1)
        message = wait_for("an event about what is still in the way", lambda: next(
            (e["message"] for e in cluster.get("events", "-A")["items"] if e["reason"] == "FreeDiskSpaceFailed" and e["involvedObject"]["kind"] == "Node"), None), 20, 0.2)
        assert message.startswith("Insufficient free disk space on the node's image filesystem (") and "% of 256.0 MiB used)" in message
        assert 'kubelet_image_garbage_collected_total{reason="space"} 1' in cluster.kubectl("get", "--raw", "/api/v1/nodes/node-1/proxy/metrics").splitlines()
        left = names()
        for name in ("busybox", "mounted", "dockers", "ended"):
            assert any(name in each for each in left), (name, left)
        # Nothing of it is left, and the pod runs on.
        assert cluster.pod("user")["status"]["containerStatuses"][0]["restartCount"] == 0
        cluster.k("exec", "user", "--", "ls", "/v/mounted")
        cluster.sandbox.inside(["rm", f"{cluster.data_dir}/filler"])
        cluster.k("delete", "pod", "user")
        docker("-X", "DELETE", "http://d/containers/ended")
