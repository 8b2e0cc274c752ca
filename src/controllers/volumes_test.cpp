#include "controllers/claims.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "controllers/volume_match.h"
#include "model/local_volumes.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::core_v1::PersistentVolume;
using model::core_v1::PersistentVolumeClaim;

struct VolumesTest : ControllerTest {
  void begin() { start({make_volume_binder, make_claim_protection, make_volume_protection}); }
  void add_volume(const std::string& name, const std::string& size, const std::string& more = "", const std::string& meta = "",
                  const std::string& modes = R"("ReadWriteOnce")") {
    server.add(persistent_volumes, "",
               R"({"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":")" + name + R"(","uid":"u-)" + name + "\"" + meta +
                   R"(},"spec":{"capacity":{"storage":")" + size + R"("},"accessModes":[)" + modes +
                   R"(],"persistentVolumeReclaimPolicy":"Retain")" + more + "}}");
    executor.run();
  }
  void add_claim(const std::string& name, const std::string& size, const std::string& more = "", const std::string& meta = "") {
    server.add(persistent_volume_claims, "x",
               R"({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":")" + name + R"(","uid":"u-)" + name + "\"" + meta +
                   R"(},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":")" + size + "\"}}" + more +
                   R"(},"status":{"phase":"Pending"}})");
    executor.run();
  }
  void add_class(const std::string& name, const std::string& mode, const std::string& provisioner = "example.com/disk") {
    server.add(storage_classes, "",
               R"({"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":")" + name + R"("},"provisioner":")" +
                   provisioner + R"(","volumeBindingMode":")" + mode + "\"}");
    executor.run();
  }
  void add_pod(const std::string& name, const std::string& claim, const std::string& node) {
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"("},"spec":{"nodeName":")" + node +
                   R"(","containers":[],"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":")" + claim + R"("}}]}})");
    executor.run();
  }
  /// "phase of the claim, its volume: phase of that volume".
  std::string claim(const std::string& name) {
    const ObjectRef object = server.find(persistent_volume_claims, "x", name);
    if (!object) return "gone";
    const auto& typed = object.as<PersistentVolumeClaim>();
    const std::string& of = typed.spec.volumeName;
    return typed.status.phase + " " + of + (of.empty() ? "" : ": " + volume(of));
  }
  std::string volume(const std::string& name) {
    const ObjectRef object = server.find(persistent_volumes, "", name);
    return object ? object.as<PersistentVolume>().status.phase : "gone";
  }
  /// Whether an event with this reason has been told.
  bool told(std::string_view reason, std::string_view message = {}) {
    for (const ObjectRef& event : server.all(client::events))
      if (event.object->json().contains("\"reason\":\"" + std::string(reason) + "\"") && event.object->json().contains(message))
        return true;
    return false;
  }
};

TEST_F(VolumesTest, TheSmallestThatFitsIsTaken) {
  begin();
  add_volume("large", "10Gi");
  add_volume("small", "1Gi");
  add_volume("fitting", "5Gi");
  add_volume("roomier-modes", "4Gi", "", "", R"("ReadWriteOnce","ReadWriteMany")");
  EXPECT_EQ(volume("large"), "Available");
  add_claim("c", "4Gi");
  EXPECT_EQ(claim("c"), "Bound fitting: Bound");
  const auto& typed = server.find(persistent_volume_claims, "x", "c").as<PersistentVolumeClaim>();
  EXPECT_EQ(typed.status.capacity.at("storage"), "5Gi");
  EXPECT_EQ(typed.status.accessModes, std::vector<std::string>{"ReadWriteOnce"});
  EXPECT_EQ(server.find(persistent_volumes, "", "fitting").as<PersistentVolume>().spec.claimRef->uid, "u-c");
  EXPECT_EQ(server.find(persistent_volumes, "", "fitting").meta().annotation(bound_by_controller), "yes");
  EXPECT_EQ(server.find(persistent_volume_claims, "x", "c").meta().annotation(bind_completed), "yes");
}

