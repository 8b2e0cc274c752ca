"""A CSI driver whose volumes are directories, and files behind loop devices: the node's part, with Debian's gRPC. It runs in the node's namespaces.

    python3 csi_driver.py FOLDER NAME KUBELET_DIR [FEATURE …] [max_volumes=N] [KEY=VALUE topology …]

FOLDER/calls has a line of JSON for each call; FOLDER/behave, a JSON object, says which methods fail ({"NodePublishVolume": "why"}; null: they
never answer). FOLDER/volumes/<id> is a volume. It says "registered", or why it
is not, and ends on SIGTERM."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import json_format

from messages import messages_of
from plugin_registration import Registration

FEATURES = {"stage": 1, "stats": 2, "expand": 3, "multi_writer": 5, "mount_group": 6}
MESSAGES = messages_of("""
Empty
Topology segments=1:<>
Info node_id=1 max_volumes_per_node=2:int64 accessible_topology=3:Topology
Rpc type=1:int32
Capability rpc=1:Rpc
Capabilities capabilities=1:*Capability
AccessMode mode=1:int32
Mount fs_type=1 mount_flags=2:* volume_mount_group=3
VolumeCapability block=1:Empty mount=2:Mount access_mode=3:AccessMode
Stage volume_id=1 publish_context=2:<> staging_target_path=3 volume_capability=4:VolumeCapability secrets=5:<> volume_context=6:<>
Unstage volume_id=1 staging_target_path=2
Publish volume_id=1 publish_context=2:<> staging_target_path=3 target_path=4 volume_capability=5:VolumeCapability readonly=6:bool secrets=7:<> volume_context=8:<>
Unpublish volume_id=1 target_path=2
StatsRequest volume_id=1 volume_path=2 staging_target_path=3
Usage available=1:int64 total=2:int64 used=3:int64 unit=4:int32
Stats usage=1:*Usage
Range required_bytes=1:int64 limit_bytes=2:int64
Expand volume_id=1 volume_path=2 capacity_range=3:Range staging_target_path=4 volume_capability=5:VolumeCapability secrets=6:<>
Expanded capacity_bytes=1:int64
""")


def mounted(path):
    return any(line.split()[4] == str(path) for line in open("/proc/self/mountinfo"))


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout.strip()


class Driver:
    def __init__(self, folder, kubelet_dir, name, options):
        self.folder, self.lock = pathlib.Path(folder), threading.Lock()
        self.features = [FEATURES[key] for key in options if key in FEATURES]
        self.topology = {key: value for key, value in options.items() if "/" in key}
        self.max_volumes = int(options.get("max_volumes", 0))
        (self.folder / "volumes").mkdir(parents=True, exist_ok=True)
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        table = {"NodeGetInfo": ("Empty", "Info"), "NodeGetCapabilities": ("Empty", "Capabilities"), "NodeStageVolume": ("Stage", "Empty"),
                 "NodeUnstageVolume": ("Unstage", "Empty"), "NodePublishVolume": ("Publish", "Empty"), "NodeUnpublishVolume": ("Unpublish", "Empty"),
                 "NodeGetVolumeStats": ("StatsRequest", "Stats"), "NodeExpandVolume": ("Expand", "Expanded")}
        methods = {method: grpc.unary_unary_rpc_method_handler(self.handler(method), MESSAGES[request].FromString, MESSAGES[reply].SerializeToString)
                   for method, (request, reply) in table.items()}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("csi.v1.Node", methods),))
        plugin = pathlib.Path(kubelet_dir) / "plugins" / name
        plugin.mkdir(parents=True, exist_ok=True)
        self.server.add_insecure_port(f"unix:{plugin}/csi.sock")
        self.server.start()
        self.registration = Registration(f"{kubelet_dir}/plugins_registry", f"{name}-reg.sock", "CSIPlugin", name, plugin / "csi.sock", ["1.0.0"])

    def handler(self, method):
        def answer(request, context):
            with self.lock, open(self.folder / "calls", "a") as calls:
                calls.write(json.dumps({"method": method, **json_format.MessageToDict(request, preserving_proto_field_name=True)}) + "\n")
            try:
                behave = json.loads((self.folder / "behave").read_text())
            except FileNotFoundError:
                behave = {}
            if method in behave and behave[method] is None:
                while context.is_active():
                    time.sleep(0.05)
            elif method in behave:
                context.abort(grpc.StatusCode.INTERNAL, behave[method])
            try:
                return getattr(self, method)(request)
            except (OSError, subprocess.CalledProcessError) as error:
                context.abort(grpc.StatusCode.INTERNAL, f"{error} {getattr(error, 'stderr', '')}")
        return answer

    def NodeGetInfo(self, request):
        return MESSAGES["Info"](node_id="the-node", max_volumes_per_node=self.max_volumes, accessible_topology={"segments": self.topology})

    def NodeGetCapabilities(self, request):
        return MESSAGES["Capabilities"](capabilities=[{"rpc": {"type": number}} for number in self.features])

    def backing(self, request):
        path = self.folder / "volumes" / request.volume_id
        if request.volume_capability.HasField("block"):
            if not path.exists():
                path.write_bytes(b"")
                os.truncate(path, 1 << 20)
        else:
            path.mkdir(exist_ok=True)
        return path

    def bind(self, source, target, readonly=False):
        if mounted(target):
            return
        if pathlib.Path(source).is_dir():
            pathlib.Path(target).mkdir(exist_ok=True)
        else:
            pathlib.Path(target).touch()
        run("mount", "--bind", source, target)
        if readonly:
            run("mount", "-o", "remount,bind,ro", target)

    def NodeStageVolume(self, request):
        if not request.volume_capability.HasField("block"):
            self.bind(self.backing(request), request.staging_target_path)
        return MESSAGES["Empty"]()

    def NodeUnstageVolume(self, request):
        if mounted(request.staging_target_path):
            run("umount", request.staging_target_path)
        return MESSAGES["Empty"]()

    def NodePublishVolume(self, request):
        source = self.backing(request)
        if request.volume_capability.HasField("block"):
            source = run("losetup", "-j", source).partition(":")[0] or run("losetup", "-f", "--show", source)
        elif request.staging_target_path:
            source = request.staging_target_path
        if request.volume_context.get("csi.storage.k8s.io/ephemeral") == "true":
            (pathlib.Path(source) / "context").write_text(json.dumps(dict(request.volume_context)))
        self.bind(source, request.target_path, request.readonly)
        return MESSAGES["Empty"]()

    def NodeUnpublishVolume(self, request):
        target = pathlib.Path(request.target_path)
        if mounted(target):
            run("umount", target)
        if target.is_dir():
            target.rmdir()
        else:
            target.unlink(missing_ok=True)
        path = self.folder / "volumes" / request.volume_id
        if path.is_file() and run("losetup", "-j", path):
            run("losetup", "-d", run("losetup", "-j", path).partition(":")[0])
        return MESSAGES["Empty"]()

    def NodeGetVolumeStats(self, request):
        return MESSAGES["Stats"](usage=[{"available": 700, "total": 1000, "used": 300, "unit": 1}, {"available": 7, "total": 10, "used": 3, "unit": 2}])

    def NodeExpandVolume(self, request):
        return MESSAGES["Expanded"](capacity_bytes=request.capacity_range.required_bytes)

    def close(self):
        self.registration.close()
        self.server.stop(0).wait()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])  # before gRPC's threads
    options = dict(argument.partition("=")[::2] for argument in sys.argv[4:])
    driver = Driver(sys.argv[1], sys.argv[3], sys.argv[2], options)
    print(driver.registration.told.get(timeout=60) or "registered", flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    driver.close()
