"""Certificates of pods: projected volumes with podCertificate, a signer that issues them, their renewal and their end."""
import base64
import contextlib
import datetime
import json
import pathlib
import subprocess
import threading
import time

import pytest

import cluster as support
from cluster import wait_for
from fleet import Fleet
from manifests import pod

x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

SIGNER = "example.com/mine"
REQUESTS = "/apis/certificates.k8s.io/v1beta1"
KEYS = {"RSA3072": ("RSA", 3072), "RSA4096": ("RSA", 4096), "ECDSAP256": ("EllipticCurve", 256), "ECDSAP384": ("EllipticCurve", 384), "ECDSAP521": ("EllipticCurve", 521), "ED25519": ("Ed25519", None)}


class Signer:
    """Answers the requests of SIGNER, as a user that may sign for it and nothing else. `answer` is "Issued", "Denied" or "Failed"."""

    def __init__(self, cluster, answer="Issued", later=0):
        self.cluster, self.answer, self.later = cluster, answer, later
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
        now = datetime.datetime.utcnow()
        self.ca = (x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name).public_key(self.key.public_key()).serial_number(1)
                   .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
                   .add_extension(x509.BasicConstraints(True, None), True).sign(self.key, hashes.SHA256()))
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "signer"}, "rules": [
            {"apiGroups": ["certificates.k8s.io"], "resources": ["podcertificaterequests"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["certificates.k8s.io"], "resources": ["podcertificaterequests/status"], "verbs": ["patch", "update"]},
            {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": [SIGNER], "verbs": ["sign"]}]}
        bound = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "signer"}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "signer"}],
                 "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "signer"}}
        cluster.apply(role, bound)
        self.ended, self.seen, self.wrong = threading.Event(), {}, []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def request(self, method, path, body=None, kind="application/json"):
        return self.cluster.request(method, path, body, ("Impersonate-User: signer", f"Content-Type: {kind}"))

    def run(self):
        while not self.ended.wait(0.1):
            with contextlib.suppress(AssertionError):  # the server is away
                status, listed = self.request("GET", f"{REQUESTS}/podcertificaterequests")
                for request in listed["items"] if status == 200 else []:
                    if request["spec"]["signerName"] == SIGNER and not request.get("status", {}).get("conditions"):
                        self.give(request)

    def give(self, request):
        meta = request["metadata"]
        self.seen[meta["name"]] = request
        now = datetime.datetime.utcfromtimestamp(int(time.time()) + self.later)
        text = lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")
        status = {"conditions": [{"type": self.answer, "status": "True", "reason": "Tested", "message": "as it is wanted", "lastTransitionTime": text(now)}]}
        if self.answer == "Issued":
            public = x509.load_der_x509_csr(base64.b64decode(request["spec"]["stubPKCS10Request"])).public_key()
            end = now + datetime.timedelta(seconds=min(request["spec"]["maxExpirationSeconds"], 3600))
            leaf = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, request["spec"]["podName"])])).issuer_name(self.name)
                    .public_key(public).serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(end).sign(self.key, hashes.SHA256()))
            pem = lambda certificate: certificate.public_bytes(serialization.Encoding.PEM).decode()
            status |= {"certificateChain": pem(leaf) + "words between\n" + pem(self.ca), "notBefore": text(now), "notAfter": text(end), "beginRefreshAt": text(now + datetime.timedelta(minutes=20))}
        answer = self.request("PATCH", f"{REQUESTS}/namespaces/{meta['namespace']}/podcertificaterequests/{meta['name']}/status", {"status": status}, "application/merge-patch+json")
        if answer[0] != 200:
            self.wrong.append(answer)


def certificate(**more):
    return {"podCertificate": {"signerName": SIGNER, "keyType": "ECDSAP256", **more}}


def with_certificates(name, *sources, **more):
    return pod(name, volumes=[{"name": "certs", "projected": {"sources": list(sources)}}], volumeMounts=[{"name": "certs", "mountPath": "/certs"}], **more)


def read(cluster, name, file):
    return cluster.k("exec", name, "--", "cat", f"/certs/{file}")


