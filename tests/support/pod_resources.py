"""A client of the pod resources API: Debian's gRPC."""
import grpc

from messages import messages_of

MESSAGES = messages_of("""
Empty
NumaNode ID=1:int64
Topology nodes=1:*NumaNode
ContainerDevices resource_name=1 device_ids=2:* topology=3:Topology
ContainerMemory memory_type=1 size=2:uint64 topology=3:Topology
ContainerResources name=1 devices=2:*ContainerDevices cpu_ids=3:*int64 memory=4:*ContainerMemory
PodResources name=1 namespace=2 containers=3:*ContainerResources
ListResponse pod_resources=1:*PodResources
GetRequest pod_name=1 pod_namespace=2
GetResponse pod_resources=1:PodResources
AllocatableResponse devices=1:*ContainerDevices cpu_ids=2:*int64 memory=3:*ContainerMemory
""")
METHODS = {"List": ("Empty", "ListResponse"), "Get": ("GetRequest", "GetResponse"), "GetAllocatableResources": ("Empty", "AllocatableResponse")}


def ask(kubelet_dir, method, **fields):
    """The answer; grpc.RpcError where there is none."""
    request, reply = METHODS[method]
    with grpc.insecure_channel(f"unix:{kubelet_dir}/pod-resources/kubelet.sock", options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(f"/v1.PodResourcesLister/{method}", MESSAGES[request].SerializeToString, MESSAGES[reply].FromString)
        return call(MESSAGES[request](**fields), timeout=20, wait_for_ready=True)


def of_container(pod, name="main"):
    """({resource: [(device, NUMA nodes)]}, CPUs)."""
    [container] = [one for one in pod.containers if one.name == name]
    devices = {}
    for row in container.devices:
        devices.setdefault(row.resource_name, []).extend((device, [node.ID for node in row.topology.nodes]) for device in row.device_ids)
    return devices, list(container.cpu_ids)