TEST_F(VolumesTest, WhatDoesNotFitIsNotTaken) {
  struct Row {
    std::string volume, volume_meta, modes, claim;
    bool bound;
  };
  const std::string once = R"("ReadWriteOnce")";
  const Row rows[] = {
      {"", "", once, "", true},
      {"", "", R"("ReadOnlyMany")", "", false},
      {R"(,"storageClassName":"fast")", "", once, "", false},
      {R"(,"storageClassName":"fast")", "", once, R"(,"storageClassName":"fast")", true},
      {"", "", once, R"(,"storageClassName":"")", true},
      {R"(,"volumeMode":"Block")", "", once, "", false},
      {R"(,"volumeMode":"Filesystem")", "", once, "", true},
      {"", R"(,"labels":{"disk":"ssd"})", once, R"(,"selector":{"matchLabels":{"disk":"ssd"}})", true},
      {"", R"(,"labels":{"disk":"hdd"})", once, R"(,"selector":{"matchLabels":{"disk":"ssd"}})", false},
      {R"(,"claimRef":{"namespace":"x","name":"other"})", "", once, "", false},
      {R"(,"volumeAttributesClassName":"gold")", "", once, "", false},
      {R"(,"volumeAttributesClassName":"gold")", "", once, R"(,"volumeAttributesClassName":"silver")", false},
      {R"(,"volumeAttributesClassName":"gold")", "", once, R"(,"volumeAttributesClassName":"gold")", true},
      {"", "", once, R"(,"volumeAttributesClassName":"")", true},
      {R"(,"claimRef":{"namespace":"x","name":"c"})", "", once, R"(,"selector":{"matchLabels":{"disk":"ssd"}})", true},
      {R"(,"claimRef":{"namespace":"x","name":"c","uid":"another"})", "", once, "", false},
  };
  begin();
  for (const Row& row : rows) {
    add_volume("v", "5Gi", row.volume, row.volume_meta, row.modes);
    add_claim("c", "5Gi", row.claim);
    EXPECT_EQ(claim("c").starts_with("Bound v"), row.bound) << row.volume << row.volume_meta << row.modes << row.claim;
    for (const auto& [resource, ns, name] : {std::tuple(persistent_volume_claims, "x", "c"), std::tuple(persistent_volumes, "", "v")}) {
      server.merge(resource, ns, name, R"({"metadata":{"finalizers":null}})");
      server.erase(resource, ns, name);
    }
    executor.run();
    if (server.find(persistent_volumes, "", "v")) server.merge(persistent_volumes, "", "v", R"({"metadata":{"finalizers":null}})");
    executor.run();
  }
}

TEST_F(VolumesTest, AClaimThatNamesItsVolumeGetsThatOneOrNone) {
  begin();
  add_volume("v", "1Gi", R"(,"storageClassName":"slow")");
  add_claim("large", "2Gi", R"(,"volumeName":"v","storageClassName":"slow")");
  EXPECT_EQ(claim("large"), "Pending v: Available");
  EXPECT_TRUE(told("VolumeMismatch", "requested PV is too small"));
  add_claim("missing", "1Gi", R"(,"volumeName":"later","storageClassName":"")");
  EXPECT_EQ(claim("missing"), "Pending later: gone");
  add_volume("later", "1Gi");
  EXPECT_EQ(claim("missing"), "Bound later: Bound");
  add_claim("late", "1Gi", R"(,"volumeName":"later")");
  EXPECT_EQ(claim("late"), "Pending later: Bound");
  EXPECT_TRUE(told("FailedBinding", "already bound to a different claim."));
}

TEST_F(VolumesTest, ManyClaimsNeverShareAVolume) {
  server.answer_late = true;
  begin();
  for (int i = 0; i < 5; ++i) add_volume("v" + std::to_string(i), "1Gi");
  server.hold_watches(true);
  for (int i = 0; i < 8; ++i) add_claim("c" + std::to_string(i), "1Gi");
  server.hold_watches(false);
  executor.advance(1min);
  std::set<std::string> taken;
  int bound = 0;
  for (int i = 0; i < 8; ++i) {
    const std::string state = claim("c" + std::to_string(i));
    if (state.starts_with("Bound")) ++bound, taken.insert(state);
  }
  EXPECT_EQ(bound, 5);
  EXPECT_EQ(taken.size(), 5u);
}

