// Containers' lives on a real engine, in namespaces of the test's own. This program is the shim as well.
#include "docker/lives.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/events.h"
#include "docker/filters.h"
#include "engine/engine.h"
#include "engine/test_support.h"
#include "network/bridge/networks.h"
#include "runtime/shim.h"

namespace estiba::docker {
namespace {

__attribute__((constructor)) void be_shim(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "shim") {
    ::signal(SIGPIPE, SIG_IGN);
    _exit(runtime::shim_main(argc - 2, argv + 2));
  }
}

/// A daemon with an image; offers requests as clients make them.
class Bench {
 public:
  Bench() {
    static const bool moved = [] {
      EXPECT_EQ(::unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
      EXPECT_EQ(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
      return true;
    }();
    (void)moved;
    options.data_dir = dir / "data";
    options.run_dir = dir / "run";
    options.oci_program = "/proc/self/exe";
    auto store = image::Store::open(options.data_dir);
    EXPECT_TRUE(store);
    EXPECT_TRUE(os::write_file(dir / "rootfs.tar", engine::busybox_tar(), O_CREAT));
    auto imported = image::import_image(**store, dir / "rootfs.tar", {.name = "box:1", .env = {"FROM=image"}, .cmd = {"sleep", "1000"}});
    EXPECT_TRUE(imported) << imported.error().message;
  }

  void run(Task<void> (*test)(Bench&)) {
    loop = std::make_unique<io::Loop>();
    loop->block_on(whole(this, test));
    loop.reset();
    const std::string mounts = os::read_file("/proc/self/mounts").value_or("");
    EXPECT_EQ(mounts.find(dir.path() + "/run/pods"), std::string::npos) << mounts;
    EXPECT_EQ(mounts.find(dir.path() + "/data"), std::string::npos) << mounts;
    EXPECT_EQ(os::list_dir(dir / "data/containers").value_or(std::vector<os::DirEntry>()).size(), 0u);
    EXPECT_EQ(os::list_dir(dir / "data/docker/containers").value_or(std::vector<os::DirEntry>()).size(), 0u);
  }

  Task<void> start() {
    daemon = std::make_unique<Daemon>(options, *loop);
    auto started = co_await daemon->start();
    EXPECT_TRUE(started) << started.error().message;
  }
  Task<void> stop() {
    co_await daemon->stop();
    daemon.reset();
  }

  struct Answer {
    int status = 0;
    std::string text;
    json::Document body;
  };
  Task<Answer> ask(std::string method, std::string target, std::string text = {}) {
    io::Request request(std::move(method), std::move(target), std::move(text));
    io::Response response;
    co_await router.serve(*daemon, request, response);
    Answer out{response.status(), response.body().text(), {}};
    if (auto parsed = json::Document::parse(out.text.empty() ? "null" : out.text)) out.body = std::move(*parsed);
    co_return out;
  }
  /// Creates and starts; the name.
  Task<ContainerRef> started(std::string name, std::string body) {
    auto made = co_await ask("POST", "/containers/create?name=" + name, std::move(body));
    EXPECT_EQ(made.status, 201) << made.text;
    auto up = co_await ask("POST", "/containers/" + name + "/start");
    EXPECT_EQ(up.status, 204) << up.text;
    co_return *daemon->containers().find(name);
  }
  template <class F>
  Task<bool> until(ContainerRef c, F holds) {
    const Instant limit = loop->now() + std::chrono::seconds(60);
    while (!holds(*c)) {
      c->changed.reset();
      if (!co_await c->changed.wait_until(limit)) {
        ADD_FAILURE() << "waited in vain for container " << c->name << ", which is " << to_string(c->status);
        co_return false;
      }
    }
    co_return true;
  }
  std::vector<std::string> actions(std::string_view id) {
    std::vector<std::string> out;
    for (const auto& event : daemon->events().past(WallTime{}, WallTime::max()))
      if (event->type == "container" && event->id == id) out.push_back(event->action);
    return out;
  }

  image::TemporaryDirectory dir;
  DaemonOptions options;
  Router router = make_router();
  std::unique_ptr<io::Loop> loop;
  std::unique_ptr<Daemon> daemon;

 private:
  static Task<void> whole(Bench* bench, Task<void> (*test)(Bench&)) {
    co_await bench->start();
    co_await test(*bench);
    for (const auto& c : bench->daemon->containers().all()) {
      auto removed = co_await bench->daemon->lives().remove(c, true, true);
      EXPECT_TRUE(removed) << removed.error().message;
    }
    co_await bench->stop();
  }
};

#define LIVES_TEST(name)                   \
  Task<void> name(Bench& bench);           \
  TEST(Lives, name) { Bench().run(name); } \
  Task<void> name(Bench& bench)

LIVES_TEST(FromCreationToRemoval) {
  ContainerRef c = co_await bench.started("web", R"({"Image":"box:1","Volumes":{"/data":{}},"Labels":{"a":"b"}})");
  EXPECT_EQ(c->status, Status::running);
  EXPECT_GT(c->pid, 0);
  auto seen = co_await bench.ask("GET", "/containers/web/json?size=1");
  EXPECT_EQ(seen.status, 200);
  EXPECT_EQ(seen.body.root().string_at("State", "Status"), "running");
  EXPECT_FALSE(seen.body.root().string_at("NetworkSettings", "IPAddress").empty()) << seen.text;
  EXPECT_EQ(seen.body.root().string_at("Mounts"), "");
  EXPECT_EQ(seen.body.root().find("Mounts")->size(), 1u);
  auto list = co_await bench.ask("GET", "/containers/json");
  EXPECT_EQ(list.body.root().size(), 1u) << list.text;
  EXPECT_EQ((co_await bench.ask("GET", "/containers/json")).text, list.text);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/web/start")).status, 304);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/web/pause")).status, 204);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/web/start")).status, 409);
  EXPECT_EQ((co_await bench.ask("DELETE", "/containers/web")).status, 409);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/web/unpause")).status, 204);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/web/rename?name=other")).status, 204);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/other/stop?t=0")).status, 204);
  EXPECT_EQ(c->exit_code, 137);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/other/stop")).status, 304);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/other/kill")).status, 409);
  EXPECT_EQ((co_await bench.ask("GET", "/containers/json")).text, "[]\n");
  EXPECT_EQ((co_await bench.ask("DELETE", "/containers/other?v=1")).status, 204);
  EXPECT_EQ((co_await bench.ask("GET", "/containers/other/json")).status, 404);
  EXPECT_EQ(bench.actions(c->id),
            (std::vector<std::string>{"create", "start", "pause", "unpause", "rename", "kill", "kill", "die", "stop", "destroy"}));
}

