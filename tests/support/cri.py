"""A client of the Container Runtime Interface."""
import grpc

from messages import messages_of

TABLE = """
Empty
VersionRequest version=1
VersionResponse version=1 runtime_name=2 runtime_version=3 runtime_api_version=4
RuntimeCondition type=1 status=2:bool reason=3 message=4
RuntimeStatus conditions=1:*RuntimeCondition
StatusRequest verbose=1:bool
RuntimeHandlerFeatures recursive_read_only_mounts=1:bool user_namespaces=2:bool
RuntimeHandler name=1 features=2:RuntimeHandlerFeatures
StatusResponse status=1:RuntimeStatus info=2:<> runtime_handlers=3:*RuntimeHandler
LinuxRuntimeConfiguration cgroup_driver=1:int32
RuntimeConfigResponse linux=1:LinuxRuntimeConfiguration
DNSConfig servers=1:* searches=2:* options=3:*
PortMapping protocol=1:int32 container_port=2:int32 host_port=3:int32 host_ip=4
IDMapping host_id=1:uint32 container_id=2:uint32 length=3:uint32
UserNamespace mode=1:int32 uids=2:*IDMapping gids=3:*IDMapping
NamespaceOption network=1:int32 pid=2:int32 ipc=3:int32 target_id=4 userns_options=5:UserNamespace
Int64Value value=1:int64
UInt64Value value=1:uint64
SecurityProfile profile_type=1:int32 localhost_ref=2
LinuxSandboxSecurityContext namespace_options=1:NamespaceOption
LinuxPodSandboxConfig cgroup_parent=1 security_context=2:LinuxSandboxSecurityContext sysctls=3:<>
PodSandboxMetadata name=1 uid=2 namespace=3 attempt=4:uint32
PodSandboxConfig metadata=1:PodSandboxMetadata hostname=2 log_directory=3 dns_config=4:DNSConfig port_mappings=5:*PortMapping labels=6:<> annotations=7:<> linux=8:LinuxPodSandboxConfig
RunPodSandboxRequest config=1:PodSandboxConfig runtime_handler=2
RunPodSandboxResponse pod_sandbox_id=1
SandboxRequest pod_sandbox_id=1 verbose=2:bool
PodSandboxNetworkStatus ip=1
PodSandboxStatus id=1 metadata=2:PodSandboxMetadata state=3:int32 created_at=4:int64 network=5:PodSandboxNetworkStatus labels=7:<> annotations=8:<>
PodSandboxStatusResponse status=1:PodSandboxStatus info=2:<>
PodSandboxFilter id=1 label_selector=3:<>
ListPodSandboxRequest filter=1:PodSandboxFilter
PodSandbox id=1 metadata=2:PodSandboxMetadata state=3:int32
ListPodSandboxResponse items=1:*PodSandbox
ImageSpec image=1 annotations=2:<>
KeyValue key=1 value=2
Mount container_path=1 host_path=2 readonly=3:bool propagation=5:int32 uidMappings=6:*IDMapping gidMappings=7:*IDMapping recursive_read_only=8:bool image=9:ImageSpec image_sub_path=10
CDIDevice name=1
Device container_path=1 host_path=2 permissions=3
LinuxContainerResources cpu_period=1:int64 cpu_quota=2:int64 cpu_shares=3:int64 memory_limit_in_bytes=4:int64 oom_score_adj=5:int64
Capability add_capabilities=1:* drop_capabilities=2:*
LinuxContainerSecurityContext capabilities=1:Capability privileged=2:bool namespace_options=3:NamespaceOption run_as_user=5:Int64Value readonly_rootfs=7:bool no_new_privs=11:bool seccomp=15:SecurityProfile
LinuxContainerConfig resources=1:LinuxContainerResources security_context=2:LinuxContainerSecurityContext
ContainerMetadata name=1 attempt=2:uint32
ContainerConfig metadata=1:ContainerMetadata image=2:ImageSpec command=3:* args=4:* working_dir=5 envs=6:*KeyValue mounts=7:*Mount devices=8:*Device labels=9:<> annotations=10:<> log_path=11 stdin=12:bool stdin_once=13:bool tty=14:bool linux=15:LinuxContainerConfig CDI_devices=17:*CDIDevice
CreateContainerRequest pod_sandbox_id=1 config=2:ContainerConfig sandbox_config=3:PodSandboxConfig
CreateContainerResponse container_id=1
ContainerRequest container_id=1
StopContainerRequest container_id=1 timeout=2:int64
ContainerFilter id=1 pod_sandbox_id=3 label_selector=4:<>
ListContainersRequest filter=1:ContainerFilter
Container id=1 pod_sandbox_id=2 metadata=3:ContainerMetadata state=6:int32
ListContainersResponse containers=1:*Container
ContainerStatus id=1 metadata=2:ContainerMetadata state=3:int32 created_at=4:int64 started_at=5:int64 finished_at=6:int64 exit_code=7:int32 image=8:ImageSpec image_ref=9 reason=10 message=11 labels=12:<> log_path=15
ContainerStatusResponse status=1:ContainerStatus info=2:<>
ExecSyncRequest container_id=1 cmd=2:* timeout=3:int64
ExecSyncResponse stdout=1:bytes stderr=2:bytes exit_code=3:int32
ExecRequest container_id=1 cmd=2:* tty=3:bool stdin=4:bool stdout=5:bool stderr=6:bool
UrlResponse url=1
PortForwardRequest pod_sandbox_id=1 port=2:*int32
CpuUsage timestamp=1:int64 usage_core_nano_seconds=2:UInt64Value
MemoryUsage timestamp=1:int64 working_set_bytes=2:UInt64Value
ContainerAttributes id=1 metadata=2:ContainerMetadata
ContainerStats attributes=1:ContainerAttributes cpu=2:CpuUsage memory=3:MemoryUsage
ListContainerStatsResponse stats=1:*ContainerStats
ContainerEventResponse container_id=1 container_event_type=2:int32 created_at=3:int64 pod_sandbox_status=4:PodSandboxStatus containers_statuses=5:*ContainerStatus
Image id=1 repo_tags=2:* repo_digests=3:* size=4:uint64
ListImagesResponse images=1:*Image
ImageRequest image=1:ImageSpec
ImageStatusResponse image=1:Image
PullImageResponse image_ref=1
"""
# Method → request, answer; those without an entry here are named after their method.
NAMES = {
    **{name: ("SandboxRequest", "Empty") for name in ("StopPodSandbox", "RemovePodSandbox")},
    **{name: ("ContainerRequest", "Empty") for name in ("StartContainer", "RemoveContainer", "ReopenContainerLog", "CheckpointContainer")},
    "PodSandboxStatus": ("SandboxRequest", "PodSandboxStatusResponse"), "ContainerStatus": ("ContainerRequest", "ContainerStatusResponse"),
    "StopContainer": ("StopContainerRequest", "Empty"), "RuntimeConfig": ("Empty", "RuntimeConfigResponse"),
    "Exec": ("ExecRequest", "UrlResponse"), "PortForward": ("PortForwardRequest", "UrlResponse"), "ListContainerStats": ("Empty", "ListContainerStatsResponse"),
    "ListImages": ("Empty", "ListImagesResponse"), "ImageStatus": ("ImageRequest", "ImageStatusResponse"), "PullImage": ("ImageRequest", "PullImageResponse"),
    "RemoveImage": ("ImageRequest", "Empty"),
}


MESSAGES = messages_of(TABLE)


class Cri:
    """`cri.RunPodSandbox(config={…})`: the request's fields as keywords; the answer's message, or grpc.RpcError."""

    def __init__(self, path):
        self.channel = grpc.insecure_channel(f"unix:{path}", options=[("grpc.enable_http_proxy", 0)])

    def __getattr__(self, method):
        service = "ImageService" if "Image" in method else "RuntimeService"
        request, answer = NAMES.get(method, (method + "Request", method + "Response"))
        call = self.channel.unary_unary(f"/runtime.v1.{service}/{method}", MESSAGES[request].SerializeToString, MESSAGES[answer].FromString)
        return lambda **fields: call(MESSAGES[request](**fields), timeout=60, wait_for_ready=True)

    def events(self):
        call = self.channel.unary_stream("/runtime.v1.RuntimeService/GetContainerEvents", MESSAGES["Empty"].SerializeToString, MESSAGES["ContainerEventResponse"].FromString)
        return call(MESSAGES["Empty"](), timeout=60, wait_for_ready=True)

    def close(self):
        self.channel.close()