TEST_F(VolumesTest, WaitingForAConsumerAndForAProvisioner) {
  add_class("late", "WaitForFirstConsumer");
  add_class("soon", "Immediate");
  begin();
  add_volume("v", "1Gi", R"(,"storageClassName":"late")");
  add_claim("c", "1Gi", R"(,"storageClassName":"late")");
  EXPECT_EQ(claim("c"), "Pending ") << "the scheduler has not chosen a node yet";
  EXPECT_TRUE(told("WaitForFirstConsumer"));
  server.merge(persistent_volume_claims, "x", "c", R"({"metadata":{"annotations":{"volume.kubernetes.io/selected-node":"n"}}})");
  executor.run();
  EXPECT_EQ(server.find(persistent_volume_claims, "x", "c").meta().annotation(storage_provisioner), "example.com/disk");
  EXPECT_TRUE(told("ExternalProvisioning", "external provisioner 'example.com/disk'"));
  add_claim("s", "1Gi", R"(,"storageClassName":"soon")");
  EXPECT_EQ(server.find(persistent_volume_claims, "x", "s").meta().annotation(storage_provisioner), "example.com/disk");
  add_claim("none", "1Gi", R"(,"storageClassName":"nothing")");
  EXPECT_TRUE(told("ProvisioningFailed", "not found"));
  add_claim("plain", "1Gi");
  EXPECT_TRUE(told("FailedBinding", "no storage class is set"));
  // A default class that comes later is given to who has none.
  server.merge(storage_classes, "", "soon", R"({"metadata":{"annotations":{"storageclass.kubernetes.io/is-default-class":"true"}}})");
  executor.run();
  EXPECT_EQ(*server.find(persistent_volume_claims, "x", "plain").as<PersistentVolumeClaim>().spec.storageClassName, "soon");
}

TEST_F(VolumesTest, WhatIsUsedIsNotDeletedAndWhatIsReleasedIsReclaimed) {
  begin();
  add_volume("kept", "1Gi");
  add_claim("c", "1Gi");
  add_pod("p", "c", "n");
  server.erase(persistent_volume_claims, "x", "c");
  server.erase(persistent_volumes, "", "kept");
  executor.run();
  EXPECT_EQ(claim("c"), "Bound kept: Bound") << "both are used";
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  executor.run();
  EXPECT_EQ(claim("c"), "gone");
  EXPECT_EQ(volume("kept"), "gone") << "its deletion had been asked for";

  add_volume("kept", "1Gi");
  add_claim("c", "1Gi");
  add_pod("waits", "c", "");  // has no node: mounts nothing
  server.erase(persistent_volume_claims, "x", "c");
  executor.run();
  EXPECT_EQ(claim("c"), "gone");
  EXPECT_EQ(volume("kept"), "Released");
  add_claim("another", "1Gi");
  EXPECT_EQ(claim("another"), "Pending ") << "what was somebody's is given to nobody else";

  server.erase(persistent_volume_claims, "x", "another");
  add_volume("manual", "2Gi");
  server.merge(persistent_volumes, "", "manual", R"({"spec":{"persistentVolumeReclaimPolicy":"Delete"}})");
  add_claim("d", "2Gi");
  server.erase(persistent_volume_claims, "x", "d");
  executor.run();
  EXPECT_EQ(volume("manual"), "Failed");
  EXPECT_TRUE(told("VolumeFailedDelete", "no deletable volume plugin matched"));
}

TEST_F(VolumesTest, AClaimIsToldTheAttributesClassOfItsVolumeOnce) {
  const auto current = [&] {
    return server.find(persistent_volume_claims, "x", "c").as<PersistentVolumeClaim>().status.currentVolumeAttributesClassName;
  };
  begin();
  add_volume("v", "1Gi", R"(,"volumeAttributesClassName":"gold")");
  add_claim("c", "1Gi", R"(,"volumeAttributesClassName":"gold")");
  EXPECT_EQ(claim("c"), "Bound v: Bound");
  EXPECT_EQ(current(), "gold");
  // From then on it is the resizer's.
  server.merge(persistent_volume_claims, "x", "c", R"({"spec":{"volumeAttributesClassName":"silver"}})");
  server.merge(persistent_volumes, "", "v", R"({"spec":{"volumeAttributesClassName":"silver"}})");
  executor.run();
  EXPECT_EQ(current(), "gold");
  server.merge(persistent_volumes, "", "v", R"({"metadata":{"finalizers":null}})");
  server.erase(persistent_volumes, "", "v");
  executor.run();
  EXPECT_EQ(claim("c"), "Lost v: gone");
  EXPECT_EQ(current(), "");
}

