"""The columns of every kind's Table are those of Kubernetes 1.36, in its order, with its types, the wide ones marked as such."""

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
# A column is a string unless ':' says what; '*' is one of `-o wide`; '_' is a space. Kinds that are not here have a name and a time.
COLUMNS = """
CSIDriver: Name AttachRequired:boolean PodInfoOnMount:boolean StorageCapacity:boolean TokenRequests RequiresRepublish:boolean Modes Age
CSINode: Name Drivers:integer Age
CSIStorageCapacity: Name StorageClassName Capacity
CertificateSigningRequest: Name Age SignerName Requestor RequestedDuration Condition
ClusterRoleBinding: Name Role Age *Users *Groups *ServiceAccounts
ClusterTrustBundle: Name SignerName
ComponentStatus: Name Status Message Error
ConfigMap: Name Data Age
ControllerRevision: Name Controller Revision Age
CronJob: Name Schedule Timezone Suspend:boolean Active:integer Last_Schedule Age *Containers *Images *Selector
DaemonSet: Name Desired:integer Current:integer Ready:integer Up-to-date:integer Available:integer Node_Selector Age *Containers *Images *Selector
Deployment: Name Ready Up-to-date Available Age *Containers *Images *Selector
DeviceTaintRule: Name Key Value Effect TimeAdded Age
DeviceClass: Name Age
EndpointSlice: Name AddressType Ports Endpoints Age
Endpoints: Name Endpoints Age
Event: Last_Seen Type Reason Object *Subobject *Source Message *First_Seen *Count *Name
FlowSchema: Name PriorityLevel MatchingPrecedence DistinguisherMethod Age MissingPL
HorizontalPodAutoscaler: Name Reference Targets MinPods MaxPods Replicas Age
IPAddress: Name ParentRef
Ingress: Name Class Hosts Address Ports Age
IngressClass: Name Controller Parameters Age
Job: Name Status Completions Duration Age *Containers *Images *Selector
Lease: Name Holder Age
LeaseCandidate: Name LeaseName BinaryVersion EmulationVersion Age
MutatingAdmissionPolicy: Name Mutations:integer ParamKind Age
MutatingAdmissionPolicyBinding: Name PolicyName ParamRef Age
MutatingWebhookConfiguration: Name Webhooks:integer Age
Namespace: Name Status Age
NetworkPolicy: Name Pod-Selector Age
Node: Name Status Roles Age Version *Internal-IP *External-IP *OS-Image *Kernel-Version *Container-Runtime
PersistentVolume: Name Capacity Access_Modes Reclaim_Policy Status Claim StorageClass VolumeAttributesClass Reason Age *VolumeMode
PersistentVolumeClaim: Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age *VolumeMode
Pod: Name Ready Status Restarts Age *IP *Node *Nominated_Node *Readiness_Gates
PodCertificateRequest: Name PodName ServiceAccountName NodeName SignerName State UnverifiedUserAnnotations
PodDisruptionBudget: Name Min_Available Max_Unavailable Allowed_Disruptions:integer Age
PodGroup: Name Policy Workload Status Age
PodTemplate: Name Containers Images Pod_Labels
PriorityClass: Name Value:integer Global-Default:boolean Age PreemptionPolicy
PriorityLevelConfiguration: Name Type NominalConcurrencyShares Queues HandSize QueueLengthLimit Age
ReplicaSet: Name Desired:integer Current:integer Ready:integer Age *Containers *Images *Selector
ReplicationController: Name Desired:integer Current:integer Ready:integer Age *Containers *Images *Selector
ResourceClaim: Name State Age
ResourceClaimTemplate: Name Age
ResourcePoolStatusRequest: Name Driver Total Available Allocated Unavailable Errors Pools:integer Status Completed
ResourceQuota: Name Request Limit Age
ResourceSlice: Name Node Driver Pool Age
RoleBinding: Name Role Age *Users *Groups *ServiceAccounts
RuntimeClass: Name Handler Age
Secret: Name Type Data Age
Service: Name Type Cluster-IP External-IP Port(s) Age *Selector
ServiceAccount: Name Age
ServiceCIDR: Name CIDRs Age
StatefulSet: Name Ready Age *Containers *Images
StorageClass: Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age
StorageVersion: Name CommonEncodingVersion StorageVersions Age
StorageVersionMigration: Name Resource Status
ValidatingAdmissionPolicy: Name Validations:integer ParamKind Age
ValidatingAdmissionPolicyBinding: Name PolicyName ParamRef Age
ValidatingWebhookConfiguration: Name Webhooks:integer Age
VolumeAttachment: Name Attacher PV Node Attached:boolean Age
VolumeAttributesClass: Name DriverName Age
Workload: Name Age
APIService: Name Service Available Age
"""
PLAIN = "Name Created_At:date"


def expected():
    return dict(line.split(": ") for line in COLUMNS.strip().splitlines())


def shown(column):
    kind = "" if column["type"] == "string" else f":{column['type']}"
    return f"{'*' if column.get('priority') else ''}{column['name'].replace(' ', '_')}{kind}"


def kinds(api):
    """Group version and resource of everything that can be listed."""
    versions = ["/api/v1"] + [f"/apis/{v['groupVersion']}" for g in api.get("/apis").body["groups"] for v in g["versions"]]
    for path in versions:
        for resource in api.get(path).body["resources"]:
            if "/" not in resource["name"] and "list" in resource["verbs"]:
                yield path, resource


def test_the_columns_of_every_kind(api):
    wrong, seen, wanted = [], set(), expected()
    # Not ours to say: what another server serves, and what definitions that other tests left say themselves.
    foreign = {d["spec"]["group"] for d in api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").body["items"]} | {"metrics.k8s.io"}
    for path, resource in kinds(api):
        if path.split("/")[2] in foreign:
            continue
        answer = api("GET", f"{path}/{resource['name']}", headers={"Accept": TABLE}, limit=1)
        if answer.status != 200 or answer.body["kind"] != "Table":
            wrong.append(f"{path} {resource['kind']}: {answer.status} {answer.body['kind']}")
            continue
        columns = answer.body["columnDefinitions"]
        found, want = " ".join(map(shown, columns)), wanted.get(resource["kind"], PLAIN)
        if found != want:
            wrong.append(f"{path} {resource['kind']}:\n  is        {found}\n  should be {want}")
        name = next(c for c in columns if c["name"] == "Name")
        if name["format"] != "name":
            wrong.append(f"{path} {resource['kind']}: the name's column is not marked as such")
        seen.add(resource["kind"])
    assert not wrong, "\n".join(wrong)
    assert {"Pod", "Deployment", "Event", "ServiceCIDR", "NetworkPolicy"} <= seen
