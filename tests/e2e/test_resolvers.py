"""The cluster's names as the resolvers of other C libraries and languages ask for them: musl's (Alpine's) sends all questions at once, and takes one
that fails for all; Go's own reads /etc/resolv.conf by itself."""
import os
import shutil
import subprocess

import pytest

from cluster import wait_for
from manifests import WEB, deployment, pod, service

MUSL = r"""
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(int argc, char** argv) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = 0;
  const int error = getaddrinfo(argv[1], 0, &hints, &all);
  if (error) return fprintf(stderr, "%s\n", gai_strerror(error)), 1;
  for (struct addrinfo* one = all; one; one = one->ai_next) {
    char text[64];
    const void* at = one->ai_family == AF_INET ? (void*)&((struct sockaddr_in*)one->ai_addr)->sin_addr : (void*)&((struct sockaddr_in6*)one->ai_addr)->sin6_addr;
    puts(inet_ntop(one->ai_family, at, text, sizeof text));
  }
}
"""
GO = """package main

import (
	"context"
	"fmt"
	"net"
	"os"
)

func main() {
	addresses, err := (&net.Resolver{PreferGo: true}).LookupHost(context.Background(), os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, address := range addresses {
		fmt.Println(address)
	}
}
"""


def build_musl(folder):
    (folder / "look.c").write_text(MUSL)
    subprocess.run(["musl-gcc", "-static", "-o", folder / "look", folder / "look.c"], check=True)


def build_go(folder):
    if not shutil.which("go"):
        pytest.skip("there is no Go here")
    (folder / "look.go").write_text(GO)
    subprocess.run(["go", "build", "-o", folder / "look", folder / "look.go"], check=True, cwd=folder,
                   env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "GOCACHE": str(folder / "cache"), "GOTOOLCHAIN": "local"})


@pytest.mark.parametrize("build", (build_musl, build_go), ids=("musl", "go"))
def test_names_are_found(cluster, tmp_path, build):
    build(tmp_path)
    mount = {"volumes": [{"name": "bin", "hostPath": {"path": str(tmp_path)}}], "volumeMounts": [{"name": "bin", "mountPath": "/look"}]}
    away = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "away"}, "spec": {"type": "ExternalName", "externalName": f"web.{cluster.ns}.svc.cluster.local"}}
    cluster.apply(deployment("web", 2, *WEB, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}), service("web"), service("bare", clusterIP="None", selector={"app": "web"}), away,
                  pod("client", "sleep", "3600", **mount))
    cluster.k("rollout", "status", "deployment/web", "--timeout=30s")
    cluster.wait_running("client")
    look = lambda name: sorted(set(cluster.k("exec", "client", "--", "/look/look", name, check=False).split()))
    ip = cluster.get("-n", cluster.ns, "service", "web")["spec"]["clusterIP"]
    pods = sorted(p["status"]["podIP"] for p in cluster.get("-n", cluster.ns, "pods", "-l", "app=web")["items"])
    wait_for("the service's name", lambda: look("web") == [ip], 10)
    for name in (f"web.{cluster.ns}", f"web.{cluster.ns}.svc", f"web.{cluster.ns}.svc.cluster.local", f"web.{cluster.ns}.svc.cluster.local.", "away"):
        assert look(name) == [ip], name
    assert look("kubernetes.default") == ["10.43.0.1"]
    wait_for("the pods' addresses", lambda: look("bare") == pods, 10)
    assert look("none") == [] and look(f"none.{cluster.ns}.svc.cluster.local.") == []