TEST_F(VolumesTest, AttributesClassesStayWhileTheyAreNamed) {
  start({make_attributes_class_protection});
  const auto is_there = [&](const std::string& name) { return bool(server.find(volume_attributes_classes, "", name)); };
  const auto forget = [&](client::Resource resource, std::string_view ns, std::string_view name) {
    server.erase(resource, ns, name);
    executor.run();
  };
  for (const std::string name : {"asked", "has", "target", "volume", "free"})
    server.add(volume_attributes_classes, "",
               R"({"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttributesClass","metadata":{"name":")" + name +
                   R"("},"driverName":"d.io","parameters":{"a":"b"}})");
  add_volume("v", "1Gi", R"(,"volumeAttributesClassName":"volume")");
  add_claim("c", "1Gi", R"(,"volumeAttributesClassName":"asked")");
  server.merge(persistent_volume_claims, "x", "c",
               R"({"status":{"currentVolumeAttributesClassName":"has","modifyVolumeStatus":{"targetVolumeAttributesClassName":"target",)"
               R"("status":"InProgress"}}})",
               "status");
  executor.run();
  EXPECT_EQ(server.find(volume_attributes_classes, "", "free").meta().finalizers, std::vector<std::string>{"kubernetes.io/vac-protection"});
  for (const std::string name : {"asked", "has", "target", "volume", "free"}) {
    forget(volume_attributes_classes, "", name);
    EXPECT_EQ(is_there(name), name != "free") << name;
  }
  server.merge(persistent_volume_claims, "x", "c", R"({"status":{"currentVolumeAttributesClassName":"asked","modifyVolumeStatus":null}})",
               "status");
  executor.run();
  EXPECT_FALSE(is_there("has"));
  EXPECT_FALSE(is_there("target"));
  forget(persistent_volume_claims, "x", "c");
  EXPECT_FALSE(is_there("asked"));
  EXPECT_TRUE(is_there("volume"));
  forget(persistent_volumes, "", "v");
  EXPECT_FALSE(is_there("volume"));
}

TEST_F(VolumesTest, ABoundClaimWhoseVolumeIsGoneIsLost) {
  begin();
  add_volume("v", "1Gi");
  add_claim("c", "1Gi");
  server.merge(persistent_volumes, "", "v", R"({"metadata":{"finalizers":null}})");
  server.erase(persistent_volumes, "", "v");
  executor.run();
  if (server.find(persistent_volumes, "", "v")) server.merge(persistent_volumes, "", "v", R"({"metadata":{"finalizers":null}})");
  executor.run();
  EXPECT_EQ(claim("c"), "Lost v: gone");
  EXPECT_TRUE(told("ClaimLost"));
}

TEST_F(VolumesTest, LocalVolumesAreMadeOnTheNodeOfTheFirstPodAndGoWithTheClaim) {
  server.add(client::nodes, "", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n","labels":{"kubernetes.io/hostname":"host"}}})");
  start({make_volume_binder, make_claim_protection, make_volume_protection, make_local_provisioner});
  const ObjectRef standard = server.find(storage_classes, "", "local-path");
  ASSERT_TRUE(standard);
  EXPECT_EQ(standard.meta().annotation("storageclass.kubernetes.io/is-default-class"), "true");
  add_claim("c", "1Gi", R"(,"storageClassName":"local-path")");
  EXPECT_EQ(claim("c"), "Pending ");
  add_pod("p", "c", "n");
  EXPECT_EQ(claim("c"), "Bound pvc-u-c: Bound");
  const ObjectRef made = server.find(persistent_volumes, "", "pvc-u-c");
  EXPECT_EQ(made.as<PersistentVolume>().spec.csi->volumeAttributes.at("node"), "n");
  EXPECT_EQ(made.as<PersistentVolume>().spec.nodeAffinity->required->nodeSelectorTerms[0].matchExpressions[0].values[0], "host");
  EXPECT_EQ(made.as<PersistentVolume>().spec.persistentVolumeReclaimPolicy, "Delete");
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  server.erase(persistent_volume_claims, "x", "c");
  executor.run();
  EXPECT_EQ(claim("c"), "gone");
  ASSERT_EQ(volume("pvc-u-c"), "Released") << "its node has not let go of it";
  EXPECT_FALSE(server.find(persistent_volumes, "", "pvc-u-c").meta().deletion_timestamp.empty());
  EXPECT_EQ(server.find(persistent_volumes, "", "pvc-u-c").meta().finalizers,
            std::vector<std::string>{std::string(model::local_finalizer)});
}