LIVES_TEST(AStartThatFailsTellsWhyAndLeavesNothing) {
  auto made = co_await bench.ask("POST", "/containers/create?name=bad", R"({"Image":"box:1","Cmd":["no-such-program"]})");
  EXPECT_EQ(made.status, 201);
  auto answer = co_await bench.ask("POST", "/containers/bad/start");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.text.find("executable file not found in $PATH"), std::string::npos) << answer.text;
  ContainerRef c = *bench.daemon->containers().find("bad");
  EXPECT_EQ(c->exit_code, 127);
  EXPECT_EQ(c->status, Status::created);
  EXPECT_TRUE(bench.daemon->engine().sandboxes().empty());
  EXPECT_FALSE(bench.daemon->networks().sandbox(c->id));
}

LIVES_TEST(PoliciesRestartAsOftenAsTheySay) {
  ContainerRef c = co_await bench.started(
      "again",
      R"({"Image":"box:1","Cmd":["sh","-c","exit 3"],"HostConfig":{"NetworkMode":"none","RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}})");
  EXPECT_TRUE(co_await bench.until(c, [](const Container& c) { return c.status == Status::exited && c.restart_count == 2; }));
  EXPECT_EQ(c->exits, 3u);
  EXPECT_EQ(c->exit_code, 3);
}

