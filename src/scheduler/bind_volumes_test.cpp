// The scheduler with claims that wait for a consumer; the test plays binder and provisioner.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "model/types/core_v1.h"
#include "scheduler/scheduler.h"

namespace estiba::scheduler {
namespace {

using namespace std::chrono_literals;

constexpr client::Resource claims{"", "v1", "persistentvolumeclaims"}, volumes{"", "v1", "persistentvolumes"};

std::string quoted(std::string text) {
  std::ranges::replace(text, '\'', '"');
  return text;
}

struct BindVolumesTest : ::testing::Test {
  FakeExecutor executor;
  client::testing::FakeClient server{executor};
  std::unique_ptr<Scheduler> scheduler;

  void SetUp() override {
    server.add(client::nodes, "",
               quoted("{'apiVersion':'v1','kind':'Node','metadata':{'name':'a'},'spec':{},'status':{'allocatable':{'cpu':'4',"
                      "'memory':'64Gi','pods':'110'}}}"));
    server.add({"storage.k8s.io", "v1", "storageclasses"}, "",
               quoted("{'apiVersion':'storage.k8s.io/v1','kind':'StorageClass','metadata':{'name':'s'},'provisioner':'driver',"
                      "'volumeBindingMode':'WaitForFirstConsumer'}"));
    scheduler = std::make_unique<Scheduler>(server, executor);
    scheduler->start();
    executor.run();
  }
  void claim(const std::string& name) {
    server.add(claims, "x",
               quoted("{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'" + name +
                      "'},'spec':{'storageClassName':'s','resources':{'requests':{'storage':'1Gi'}}}}"));
  }
  void volume(const std::string& name) {
    server.add(volumes, "",
               quoted("{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'" + name +
                      "'},'spec':{'storageClassName':'s','capacity':{'storage':'1Gi'}},'status':{'phase':'Available'}}"));
    executor.run();
  }
  void pod(const std::string& name, const std::string& claim) {
    server.add(client::pods, "x",
               quoted("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" + name +
                      "'},'spec':{'containers':[{'name':'c'}],"
                      "'volumes':[{'name':'v','persistentVolumeClaim':{'claimName':'" +
                      claim + "'}}]},'status':{'phase':'Pending'}}"));
    executor.advance(1s);
  }
  std::string where(const std::string& name) { return server.find(client::pods, "x", name).as<model::core_v1::Pod>().spec.nodeName; }
  void bind(const std::string& claim, const std::string& volume) {
    server.merge(claims, "x", claim,
                 quoted("{'metadata':{'annotations':{'pv.kubernetes.io/bind-completed':'yes'}},'spec':{'volumeName':'" + volume + "'}}"));
    executor.advance(1s);
  }
  std::string_view selected(const std::string& claim) {
    static std::string kept;
    kept = server.find(claims, "x", claim).meta().annotation("volume.kubernetes.io/selected-node");
    return kept;
  }
};

TEST_F(BindVolumesTest, TheProvisionerIsToldTheNodeAndThePodWaitsForTheVolume) {
  pod("p", "c");
  EXPECT_EQ(where("p"), "");
  claim("c");
  executor.advance(1s);
  EXPECT_EQ(selected("c"), "a");
  EXPECT_EQ(where("p"), "") << "not before the claim is bound";
  volume("v");
  bind("c", "v");
  EXPECT_EQ(where("p"), "a");
}

TEST_F(BindVolumesTest, AVolumeThatIsThereIsGivenToTheClaimAndToNoOther) {
  volume("v");
  claim("c");
  claim("d");
  pod("p", "c");
  pod("q", "d");
  const auto given = server.find(volumes, "", "v");
  ASSERT_TRUE(given.as<model::core_v1::PersistentVolume>().spec.claimRef);
  EXPECT_EQ(given.as<model::core_v1::PersistentVolume>().spec.claimRef->name, "c");
  EXPECT_EQ(given.as<model::core_v1::PersistentVolume>().spec.claimRef->uid, server.find(claims, "x", "c").meta().uid);
  EXPECT_EQ(given.meta().annotation("pv.kubernetes.io/bound-by-controller"), "yes");
  EXPECT_EQ(selected("c"), "");
  EXPECT_EQ(selected("d"), "a");
  bind("c", "v");
  EXPECT_EQ(where("p") + where("q"), "a");
}

TEST_F(BindVolumesTest, AClaimThatTheProvisionerGivesBackIsTriedAgain) {
  claim("c");
  pod("p", "c");
  EXPECT_EQ(selected("c"), "a");
  server.merge(claims, "x", "c", quoted("{'metadata':{'annotations':{'volume.kubernetes.io/selected-node':null}}}"));
  executor.run();
  bool told = false;
  executor.advance(5s);
  for (const auto& event : server.all(client::events))
    told |= event.as<model::core_v1::Event>().message == "running PreBind plugin \"VolumeBinding\": provisioning failed for PVC \"c\"";
  EXPECT_TRUE(told);
  EXPECT_EQ(selected("c"), "a") << "chosen again";
  volume("v");
  bind("c", "v");
  EXPECT_EQ(where("p"), "a");
}

TEST_F(BindVolumesTest, APodThatGoesMeanwhileHoldsNothing) {
  volume("v");
  claim("c");
  claim("d");
  pod("p", "c");
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  server.merge(volumes, "", "v", quoted("{'spec':{'claimRef':null}}"));
  executor.advance(1s);
  pod("q", "d");
  EXPECT_EQ(server.find(volumes, "", "v").as<model::core_v1::PersistentVolume>().spec.claimRef->name, "d");
  bind("d", "v");
  EXPECT_EQ(where("q"), "a");
  EXPECT_EQ(executor.timers(), 0u);
}

}  // namespace
}  // namespace estiba::scheduler