TEST_F(VolumesTest, LocalVolumesOnANodeThatIsNotThereAreSelectedAgain) {
  start({make_volume_binder, make_local_provisioner});
  add_claim("c", "1Gi", R"(,"storageClassName":"local-path")", R"(,"annotations":{"volume.kubernetes.io/selected-node":"gone"})");
  EXPECT_EQ(server.find(persistent_volume_claims, "x", "c").meta().annotation(selected_node), "");
  EXPECT_TRUE(server.all(persistent_volumes).empty());
}

TEST_F(VolumesTest, APodThatOutlivesItsNodeMakesNobodyChooseThatNode) {
  start({make_local_provisioner});
  add_claim("c", "1Gi", R"(,"storageClassName":"local-path")");
  add_pod("p", "c", "gone");
  executor.advance(1min);
  EXPECT_EQ(server.find(persistent_volume_claims, "x", "c").meta().annotation(selected_node), "");
  EXPECT_EQ(server.calls["patch persistentvolumeclaims"], 0);
}

TEST_F(VolumesTest, EphemeralClaimsAreThePods) {
  start({make_ephemeral_volume_controller});
  add_claim("p-taken", "1Gi");
  server.add(
      client::pods, "x",
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","uid":"u-p"},"spec":{"containers":[],"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"metadata":{"labels":{"a":"b"}},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}}},{"name":"taken","ephemeral":{"volumeClaimTemplate":{"spec":{}}}}]}})");
  executor.run();
  const ObjectRef made = server.find(persistent_volume_claims, "x", "p-v");
  ASSERT_TRUE(made);
  EXPECT_EQ(made.meta().controller()->uid, "u-p");
  EXPECT_EQ(made.meta().label("a"), "b");
  EXPECT_EQ(made.as<PersistentVolumeClaim>().spec.accessModes, std::vector<std::string>{"ReadWriteOnce"});
  EXPECT_TRUE(server.find(persistent_volume_claims, "x", "p-taken").meta().owners.empty()) << "another's claim was taken";
  server.erase(persistent_volume_claims, "x", "p-v");
  executor.run();
  EXPECT_TRUE(server.find(persistent_volume_claims, "x", "p-v")) << "the pod still needs it";
}

// A pod that is deleted in the foreground waits for the claims that it owns; they must not wait for it in turn.
TEST_F(VolumesTest, AClaimDoesNotWaitForItsOwnerThatIsShutDown) {
  begin();
  server.add(
      client::pods, "x",
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","uid":"u-p","finalizers":["foregroundDeletion"]},"spec":{"nodeName":"n","containers":[],)"
      R"("volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"own"}},{"name":"w","persistentVolumeClaim":{"claimName":"other"}}]}})");
  add_claim("own", "1Gi", "", R"(,"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u-p","blockOwnerDeletion":true}])");
  add_claim("other", "1Gi");
  server.erase(client::pods, "x", "p", {.grace_seconds = 30});
  for (const char* name : {"own", "other"}) server.erase(persistent_volume_claims, "x", name);
  executor.run();
  EXPECT_NE(claim("own"), "gone") << "its containers may still run";
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  executor.run();
  ASSERT_TRUE(server.find(client::pods, "x", "p")) << "held by its finalizer";
  EXPECT_EQ(claim("own"), "gone");
  EXPECT_NE(claim("other"), "gone");
}

}  // namespace
}  // namespace estiba::controllers