LIVES_TEST(WhatIsStoppedWhileItWaitsForItsRestartStaysStopped) {
  ContainerRef c = co_await bench.started(
      "again", R"({"Image":"box:1","Cmd":["false"],"HostConfig":{"NetworkMode":"none","RestartPolicy":{"Name":"always"}}})");
  EXPECT_TRUE(co_await bench.until(c, [](const Container& c) { return c.status == Status::restarting; }));
  EXPECT_EQ((co_await bench.ask("POST", "/containers/again/stop?t=0")).status, 204);
  EXPECT_EQ(c->status, Status::exited);
}

LIVES_TEST(AutoRemovedOnesGoWithTheirVolumes) {
  ContainerRef c =
      co_await bench.started("brief", R"({"Image":"box:1","Cmd":["true"],"Volumes":{"/data":{}},"HostConfig":{"AutoRemove":true}})");
  EXPECT_TRUE(co_await bench.until(c, [](const Container& c) { return c.removed; }));
  while (bench.daemon->containers().size() > 0) co_await sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(os::list_dir(bench.dir / "data/volumes").value_or(std::vector<os::DirEntry>()).size(), 0u);
}

LIVES_TEST(AnUnhealthyOneIsRestartedByItsPolicy) {
  ContainerRef c = co_await bench.started(
      "sick",
      R"({"Image":"box:1","StopTimeout":0,"HostConfig":{"NetworkMode":"none","RestartPolicy":{"Name":"on-unhealthy","MaximumRetryCount":1}},
                  "Healthcheck":{"Test":["CMD","false"],"Interval":20000000,"Retries":2}})");
  EXPECT_TRUE(co_await bench.until(c, [](const Container& c) { return c.generation == 2 && c.restart_count == 1; }));
  EXPECT_TRUE(co_await bench.until(c, [](const Container& c) { return c.health && c.health->status == "unhealthy"; }));
  EXPECT_EQ(c->generation, 2u);
}

LIVES_TEST(AnotherDaemonFindsThemAgain) {
  ContainerRef up = co_await bench.started("up", R"({"Image":"box:1"})");
  ContainerRef down = co_await bench.started("down", R"({"Image":"box:1","Cmd":["sh","-c","exit 6"]})");
  EXPECT_TRUE(co_await bench.until(down, [](const Container& c) { return c.status == Status::exited; }));
  const int pid = up->pid;
  const std::string id = up->id;
  up.reset();
  down.reset();
  co_await bench.stop();
  co_await bench.start();
  up = *bench.daemon->containers().find("up");
  down = *bench.daemon->containers().find("down");
  EXPECT_EQ(up->status, Status::running);
  EXPECT_EQ(up->pid, pid);
  EXPECT_TRUE(bench.daemon->networks().sandbox(id));
  EXPECT_EQ(down->status, Status::exited);
  EXPECT_EQ(down->exit_code, 6);
  EXPECT_EQ((co_await bench.ask("POST", "/containers/up/stop?t=0")).status, 204);
}

LIVES_TEST(ManyAtOnce) {
  TaskGroup group;
  for (int i = 0; i < 8; ++i)
    group.start([](Bench* bench, int i) -> Task<void> {
      const std::string name = "many" + std::to_string(i);
      ContainerRef c = co_await bench->started(name, R"({"Image":"box:1","HostConfig":{"NetworkMode":"none"}})");
      // What two clients want at a time happens one after the other.
      TaskGroup both;
      for (const char* what : {"/stop?t=0", "/restart?t=0"})
        both.start([](Bench* bench, std::string target) -> Task<void> { co_await bench->ask("POST", target); }(
                                                            bench, "/containers/" + name + what));
      co_await both.join();
      auto removed = co_await bench->ask("DELETE", "/containers/" + name + "?force=1");
      EXPECT_EQ(removed.status, 204) << removed.text;
    }(&bench, i));
  co_await group.join();
  EXPECT_EQ(bench.daemon->containers().size(), 0u);
}

}  // namespace
}  // namespace estiba::docker
