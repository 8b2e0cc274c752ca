#include "node/pod_worker.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "client/testing/fake_client.h"
#include "io/loop.h"
#include "node/testing/fake_engine.h"

namespace estiba::node {
namespace {

using namespace std::chrono_literals;
using engine::ContainerState;

struct PodWorkerTest : testing::Test {
  std::string dir = testing::TempDir() + "estiba-pod-worker-" + std::to_string(getpid());
  io::Loop loop;
  client::testing::FakeClient client{loop};
  FakeEngine engine;
  io::Pool pool{1};
  client::Informers informers{client};
  client::EventRecorder events{client, loop, "kubelet", "n"};
  network::Network network{{}, client, loop};
  Context context{options(), loop, client, informers, engine, network, pool, events};
  std::unique_ptr<PodWorker> worker;

  Options options() {
    Options made;
    made.node_name = "n";
    made.node_ips = {"192.0.2.1"};
    made.data_dir = dir + "/data";
    made.run_dir = dir + "/run";
    made.log_root = dir + "/logs";
    made.log_links = dir + "/links";
    return made;
  }
  ~PodWorkerTest() override {
    worker.reset();
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }
  // `spec` and `status` are what comes after the usual fields of each.
  model::ObjectRef add(const std::string& spec = "", const std::string& status = "{}", const std::string& pull = "IfNotPresent") {
    auto pod = client.add(
        client::pods, "default",
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"default"},"spec":{"nodeName":"n","hostNetwork":true,)" +
            spec + R"("containers":[{"name":"web","image":"img","imagePullPolicy":")" + pull + R"("}]}})");
    return client.merge(client::pods, "default", "p", R"({"status":)" + status + "}", "status");
  }
  void start(const model::ObjectRef& pod) {
    loop.post([this, pod] { worker = std::make_unique<PodWorker>(context, pod, [] {}); });
    turn();
  }
  void turn() {
    (void)loop.block_on([]() -> Task<int> {
      co_await sleep_for(50ms);
      co_return 0;
    }());
  }
  model::core_v1::PodStatus status() { return worker->status(); }
};

TEST_F(PodWorkerTest, StartsAContainer) {
  start(add(R"("restartPolicy":"Always",)"));
  EXPECT_EQ(engine.started, 1);
  EXPECT_EQ(status().phase, "Running");
}

TEST_F(PodWorkerTest, AnImageThatIsAlwaysPulledIsPulledOnceForEachStart) {
  start(add(R"("restartPolicy":"Always",)", "{}", "Always"));
  ASSERT_EQ(engine.started, 1);
  EXPECT_EQ(engine.pulls, 1);
  engine.pod->containers[0].state = ContainerState::exited;
  worker->engine_event({engine::Event::Type::container_exited, worker->uid(), "web-0"});
  turn();
  EXPECT_EQ(engine.started, 2);
  EXPECT_EQ(engine.pulls, 2);
}

TEST_F(PodWorkerTest, AContainerThatAnEarlierServerMadeAndNeverStartedIsNoRestart) {
  auto pod = add();
  engine.have_sandbox(pod.meta().uid);
  engine.add("web", 0, ContainerState::created);
  start(pod);
  EXPECT_EQ(engine.started, 1);
  EXPECT_EQ(status().containerStatuses[0].restartCount, 0);
  EXPECT_FALSE(status().containerStatuses[0].lastState && status().containerStatuses[0].lastState->terminated);
  EXPECT_EQ(engine.pod->containers.size(), 1u);
}

TEST_F(PodWorkerTest, APodThatSucceededInTimeDoesNotFailByItsDeadlineAfterwards) {
  auto pod = add(R"("restartPolicy":"Never","activeDeadlineSeconds":5,)", R"({"phase":"Succeeded","startTime":"2020-01-01T00:00:00Z"})");
  engine.have_sandbox(pod.meta().uid);
  engine.add("web", 0, ContainerState::exited);
  start(pod);
  EXPECT_EQ(status().phase, "Succeeded");
  EXPECT_EQ(status().reason, "");
}

TEST_F(PodWorkerTest, AFailedPodGetsNoReasonByARestartOfTheServer) {
  auto pod = add(R"("restartPolicy":"Never",)", R"({"phase":"Failed"})");
  engine.have_sandbox(pod.meta().uid);
  engine.add("web", 0, ContainerState::exited, 1);
  start(pod);
  EXPECT_EQ(status().phase, "Failed");
  EXPECT_EQ(status().reason, "");
}

TEST_F(PodWorkerTest, APodDeletedWhileItsSandboxIsMadeStartsNothingAndLeavesNothing) {
  auto pod = add(R"("restartPolicy":"Always",)");
  engine.images_at_once = true;
  engine.while_making_sandbox = [&] {
    client.erase(client::pods, "default", "p", {.grace_seconds = 30});
    worker->update(client.find(client::pods, "default", "p"));
  };
  start(pod);
  for (int i = 0; i < 100 && !worker->finished(); i++) turn();  // files are removed on the pool, which may be slow
  EXPECT_EQ(engine.started, 0);
  EXPECT_FALSE(engine.pod);
  EXPECT_TRUE(worker->finished());
  EXPECT_FALSE(client.find(client::pods, "default", "p"));
}

constexpr const char* ran =
    R"({"phase":"Running","containerStatuses":[{"name":"web","image":"img","imageID":"","ready":true,"restartCount":2,
  "containerID":"estiba://web-2","state":{"running":{"startedAt":"2020-01-01T00:00:00Z"}}}]})";

