#include "scheduler/volumes.h"
#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "scheduler/testing/cluster_fixture.h"

namespace estiba::scheduler {
namespace {

const std::string bound = "'annotations':{'pv.kubernetes.io/bind-completed':'yes'}";
const std::string helpless = "0/2 nodes are available: ";

struct VolumesTest : testing::ClusterFixture {
  FakeExecutor executor;
  client::testing::FakeClient server{executor};
  client::Informers informers{server};

  void SetUp() override {
    const auto storage = [&](std::string_view name) { return &informers.of({"storage.k8s.io", "v1", name}); };
    cluster.listers = {.claims = &informers.of({"", "v1", "persistentvolumeclaims"}),
                       .volumes = &informers.of({"", "v1", "persistentvolumes"}),
                       .classes = storage("storageclasses"),
                       .csi_nodes = storage("csinodes"),
                       .csi_drivers = storage("csidrivers"),
                       .capacities = storage("csistoragecapacities"),
                       .attachments = storage("volumeattachments")};
    node_in("a1", "a");
    node_in("b1", "b");
  }
  void add(client::Resource resource, const std::string& ns, std::string text) {
    std::ranges::replace(text, '\'', '"');
    server.add(resource, ns, text);
    executor.run();
  }
  void claim(const std::string& name, const std::string& spec, const std::string& meta = "", const std::string& more = "") {
    add({"", "v1", "persistentvolumeclaims"}, "x",
        "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'" + name + "'" + (meta.empty() ? "" : "," + meta) +
            "},'spec':{'resources':{'requests':{'storage':'5Gi'}},'accessModes':['ReadWriteOnce']," + spec + "}" + more + "}");
  }
  void volume(const std::string& name, const std::string& spec, const std::string& zone = "", const std::string& size = "10Gi",
              const std::string& meta = "") {
    const std::string affinity = zone.empty() ? ""
                                              : ",'nodeAffinity':{'required':{'nodeSelectorTerms':[{'matchExpressions':[{'key':'"
                                                "topology.kubernetes.io/zone','operator':'In','values':['" +
                                                    zone + "']}]}]}}";
    add({"", "v1", "persistentvolumes"}, "",
        "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'" + name + "'" + meta + "},'spec':{'capacity':{'storage':'" +
            size + "'},'accessModes':['ReadWriteOnce']," + spec + affinity + "},'status':{'phase':'Available'}}");
  }
  void storage_class(const std::string& name, const std::string& provisioner, const std::string& mode = "WaitForFirstConsumer",
                     const std::string& more = "") {
    add({"storage.k8s.io", "v1", "storageclasses"}, "",
        "{'apiVersion':'storage.k8s.io/v1','kind':'StorageClass','metadata':{'name':'" + name + "'},'provisioner':'" + provisioner +
            "','volumeBindingMode':'" + mode + "'" + more + "}");
  }
  model::ObjectRef using_claims(const std::string& names, const std::string& more = "") {  // one letter each
    std::string volumes;
    for (const char name : names)
      volumes +=
          (volumes.empty() ? "" : ",") + ("{'name':'" + std::string(1, name) + "','persistentVolumeClaim':{'claimName':'" + name + "'}}");
    return pod("", "'volumes':[" + volumes + "]" + more);
  }
  /// "binds v to c", "provisions c" for a pod at a node.
  std::string plan(const model::ObjectRef& pod, const std::string& node) {
    const DemandPtr demand = demand_of(pod);
    VolumePlan plan;
    if (!PodVolumes(cluster, *demand).fits(*cluster.find(node), nullptr, &plan)) return "does not fit";
    std::string out;
    for (const auto& binding : plan.bindings) out += binding.volume.meta().name + " to " + binding.claim.meta().name + " ";
    for (const auto& claim : plan.provisions) out += "new for " + claim.meta().name + " ";
    return out;
  }
};

TEST_F(VolumesTest, ClaimsThatAreNotReadyAreTold) {
  storage_class("now", "driver", "Immediate");
  EXPECT_EQ(where(using_claims("c")), helpless + "persistentvolumeclaim \"c\" not found.");
  EXPECT_EQ(where(pod("", "'volumes':[{'name':'v','ephemeral':{'volumeClaimTemplate':{}}}]")),
            helpless + "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p2-v\".");
  claim("c", "'storageClassName':'now'");
  EXPECT_EQ(where(using_claims("c")), helpless + "pod has unbound immediate PersistentVolumeClaims.");
  claim("d", "'storageClassName':''");
  EXPECT_EQ(where(using_claims("d")), helpless + "pod has unbound immediate PersistentVolumeClaims.");
  claim("l", "'volumeName':'v'", "", ",'status':{'phase':'Lost'}");
  EXPECT_EQ(where(using_claims("l")), helpless + "persistentvolumeclaim \"l\" bound to non-existent persistentvolume \"v\".");
  claim("m", "'volumeName':'nowhere'", bound);
  EXPECT_EQ(where(using_claims("m")), helpless + "persistentvolume \"nowhere\" not found.");
  const std::string next = "p" + std::to_string(made + 1);
  claim(next + "-v", "'volumeName':'v'", bound);
  EXPECT_EQ(where(pod("", "'volumes':[{'name':'v','ephemeral':{'volumeClaimTemplate':{}}}]")),
            helpless + "PVC x/" + next + "-v was not created for pod x/" + next + " (pod is not owner).");
}

TEST_F(VolumesTest, BoundClaimsGoWhereTheirVolumesAre) {
  volume("va", "'storageClassName':'s'", "a");
  volume("vb", "'storageClassName':'s'", "b");
  claim("a", "'volumeName':'va'", bound);
  claim("b", "'volumeName':'vb'", bound);
  EXPECT_EQ(where(using_claims("a")), "a1");
  EXPECT_EQ(where(using_claims("b")), "b1");
  EXPECT_EQ(where(using_claims("ab")), helpless + "2 node(s) didn't match PersistentVolume's node affinity.");
}

TEST_F(VolumesTest, ZoneLabelsOfVolumesHold) {
  volume("va", "'storageClassName':'s'", "", "10Gi", ",'labels':{'failure-domain.beta.kubernetes.io/zone':'a__c'}");
  claim("a", "'volumeName':'va'", bound);
  EXPECT_EQ(where(using_claims("a")), "a1");
  EXPECT_EQ(where(using_claims("a", ",'nodeSelector':{'topology.kubernetes.io/zone':'b'}")),
            helpless + "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had no available volume zone.");
}

TEST_F(VolumesTest, ClaimsThatWaitGetTheSmallestVolumeThatTheNodeReaches) {
  storage_class("s", "kubernetes.io/no-provisioner");
  claim("c", "'storageClassName':'s'");
  EXPECT_EQ(where(using_claims("c")), helpless + "2 node(s) didn't find available persistent volumes to bind.");
  volume("big", "'storageClassName':'s'", "a", "20Gi");
  volume("right", "'storageClassName':'s'", "a", "6Gi");
  volume("small", "'storageClassName':'s'", "b", "1Gi");
  volume("foreign", "'storageClassName':'t'", "b");
  volume("blocky", "'storageClassName':'s','volumeMode':'Block'", "b");
  EXPECT_EQ(where(using_claims("c")), "a1");
  EXPECT_EQ(plan(using_claims("c"), "a1"), "right to c ");
  EXPECT_EQ(plan(using_claims("c"), "b1"), "does not fit");
  claim("d", "'storageClassName':'s'");
  EXPECT_EQ(plan(using_claims("cd"), "a1"), "right to c big to d ");
  // What is being given to somebody else is not free; to the same it is.
  cluster.reserve_volume(cluster.listers.volumes->get("right"), cluster.listers.claims->get("x/d"));
  EXPECT_EQ(plan(using_claims("c"), "a1"), "big to c ");
  EXPECT_EQ(plan(using_claims("d"), "a1"), "right to d ");
  volume("own", "'storageClassName':'s','claimRef':{'namespace':'x','name':'c'}", "b", "50Gi");
  EXPECT_EQ(plan(using_claims("c"), "b1"), "own to c ");
  EXPECT_EQ(plan(using_claims("c"), "a1"), "does not fit") << "it has one of its own elsewhere";
}

TEST_F(VolumesTest, WithoutOneAVolumeIsMadeWhereTheClassAllows) {
  storage_class("s", "driver", "WaitForFirstConsumer",
                ",'allowedTopologies':[{'matchLabelExpressions':[{'key':'topology.kubernetes.io/zone','values':['b']}]}]");
  claim("c", "'storageClassName':'s'");
  EXPECT_EQ(plan(using_claims("c"), "b1"), "new for c ");
  EXPECT_EQ(where(using_claims("c")), "b1");
  // A node that has been chosen for it stays.
  storage_class("t", "driver");
  claim("d", "'storageClassName':'t'", "'annotations':{'volume.kubernetes.io/selected-node':'a1'}");
  EXPECT_EQ(where(using_claims("d")), "a1");
  claim("e", "'storageClassName':'t'");
  cluster.reserve_provision(cluster.listers.claims->get("x/e"), "b1");
  EXPECT_EQ(where(using_claims("e")), "b1");
  EXPECT_EQ(where(using_claims("de")), helpless + "2 node(s) didn't find available persistent volumes to bind.");
}

TEST_F(VolumesTest, DriversThatTellTheirCapacityAreAsked) {
  storage_class("s", "driver");
  claim("c", "'storageClassName':'s'");
  add({"storage.k8s.io", "v1", "csidrivers"}, "",
      "{'apiVersion':'storage.k8s.io/v1','kind':'CSIDriver','metadata':{'name':'driver'},'spec':{'storageCapacity':true}}");
  EXPECT_EQ(where(using_claims("c")), helpless + "2 node(s) did not have enough free storage.");
  const auto capacity = [&](const std::string& name, const std::string& zone, const std::string& amounts) {
    add({"storage.k8s.io", "v1", "csistoragecapacities"}, "x",
        "{'apiVersion':'storage.k8s.io/v1','kind':'CSIStorageCapacity','metadata':{'name':'" + name +
            "'},'storageClassName':'s','nodeTopology':{'matchLabels':{'topology.kubernetes.io/zone':'" + zone + "'}}," + amounts + "}");
  };
  capacity("a", "a", "'capacity':'100Gi','maximumVolumeSize':'1Gi'");
  capacity("b", "b", "'capacity':'5Gi'");
  EXPECT_EQ(where(using_claims("c")), "b1");
}

TEST_F(VolumesTest, DriversLimitsHoldAndAVolumeCountsOnce) {
  const auto csi = [](const std::string& handle) { return "'csi':{'driver':'driver','volumeHandle':'" + handle + "'}"; };
  for (const char* name : {"a", "b", "c"}) {
    volume("v" + std::string(name), csi(name));
    claim(name, "'volumeName':'v" + std::string(name) + "'", bound);
  }
  add({"storage.k8s.io", "v1", "csinodes"}, "",
      "{'apiVersion':'storage.k8s.io/v1','kind':'CSINode','metadata':{'name':'a1'},'spec':{'drivers':[{'name':'driver','nodeID':'a1',"
      "'allocatable':{'count':2}}]}}");
  const std::string here = ",'nodeSelector':{'kubernetes.io/hostname':'a1'}";
  put("a1", using_claims("a"));
  EXPECT_EQ(where(using_claims("b", here)), "a1");
  EXPECT_EQ(where(using_claims("ab", here)), "a1") << "one of them is there";
  EXPECT_EQ(where(using_claims("bc", here)),
            helpless + "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) exceed max volume count.");
  add({"storage.k8s.io", "v1", "volumeattachments"}, "",
      "{'apiVersion':'storage.k8s.io/v1','kind':'VolumeAttachment','metadata':{'name':'t'},'spec':{'attacher':'driver','nodeName':'a1',"
      "'source':{'persistentVolumeName':'vc'}}}");
  EXPECT_NE(where(using_claims("b", here)), "a1") << "what is attached without a pod counts";
  EXPECT_EQ(where(using_claims("c", here)), "a1");
}

TEST_F(VolumesTest, AClaimOfOnePodIsUsedOnce) {
  volume("v", "'storageClassName':'s'");
  add({"", "v1", "persistentvolumeclaims"}, "x",
      "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'o'," + bound +
          "},'spec':{'volumeName':'v','accessModes':['ReadWriteOncePod']}}");
  const std::string first = place(using_claims("o"));
  ASSERT_EQ(first.size(), 2u) << first;
  EXPECT_EQ(where(using_claims("o")), helpless +
                                          "2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already "
                                          "in-use by another pod.");
  const DemandPtr asks = demand_of(using_claims("o")), there = demand_of(using_claims("o"));
  Cycle without(default_profile(), cluster, *asks);
  without.change(*there, *cluster.find("a1"), -1);
  EXPECT_EQ(without.check(*cluster.find("b1"), nullptr), Verdict::fits);
  cluster.remove_pod("p1");
  EXPECT_EQ(where(using_claims("o")).size(), 2u);
}

struct Disk {
  const char *name, *there, *asked;
  bool fits;
};
struct VolumeDisks : VolumesTest, ::testing::WithParamInterface<Disk> {};
TEST_P(VolumeDisks, AreUsedByOnePodANode) {
  const auto disk = [](const char* source) {
    return "'nodeSelector':{'kubernetes.io/hostname':'a1'},'volumes':[{'name':'v'," + std::string(source) + "}]";
  };
  put("a1", pod("", disk(GetParam().there)));
  const std::string got = where(pod("", disk(GetParam().asked)));
  EXPECT_EQ(got,
            GetParam().fits ? "a1" : helpless + "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had no available disk.");
}
INSTANTIATE_TEST_SUITE_P(
    Kinds, VolumeDisks,
    ::testing::Values(
        Disk{"gce", "'gcePersistentDisk':{'pdName':'d'}", "'gcePersistentDisk':{'pdName':'d','readOnly':true}", false},
        Disk{"gce_read_only", "'gcePersistentDisk':{'pdName':'d','readOnly':true}", "'gcePersistentDisk':{'pdName':'d','readOnly':true}",
             true},
        Disk{"gce_other", "'gcePersistentDisk':{'pdName':'d'}", "'gcePersistentDisk':{'pdName':'e'}", true},
        Disk{"ebs", "'awsElasticBlockStore':{'volumeID':'d','readOnly':true}", "'awsElasticBlockStore':{'volumeID':'d','readOnly':true}",
             false},
        Disk{"iscsi", "'iscsi':{'iqn':'q','targetPortal':'t','lun':0}", "'iscsi':{'iqn':'q','targetPortal':'u','lun':1}", false},
        Disk{"rbd", "'rbd':{'monitors':['m','n'],'pool':'p','image':'i'}", "'rbd':{'monitors':['n'],'pool':'p','image':'i'}", false},
        Disk{"rbd_elsewhere", "'rbd':{'monitors':['m'],'pool':'p','image':'i'}", "'rbd':{'monitors':['n'],'pool':'p','image':'i'}", true}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace estiba::scheduler