def parts(bundle):
    """The private key and the certificates of a PEM text."""
    pieces = [piece + "-----END " + rest.split("-----")[0] + "-----\n" for piece, rest in zip(bundle.split("-----END ")[:-1], bundle.split("-----END ")[1:])]
    pieces = [piece[piece.index("-----BEGIN"):].encode() for piece in pieces]
    return serialization.load_pem_private_key(pieces[0], None), [x509.load_pem_x509_certificate(piece) for piece in pieces[1:]]


def public_bytes(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def events(cluster, name):
    return {event["reason"]: event["message"] for event in cluster.get("-n", cluster.ns, "events", "--field-selector", f"involvedObject.name={name}")["items"]}


def test_pods_have_keys_of_all_types_and_certificates_for_them(cluster):
    sources = [certificate(keyType=kind, credentialBundlePath=f"{kind}.pem", **({"keyPath": "key", "certificateChainPath": "chain"} if kind == "ECDSAP256" else {})) for kind in KEYS]
    sources[0]["podCertificate"] |= {"maxExpirationSeconds": 7200, "userAnnotations": {"example.com/team": "a"}}
    cluster.apply(with_certificates("user", *sources))
    waits = wait_for("the pod to say what it waits for", lambda: events(cluster, "user").get("FailedMount"), 60, 0.2)
    assert 'MountVolume.SetUp failed for volume "certs": credential bundle is not issued yet: PodCertificateRequest "req-' in waits and f'waits for signer "{SIGNER}"' in waits
    with Signer(cluster) as signer:
        made = cluster.wait_running("user", 90)
        assert signer.wrong == []
        for kind, (name, bits) in KEYS.items():
            key, chain = parts(read(cluster, "user", f"{kind}.pem"))
            assert name in type(key).__name__ and (bits is None or key.key_size == bits)
            assert public_bytes(key.public_key()) == public_bytes(chain[0].public_key()) and chain[1] == signer.ca and len(chain) == 2
        assert read(cluster, "user", "key") + read(cluster, "user", "chain") == read(cluster, "user", "ECDSAP256.pem")
        asked = list(signer.seen.values())
        assert len(asked) == len(KEYS)
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "user", "uid": made["metadata"]["uid"]}
        account = cluster.get("-n", cluster.ns, "serviceaccount", "default")["metadata"]["uid"]
        for request in asked:
            spec = request["spec"]
            assert request["metadata"]["ownerReferences"] == [owner]
            assert (spec["podName"], spec["podUID"], spec["serviceAccountName"], spec["serviceAccountUID"], spec["nodeName"]) == ("user", made["metadata"]["uid"], "default", account, "node-1")
            stub = x509.load_der_x509_csr(base64.b64decode(spec["stubPKCS10Request"]))
            assert list(stub.subject) == [] and list(stub.extensions) == [] and stub.is_signature_valid
        assert [r["spec"].get("unverifiedUserAnnotations") for r in asked if r["spec"]["maxExpirationSeconds"] == 7200] == [{"example.com/team": "a"}]
        assert sorted({r["spec"]["maxExpirationSeconds"] for r in asked}) == [7200, 86400]
        metrics = cluster.kubectl("get", "--raw", "/api/v1/nodes/node-1/proxy/metrics").splitlines()
        assert f'kubelet_podcertificate_states{{signer_name="{SIGNER}",state="fresh"}} 6' in metrics
    cluster.k("delete", "pod", "user")
    wait_for("its requests to go with it", lambda: not cluster.get("-n", cluster.ns, "podcertificaterequests")["items"], 60, 0.5)


@pytest.mark.parametrize("answer", ["Denied", "Failed"])
def test_what_a_signer_refuses_is_told(cluster, answer):
    with Signer(cluster, answer) as signer:
        cluster.apply(with_certificates("refused", certificate(credentialBundlePath="a.pem")))
        words = {"Denied": "was denied", "Failed": "failed"}[answer] + ', reason="Tested", message="as it is wanted"'
        wait_for("the event", lambda: words in events(cluster, "refused").get(answer, ""), 60, 0.2)
        wait_for("the pod to wait", lambda: words in events(cluster, "refused").get("FailedMount", ""), 60, 0.2)
        assert cluster.pod("refused")["status"]["phase"] == "Pending"
        assert signer.wrong == [] and len(signer.seen) == 1, "it is asked for once"


