"""A DRA driver on a node: Debian's gRPC. It registers by a socket of its own, publishes a ResourceSlice, and says by CDI files what prepared devices are."""
import json
import threading
from concurrent import futures

import grpc

from messages import messages_of
from plugin_registration import Registration

MESSAGES = messages_of("""
Empty
Claim namespace=1 uid=2 name=3
ClaimsRequest claims=1:*Claim
Device request_names=1:* pool_name=2 device_name=3 cdi_device_ids=4:*
Prepared devices=1:*Device error=2
PreparedEntry key=1 value=2:Prepared
PrepareResponse claims=1:*PreparedEntry
Unprepared error=1
UnpreparedEntry key=1 value=2:Unprepared
UnprepareResponse claims=1:*UnpreparedEntry
DeviceId pool_name=1 device_name=2
DeviceHealth device=1:DeviceId health=2:int32 last_updated_time=3:int64 health_check_timeout_seconds=4:int64 message=5
WatchResponse devices=1:*DeviceHealth
""")
HEALTHY, UNHEALTHY = 1, 2


class Driver:
    """`asked` has what the node has asked for: ("prepare" or "unprepare", the claim's name). While `refuses` is not empty, that is the answer."""

    def __init__(self, host, name, devices, service="v1.DRAPlugin", health=True):
        self.host, self.name, self.folder = host, name, host.dir / f"{name}-plugin"
        self.folder.mkdir(exist_ok=True)
        self.asked, self.refuses, self.service, self.health = [], "", service, health
        self.news, self.states, self.told, self.closed = threading.Condition(), {}, 0, False
        self.open()
        assert self.registration.told.get(timeout=30) == ""
        self.publish(devices)  # then: the slices of drivers that are not there are deleted

    def open(self):
        self.closed = False
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        unary = lambda method, request, reply: grpc.unary_unary_rpc_method_handler(method, MESSAGES[request].FromString, MESSAGES[reply].SerializeToString)
        methods = {"NodePrepareResources": unary(self.prepare, "ClaimsRequest", "PrepareResponse"), "NodeUnprepareResources": unary(self.unprepare, "ClaimsRequest", "UnprepareResponse")}
        handlers = [grpc.method_handlers_generic_handler(f"k8s.io.kubelet.pkg.apis.dra.{self.service}", methods)]
        if self.health:
            watch = grpc.unary_stream_rpc_method_handler(self.watch, MESSAGES["Empty"].FromString, MESSAGES["WatchResponse"].SerializeToString)
            handlers.append(grpc.method_handlers_generic_handler("v1alpha1.DRAResourceHealth", {"NodeWatchResources": watch}))
        self.server.add_generic_rpc_handlers(handlers)
        self.server.add_insecure_port(f"unix:{self.folder}/dra.sock")
        self.server.start()
        self.registration = Registration(self.host.dir / "kubelet/plugins_registry", f"{self.name}.sock", "DRAPlugin", self.name, self.folder / "dra.sock", [self.service])

    def close(self):
        self.registration.close()
        (self.host.dir / "kubelet/plugins_registry" / f"{self.name}.sock").unlink(missing_ok=True)
        with self.news:
            self.closed = True
            self.news.notify_all()
        self.server.stop(0).wait()

    def publish(self, devices):
        self.host.apply({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": f"{self.name}-slice"},
                         "spec": {"driver": self.name, "nodeName": "node-1", "pool": {"name": "node-1", "generation": 1, "resourceSliceCount": 1}, "devices": devices}})

    def allocated(self, claim):
        status = self.host.request("GET", f"/apis/resource.k8s.io/v1/namespaces/{claim.namespace}/resourceclaims/{claim.name}")[1]["status"]
        return [result for result in status["allocation"]["devices"]["results"] if result["driver"] == self.name]

    def prepare(self, request, context):
        answers = []
        for claim in request.claims:
            self.asked.append(("prepare", claim.name))
            if self.refuses:
                answers.append({"key": claim.uid, "value": {"error": self.refuses}})
                continue
            devices = self.allocated(claim)
            kind = f"{self.name}/gpu"
            names = [f"{claim.uid}-{result['device']}" for result in devices]
            # Hidden while it is written: the engine may be reading the folder.
            new = self.host.cdi / f".{claim.uid}"
            new.write_text(json.dumps({"cdiVersion": "1.0.0", "kind": kind, "devices": [
                {"name": name, "containerEdits": {"env": [f"GPU_{result['request'].replace('/', '_').upper()}={result['device']}"], "deviceNodes": [{"path": f"/dev/{result['device']}", "hostPath": "/dev/full"}]}}
                for name, result in zip(names, devices)]}))
            new.rename(self.host.cdi / f"{self.name}-{claim.uid}.json")
            answers.append({"key": claim.uid, "value": {"devices": [
                {"request_names": [result["request"]], "pool_name": result["pool"], "device_name": result["device"], "cdi_device_ids": [f"{kind}={name}"]}
                for name, result in zip(names, devices)]}})
        return MESSAGES["PrepareResponse"](claims=answers)

    def unprepare(self, request, context):
        for claim in request.claims:
            self.asked.append(("unprepare", claim.name))
            (self.host.cdi / f"{self.name}-{claim.uid}.json").unlink(missing_ok=True)
        return MESSAGES["UnprepareResponse"](claims=[{"key": claim.uid, "value": {"error": self.refuses}} for claim in request.claims])

    def tell(self, device, health, message=""):
        with self.news:
            self.states[device] = {"device": {"pool_name": "node-1", "device_name": device}, "health": health, "health_check_timeout_seconds": 3600, "message": message}
            self.told += 1
            self.news.notify_all()

    def watch(self, request, context):
        """All states, each time that one is another. A watcher whose node has gone ends by itself: there may be two for a while."""
        told = 0
        while context.is_active() and not self.closed:
            with self.news:
                self.news.wait_for(lambda: self.told != told or self.closed, 0.2)
                if self.told == told:
                    continue
                told, states = self.told, list(self.states.values())
            yield MESSAGES["WatchResponse"](devices=states)