TEST_F(PodWorkerTest, AfterARebootContainersStartAsRestarts) {
  start(add(R"("restartPolicy":"Always",)", ran));
  EXPECT_EQ(engine.started, 1);
  EXPECT_EQ(status().containerStatuses[0].restartCount, 3);
}

TEST_F(PodWorkerTest, AfterARebootAPodThatNeverRestartsHasFailed) {
  start(add(R"("restartPolicy":"Never",)", ran));
  EXPECT_EQ(engine.started, 0);
  EXPECT_EQ(status().phase, "Failed");
  EXPECT_EQ(status().containerStatuses[0].state->terminated->reason, "ContainerStatusUnknown");
}

TEST_F(PodWorkerTest, APodWhoseUserNamespaceCannotBeMadeIsNotStartedAndSaysWhy) {
  start(add(R"("restartPolicy":"Always","hostUsers":false,)"));
  EXPECT_EQ(engine.started, 0);
  EXPECT_FALSE(engine.pod);
  EXPECT_EQ(status().phase, "Pending");
  const auto waiting = *status().containerStatuses[0].state->waiting;
  EXPECT_EQ(waiting.reason, "CreatePodSandboxError");
  EXPECT_NE(waiting.message.find("spec.hostUsers"), std::string::npos) << waiting.message;
}

TEST_F(PodWorkerTest, ANewImageIsPulledBeforeItReplacesTheOldOne) {
  start(add(R"("restartPolicy":"Always",)"));
  ASSERT_EQ(engine.started, 1);
  worker->update(
      client.merge(client::pods, "default", "p", R"({"spec":{"containers":[{"name":"web","image":"img2","imagePullPolicy":"Always"}]}})"));
  turn();
  EXPECT_EQ(engine.pulls, 1);
  EXPECT_EQ(engine.started, 2);
}

constexpr const char* restarts_all =
    R"({"spec":{"restartPolicy":"Never","initContainers":[{"name":"init","image":"img"}],"containers":[{"name":"web","image":"img","restartPolicy":"Never",
  "restartPolicyRules":[{"action":"RestartAllContainers","exitCodes":{"operator":"In","values":[88]}}]},{"name":"beside","image":"img"}]}})";

TEST_F(PodWorkerTest, AnExitThatRestartsAllBeginsAgainWithTheInitContainers) {
  add();
  auto pod = client.merge(client::pods, "default", "p", restarts_all);
  engine.have_sandbox(pod.meta().uid);
  engine.add("init", 0, ContainerState::exited);
  engine.add("beside", 0, ContainerState::running);
  engine.add("web", 0, ContainerState::exited, 88);
  start(pod);
  // All are gone but the init container, which runs again.
  ASSERT_EQ(engine.pod->containers.size(), 1u);
  EXPECT_EQ(engine.pod->containers[0].id, "init-1");
  EXPECT_EQ(status().phase, "Pending");
  engine.pod->containers[0].state = ContainerState::exited;
  worker->engine_event({engine::Event::Type::container_exited, worker->uid(), "init-1"});
  turn();
  const auto now = status();
  EXPECT_EQ(now.phase, "Running");
  for (const auto& container : now.containerStatuses) {
    EXPECT_EQ(container.restartCount, 1) << container.name;
    EXPECT_TRUE(container.state->running) << container.name;
    EXPECT_EQ(container.lastState->terminated->reason, "RestartingAllContainers") << container.name;
  }
}

// The one that asked is removed last, so that a server which is killed meanwhile leaves the next one the reason.
TEST_F(PodWorkerTest, ARestartOfAllGoesOnAfterTheServerWasKilled) {
  add("", R"({"phase":"Running","containerStatuses":[
  {"name":"beside","image":"img","imageID":"","ready":false,"restartCount":4,"containerID":"estiba://beside-4","state":{"running":{}}},
  {"name":"web","image":"img","imageID":"","ready":false,"restartCount":0,"containerID":"estiba://web-0","state":{"terminated":{"exitCode":88}}}]})");
  auto pod = client.merge(client::pods, "default", "p", restarts_all);
  engine.have_sandbox(pod.meta().uid);
  engine.add("web", 0, ContainerState::exited, 88);
  start(pod);
  ASSERT_EQ(engine.pod->containers.size(), 1u);
  EXPECT_EQ(engine.pod->containers[0].name, "init");
  engine.pod->containers[0].state = ContainerState::exited;
  worker->engine_event({engine::Event::Type::container_exited, worker->uid(), engine.pod->containers[0].id});
  turn();
  for (const auto& container : status().containerStatuses)
    EXPECT_EQ(container.restartCount, container.name == "web" ? 1 : 5) << container.name;
}

TEST_F(PodWorkerTest, AnExitThatRestartsAllAgainAndAgainIsHeldBack) {
  add();
  auto pod = client.merge(client::pods, "default", "p", restarts_all);
  engine.have_sandbox(pod.meta().uid);
  engine.add("web", 0, ContainerState::exited, 88);
  engine.add("beside", 0, ContainerState::running);
  start(pod);
  engine.pod->containers[0].state = ContainerState::exited;
  worker->engine_event({engine::Event::Type::container_exited, worker->uid(), engine.pod->containers[0].id});
  turn();
  auto* web = engine.find("web-1");
  ASSERT_TRUE(web);
  web->state = ContainerState::exited, web->exit_code = 88;
  worker->engine_event({engine::Event::Type::container_exited, worker->uid(), "web-1"});
  turn();
  EXPECT_EQ(status().containerStatuses[0].state->waiting->reason, "CrashLoopBackOff");
  EXPECT_TRUE(status().containerStatuses[1].state->running);
}

}  // namespace
}  // namespace estiba::node