def later_by(cluster, tmp_path, monkeypatch):
    """The cluster's server has a clock that the test moves; returns the file with the seconds."""
    later, shift = tmp_path / "later.so", tmp_path / "shift"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", later, pathlib.Path(support.__file__).with_name("later.c")], check=True)
    shift.write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(later))
    monkeypatch.setenv("LATER_FILE", str(shift))
    cluster.start()
    monkeypatch.delenv("LD_PRELOAD")
    cluster.ns = "default"
    return shift


def test_they_are_renewed_in_time_and_live_through_a_restart(own_cluster, tmp_path, monkeypatch):
    cluster = own_cluster
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    shift = later_by(cluster, tmp_path, monkeypatch)
    note = {"downwardAPI": {"items": [{"path": "note", "fieldRef": {"fieldPath": "metadata.annotations['note']"}}]}}
    with Signer(cluster) as signer:
        cluster.apply(with_certificates("keeper", certificate(credentialBundlePath="a.pem"), note))
        cluster.wait_running("keeper", 60)
        first = read(cluster, "keeper", "a.pem")
        # Twenty minutes after it was issued, and up to five more.
        signer.later = 30 * 60
        shift.write_text(str(signer.later))
        cluster.k("annotate", "pod", "keeper", "note=look")  # else it looks once a minute
        second = wait_for("another certificate", lambda: (lambda text: text != first and text)(read(cluster, "keeper", "a.pem")), 120, 0.5)
        old, new = parts(first), parts(second)
        assert public_bytes(old[0].public_key()) != public_bytes(new[0].public_key()) == public_bytes(new[1][0].public_key())
        assert len(signer.seen) == 2 and signer.wrong == []
        signer.answer = "Denied"
        cluster.stop()
        monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "later.so"))
        cluster.start()
        monkeypatch.delenv("LD_PRELOAD")
        # What is there stays in use, although nothing new is to be had.
        wait_for("it to be asked for anew", lambda: len(signer.seen) == 3, 60, 0.2)
        wait_for("the event", lambda: "was denied" in events(cluster, "keeper").get("Denied", ""), 60, 0.2)
        assert read(cluster, "keeper", "a.pem") == second
        there = cluster.pod("keeper")
        assert there["status"]["containerStatuses"][0]["restartCount"] == 0 and there["status"]["phase"] == "Running"
    cluster.k("delete", "pod", "keeper")
    cluster.stop()
    assert cluster.leftovers() == []


def test_an_agent_asks_for_its_own_pods_alone():
    with Fleet(links=(0,)) as fleet:
        fleet.start([(support.busybox_image(), "estiba/busybox:test")])
        cluster = fleet.cluster
        cluster.ns = "default"
        with Signer(cluster) as signer:
            cluster.apply(with_certificates("distant", certificate(credentialBundlePath="a.pem"), nodeName="node-2"))
            cluster.wait_running("distant", 90)
            key, chain = parts(read(cluster, "distant", "a.pem"))
            assert public_bytes(key.public_key()) == public_bytes(chain[0].public_key()) and signer.wrong == []
            request = next(iter(signer.seen.values()))
        as_agent = ("Impersonate-User: system:node:node-2", "Impersonate-Group: system:nodes", "Impersonate-Group: system:authenticated")
        path = f"{REQUESTS}/namespaces/default/podcertificaterequests"
        assert cluster.request("GET", f"{path}/{request['metadata']['name']}", headers=as_agent)[0] == 200
        assert cluster.request("GET", path, headers=as_agent)[0] == 403
        assert cluster.request("GET", f"{REQUESTS}/podcertificaterequests?fieldSelector=spec.nodeName%3Dnode-2", headers=as_agent)[0] == 200
        another = json.loads(json.dumps(request))
        another["metadata"] = {"name": "another"}
        another.pop("status", None)
        another["spec"]["nodeName"] = "node-1"
        status, told = cluster.request("POST", path, another, headers=as_agent)
        assert status == 403 and 'which is not the requesting node "node-2"' in told["message"]
        cluster.k("delete", "pod", "distant")
