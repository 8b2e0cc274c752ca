"""A device plugin, and a client of the node's registration: Debian's gRPC."""
import queue
from concurrent import futures

import grpc

from messages import messages_of

MESSAGES = messages_of("""
Empty
Options pre_start_required=1:bool preferred_allocation_available=2:bool
RegisterRequest version=1 endpoint=2 resource_name=3 options=4:Options
NumaNode ID=1:int64
Topology nodes=1:*NumaNode
Device ID=1 health=2 topology=3:Topology
Devices devices=1:*Device
Ids ids=1:*
IdsRequest containers=1:*Ids
Mount container_path=1 host_path=2 read_only=3:bool
DeviceSpec container_path=1 host_path=2 permissions=3
CdiDevice name=1
ContainerAnswer envs=1:<> mounts=2:*Mount devices=3:*DeviceSpec annotations=4:<> cdi_devices=5:*CdiDevice
AllocateAnswer containers=1:*ContainerAnswer
Preference available=1:* must_include=2:* size=3:int32
PreferenceRequest containers=1:*Preference
""")


def register(folder, resource, endpoint, version="v1beta1", **options):
    """What a plugin says to the node; grpc.RpcError where it is refused."""
    request = MESSAGES["RegisterRequest"](version=version, endpoint=endpoint, resource_name=resource, options=options)
    with grpc.insecure_channel(f"unix:{folder}/kubelet.sock", options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary("/v1beta1.Registration/Register", MESSAGES["RegisterRequest"].SerializeToString, MESSAGES["Empty"].FromString)
        call(request, timeout=20, wait_for_ready=True)


class Plugin:
    """Offers `devices` ({id: healthy}) of a resource; `answer(ids)` is what a container gets with them. What is asked is kept in `asked`."""

    def __init__(self, folder, resource, devices, answer, prefer=None, pre_start=False, registers=True, numa=None):
        self.numa = numa or {}  # of a device: the number of its node
        self.folder, self.resource, self.answer, self.prefer, self.pre_start = folder, resource, answer, prefer, pre_start
        self.asked, self.lists, self.devices = [], queue.Queue(), dict(devices)
        self.endpoint = resource.replace("/", "-") + ".sock"
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        unary = lambda method, request, reply: grpc.unary_unary_rpc_method_handler(method, MESSAGES[request].FromString, MESSAGES[reply].SerializeToString)
        methods = {"GetDevicePluginOptions": unary(lambda request, context: self.options(), "Empty", "Options"),
                   "ListAndWatch": grpc.unary_stream_rpc_method_handler(self.list, MESSAGES["Empty"].FromString, MESSAGES["Devices"].SerializeToString),
                   "Allocate": unary(self.allocate, "IdsRequest", "AllocateAnswer"),
                   "GetPreferredAllocation": unary(self.preferred, "PreferenceRequest", "IdsRequest"),
                   "PreStartContainer": unary(self.before_start, "Ids", "Empty")}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", methods),))
        self.server.add_insecure_port(f"unix:{folder}/{self.endpoint}")
        self.server.start()
        if registers:
            register(folder, resource, self.endpoint, pre_start_required=pre_start, preferred_allocation_available=prefer is not None)

    def options(self):
        return MESSAGES["Options"](pre_start_required=self.pre_start, preferred_allocation_available=self.prefer is not None)

    def set(self, devices):
        self.devices = dict(devices)
        self.lists.put(True)

    def list(self, request, context):
        while True:
            yield MESSAGES["Devices"](devices=[{"ID": name, "health": "Healthy" if good else "Unhealthy", "topology": {"nodes": [{"ID": self.numa[name]}]} if name in self.numa else None} for name, good in self.devices.items()])
            if not self.lists.get():
                return

    def allocate(self, request, context):
        [container] = request.containers
        self.asked.append(("allocate", sorted(container.ids)))
        try:
            return MESSAGES["AllocateAnswer"](containers=[self.answer(sorted(container.ids))])
        except ValueError as error:
            context.abort(grpc.StatusCode.INTERNAL, str(error))

    def preferred(self, request, context):
        [one] = request.containers
        return MESSAGES["IdsRequest"](containers=[{"ids": self.prefer(sorted(one.available), sorted(one.must_include), one.size)}])

    def before_start(self, request, context):
        self.asked.append(("start", sorted(request.ids)))
        return MESSAGES["Empty"]()

    def close(self):
        self.lists.put(False)
        self.server.stop(0).wait()
