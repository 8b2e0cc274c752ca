#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/loop.h"
#include "os/file.h"
#include "os/process.h"
#include "os/pty.h"
#include "os/user_namespace.h"
#include "runtime/shim.h"
#include "runtime/shim_client.h"
#include "runtime/test_bundle.h"

namespace estiba::runtime {
namespace {

using namespace std::chrono_literals;

// This program is the shim as well, when it is called as one.
__attribute__((constructor)) void be_shim(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "shim") {
    signal(SIGPIPE, SIG_IGN);
    _exit(shim_main(argc - 2, argv + 2));
  }
}

#define CO_ASSERT_OK(value)                                     \
  if (!(value)) {                                               \
    ADD_FAILURE() << #value << ": " << (value).error().message; \
    co_return;                                                  \
  }

// One pod, its events kept in order.
struct Pod {
  TestBundle bundle;
  PodOptions options;
  std::unique_ptr<ShimClient> client;
  std::vector<ShimEvent> events;
  Event changed;

  Pod() {
    options.id = "pod1";
    options.dir = bundle.dir + "/run";
    options.shim = "/proc/self/exe";
    options.hostname = "web-0";
    options.cgroup = bundle.group;
  }
  std::string log() const { return bundle.dir + "/logs/0.log"; }
  ContainerOptions container(const std::string& id = "c") const { return {.id = id, .bundle = bundle.dir, .log = {.path = log()}}; }
  void listen() {
    client->on_event([this](const ShimEvent& event) {
      events.push_back(event);
      changed.set();
    });
  }
  Task<ShimEvent> next(ShimEvent::Kind kind) {
    while (true) {
      for (size_t i = 0; i < events.size(); i++) {
        if (events[i].kind != kind) continue;
        ShimEvent found = events[i];
        events.erase(events.begin() + long(i));
        co_return found;
      }
      changed.reset();
      if (!co_await changed.wait_for(10s)) {
        ADD_FAILURE() << "no event";
        co_return ShimEvent{};
      }
    }
  }
  /// The container's text in the log, without CRI's fields.
  std::string logged() const {
    std::string out;
    std::string text = os::read_file(log()).value_or("");
    for (std::string_view line : split(text, '\n')) {
      auto fields = split(line, ' ');
      if (fields.size() > 3) out.append(line.substr(fields[0].size() + fields[1].size() + fields[2].size() + 3)).append("\n");
    }
    return out;
  }
};

Task<std::string> read_to_end(io::Loop* loop, int fd) {
  std::string out;
  char buffer[4096];
  while (true) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) out.append(buffer, size_t(n));
    else if (n < 0 && errno == EAGAIN) co_await loop->readable(fd);
    else break;
  }
  co_return out;
}

void run(Task<void> (*test)(Pod*, io::Loop*)) {
  io::Loop loop;  // outlives the client in the pod
  Pod pod;
  struct Main {
    static Task<void> go(Pod* pod, io::Loop* loop, Task<void> (*test)(Pod*, io::Loop*)) {
      auto launched = co_await ShimClient::launch(pod->options);
      CO_ASSERT_OK(launched);
      pod->client = std::move(*launched);
      pod->listen();
      co_await test(pod, loop);
      if (pod->client) {
        auto down = co_await pod->client->shutdown();
        if (!down) ADD_FAILURE() << down.error().message;
      }
      pod->client.reset();
      EXPECT_FALSE(os::exists(pod->options.dir));
    }
  };
  loop.block_on(Main::go(&pod, &loop, test));
}

TEST(Shim, RunsAContainerAndWritesItsLog) {
  run([](Pod* pod, io::Loop*) -> Task<void> {
    pod->bundle.configure({"sh", "-c", "hostname; echo to-err >&2; exit 3"});
    auto created = co_await pod->client->create_container(pod->container());
    CO_ASSERT_OK(created);
    EXPECT_EQ(created->status, ContainerStatus::created);
    auto started = co_await pod->client->start("c");
    CO_ASSERT_OK(started);
    ShimEvent end = co_await pod->next(ShimEvent::Kind::container_exit);
    EXPECT_EQ(end.exit_code, 3);
    EXPECT_EQ(end.container, "c");
    std::string text = os::read_file(pod->log()).value_or("");
    EXPECT_NE(text.find(" stdout F web-0\n"), std::string::npos) << text;
    EXPECT_NE(text.find(" stderr F to-err\n"), std::string::npos) << text;
    auto removed = co_await pod->client->remove("c");
    CO_ASSERT_OK(removed);
    auto state = co_await pod->client->state();
    CO_ASSERT_OK(state);
    EXPECT_TRUE(state->containers.empty());
  });
}

TEST(Shim, AMissingProgramIsNotFoundAndLeavesNothing) {
  run([](Pod* pod, io::Loop*) -> Task<void> {
    pod->bundle.configure({"no-such-program"});
    auto created = co_await pod->client->create_container(pod->container());
    EXPECT_FALSE(created);
    if (created) co_return;
    EXPECT_EQ(created.error().code, Code::not_found);
    EXPECT_EQ(created.error().message, "exec no-such-program: executable file not found in $PATH");
    auto state = co_await pod->client->state();
    CO_ASSERT_OK(state);
    EXPECT_TRUE(state->containers.empty());
  });
}

TEST(Shim, OutlivesItsClientAndTellsTheNextOneWhatHappened) {
  run([](Pod* pod, io::Loop*) -> Task<void> {
    pod->bundle.configure({"sh", "-c", "sleep 0.2; exit 7"});
    CO_ASSERT_OK(co_await pod->client->create_container(pod->container()));
    CO_ASSERT_OK(co_await pod->client->start("c"));
    pod->client.reset();
    co_await sleep_for(400ms);
    auto again = co_await ShimClient::connect(pod->options.dir);
    CO_ASSERT_OK(again);
    pod->client = std::move(*again);
    auto state = co_await pod->client->state();
    for (int i = 0; i < 100 && state && state->containers.size() == 1 && state->containers[0].status != ContainerStatus::stopped; i++) {
      co_await sleep_for(100ms);  // a slow machine
      state = co_await pod->client->state();
    }
    CO_ASSERT_OK(state);
    EXPECT_EQ(state->containers.size(), 1u);
    EXPECT_EQ(state->containers[0].status, ContainerStatus::stopped);
    EXPECT_EQ(state->containers[0].exit_code, 7);
    auto recorded = read_pod_state(pod->options.dir);
    CO_ASSERT_OK(recorded);
    EXPECT_EQ(recorded->size(), 1u);
    EXPECT_EQ((*recorded)[0].exit_code, 7);
  });
}

TEST(Shim, ExecRunsInTheContainerAndGivesItsStreamsAndExitCode) {
  run([](Pod* pod, io::Loop* loop) -> Task<void> {
    pod->bundle.configure({"sleep", "100"});
    CO_ASSERT_OK(co_await pod->client->create_container(pod->container()));
    CO_ASSERT_OK(co_await pod->client->start("c"));
    auto session = co_await pod->client->exec({.container = "c",
                                               .args = {"sh", "-c", "read x; echo got $x $FOO $(pwd); echo bad >&2; exit 5"},
                                               .env = {"FOO=bar"},
                                               .cwd = "/bin",
                                               .stdin_open = true});
    CO_ASSERT_OK(session);
    EXPECT_TRUE(os::write_all(session->stdin_fd.get(), "hello\n"));
    session->stdin_fd.reset();
    EXPECT_EQ(co_await read_to_end(loop, session->stdout_fd.get()), "got hello bar /bin\n");
    EXPECT_EQ(co_await read_to_end(loop, session->stderr_fd.get()), "bad\n");
    auto code = co_await pod->client->wait_exec(session->id);
    CO_ASSERT_OK(code);
    EXPECT_EQ(*code, 5);
    auto missing = co_await pod->client->exec({.container = "c", .args = {"nothing-here"}});
    EXPECT_FALSE(missing);
    if (!missing) EXPECT_EQ(missing.error().code, Code::not_found);
  });
}

TEST(Shim, AContainerIsRemovedWhileExecsRunInIt) {
  run([](Pod* pod, io::Loop*) -> Task<void> {
    pod->bundle.configure({"sleep", "100"});
    CO_ASSERT_OK(co_await pod->client->create_container(pod->container()));
    CO_ASSERT_OK(co_await pod->client->start("c"));
    auto session = co_await pod->client->exec({.container = "c", .args = {"sleep", "100"}});
    CO_ASSERT_OK(session);
    CO_ASSERT_OK(co_await pod->client->remove("c", true));
    ShimEvent end = co_await pod->next(ShimEvent::Kind::exec_exit);
    EXPECT_EQ(end.signal, SIGKILL);
    end = co_await pod->next(ShimEvent::Kind::container_exit);
    EXPECT_EQ(end.exit_code, 137);
  });
}

TEST(Shim, ExecWithATerminalCanBeResized) {
  run([](Pod* pod, io::Loop* loop) -> Task<void> {
    pod->bundle.configure({"sleep", "100"});
    CO_ASSERT_OK(co_await pod->client->create_container(pod->container()));
    CO_ASSERT_OK(co_await pod->client->start("c"));
    auto session = co_await pod->client->exec({.container = "c",
                                               .args = {"sh", "-c", "stty size; read x; stty size"},
                                               .tty = true,
                                               .stdin_open = true,
                                               .columns = 80,
                                               .rows = 24});
    CO_ASSERT_OK(session);
    CO_ASSERT_OK(co_await pod->client->resize(session->id, 132, 50));
    EXPECT_TRUE(os::write_all(session->stdin_fd.get(), "\n"));
    std::string text = co_await read_to_end(loop, session->stdout_fd.get());
    EXPECT_NE(text.find("50 132"), std::string::npos) << text;
    auto code = co_await pod->client->wait_exec(session->id);
    CO_ASSERT_OK(code);
    EXPECT_EQ(*code, 0);
  });
}

TEST(Shim, AttachGivesNewOutputAndInput) {
  run([](Pod* pod, io::Loop* loop) -> Task<void> {
    pod->bundle.configure({"sh", "-c", "while read x; do echo you said $x; done; echo bye"});
    ContainerOptions options = pod->container();
    options.stdin_open = options.stdin_once = true;
    CO_ASSERT_OK(co_await pod->client->create_container(options));
    CO_ASSERT_OK(co_await pod->client->start("c"));
    auto session = co_await pod->client->attach("c", true);
    CO_ASSERT_OK(session);
    EXPECT_TRUE(os::write_all(session->stdin_fd.get(), "one\ntwo\n"));
    session->stdin_fd.reset();
    EXPECT_EQ(co_await read_to_end(loop, session->stdout_fd.get()), "you said one\nyou said two\nbye\n");
    ShimEvent end = co_await pod->next(ShimEvent::Kind::container_exit);
    EXPECT_EQ(end.exit_code, 0);
    EXPECT_EQ(pod->logged(), "you said one\nyou said two\nbye\n");
  });
}

TEST(Shim, StopKillsAfterTheGraceWhatIgnoresTheSignal) {
  run([](Pod* pod, io::Loop*) -> Task<void> {
    pod->bundle.configure({"sh", "-c", "trap '' TERM; echo ready; while true; do sleep 1; done"});
    CO_ASSERT_OK(co_await pod->client->create_container(pod->container()));
    CO_ASSERT_OK(co_await pod->client->start("c"));
    CO_ASSERT_OK(co_await pod->client->stop("c", SIGTERM, 100ms));
    ShimEvent end = co_await pod->next(ShimEvent::Kind::container_exit);
    EXPECT_EQ(end.signal, SIGKILL);
    EXPECT_EQ(end.exit_code, 137);
    EXPECT_FALSE(end.oom_killed);
  });
}

TEST(Shim, TellsOfOutOfMemory) {
  run([](Pod* pod, io::Loop*) -> Task<void> {
    pod->bundle.configure({"sh", "-c", "tail /dev/zero"}, {{"linux.resources", R"({"memory":{"limit":8388608}})"}});
    CO_ASSERT_OK(co_await pod->client->create_container(pod->container()));
    CO_ASSERT_OK(co_await pod->client->start("c"));
    ShimEvent end = co_await pod->next(ShimEvent::Kind::container_exit);
    EXPECT_TRUE(end.oom_killed);
    EXPECT_NE(end.exit_code, 0);
    co_await pod->next(ShimEvent::Kind::oom);
  });
}

TEST(Shim, APodsNamespacesBelongToItsUserNamespace) {
  io::Loop loop;
  Pod pod;
  static constexpr const char* mappings = R"([{"containerID":0,"hostID":100000,"size":65536}])";
  os::Fd user = *os::new_user_namespace({{0, 100000, 65536}}, {{0, 100000, 65536}});
  os::Fd net = *os::new_namespace_inside(user.get(), CLONE_NEWNET);
  pod.options.user_namespace = pod.bundle.dir + "/user";
  pod.options.network_namespace = pod.bundle.dir + "/net";
  ASSERT_TRUE(os::persist_namespace(user.get(), pod.options.user_namespace));
  ASSERT_TRUE(os::persist_namespace(net.get(), pod.options.network_namespace));
  pod.options.share_pid = true;
  pod.options.sysctls = {{"kernel.shm_rmid_forced", "1"}, {"net.ipv4.ip_unprivileged_port_start", "77"}};
  ASSERT_TRUE(os::change_owner(pod.bundle.dir + "/rootfs", 100000, 100000));
  struct Main {
    static Task<void> go(Pod* pod, io::Loop* loop) {
      auto launched = co_await ShimClient::launch(pod->options);
      CO_ASSERT_OK(launched);
      pod->client = std::move(*launched);
      pod->listen();
      auto configure = [&](const std::string& script, const std::string& group) {
        pod->bundle.configure({"sh", "-c", script}, {{"linux.namespaces", R"([{"type":"mount"},{"type":"cgroup"},{"type":"user","path":")" +
                                                                              pod->options.user_namespace + "\"}]"},
                                                     {"linux.uidMappings", mappings},
                                                     {"linux.gidMappings", mappings},
                                                     {"linux.cgroupsPath", "\"" + pod->bundle.group + group + "\""}});
      };
      configure("sleep 77", "/c");
      CO_ASSERT_OK(co_await pod->client->create_container(pod->container("one")));
      CO_ASSERT_OK(co_await pod->client->start("one"));
      configure(
          "cat /proc/self/uid_map; cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start; hostname; stat -c "
          "%u /proc/1; "
          "ls /proc/1/root/etc 2>&1; ps",
          "/d");
      CO_ASSERT_OK(co_await pod->client->create_container(pod->container("two")));
      CO_ASSERT_OK(co_await pod->client->start("two"));
      (void)co_await pod->next(ShimEvent::Kind::container_exit);
      const std::string said = pod->logged();
      EXPECT_NE(said.find("         0     100000      65536\n1\n77\nweb-0\n"), std::string::npos) << said;
      EXPECT_NE(said.find("Permission denied"), std::string::npos) << "the init's root is the host's: " << said;
      EXPECT_NE(said.find("sleep 77"), std::string::npos) << said;
      auto session = co_await pod->client->exec({.container = "one", .args = {"sh", "-c", "id -u; cat /proc/self/uid_map"}});
      CO_ASSERT_OK(session);
      EXPECT_EQ(co_await read_to_end(loop, session->stdout_fd.get()), "0\n         0     100000      65536\n");
      CO_ASSERT_OK(co_await pod->client->shutdown());
    }
  };
  loop.block_on(Main::go(&pod, &loop));
  EXPECT_TRUE(os::unpersist_namespace(pod.options.user_namespace));
  EXPECT_TRUE(os::unpersist_namespace(pod.options.network_namespace));
}

TEST(Shim, ContainersOfAPodCanShareAPidNamespace) {
  io::Loop loop;
  Pod pod;
  pod.options.share_pid = true;
  struct Main {
    static Task<void> go(Pod* pod, io::Loop* loop) {
      auto launched = co_await ShimClient::launch(pod->options);
      CO_ASSERT_OK(launched);
      pod->client = std::move(*launched);
      pod->listen();
      pod->bundle.configure({"sleep", "77"}, {{"linux.namespaces", R"([{"type":"mount"}])"}});
      CO_ASSERT_OK(co_await pod->client->create_container(pod->container("one")));
      CO_ASSERT_OK(co_await pod->client->start("one"));
      pod->bundle.configure({"sh", "-c", "ps"},
                            {{"linux.namespaces", R"([{"type":"mount"}])"}, {"linux.cgroupsPath", "\"" + pod->bundle.group + "/d\""}});
      CO_ASSERT_OK(co_await pod->client->create_container(pod->container("two")));
      CO_ASSERT_OK(co_await pod->client->start("two"));
      ShimEvent end = co_await pod->next(ShimEvent::Kind::container_exit);
      EXPECT_EQ(end.container, "two");
      EXPECT_NE(pod->logged().find("sleep 77"), std::string::npos) << pod->logged();
      EXPECT_NE(pod->logged().find("estiba-init"), std::string::npos) << pod->logged();
      auto session = co_await pod->client->exec({.container = "one", .args = {"ps"}});
      CO_ASSERT_OK(session);
      EXPECT_NE((co_await read_to_end(loop, session->stdout_fd.get())).find("sleep 77"), std::string::npos);
      CO_ASSERT_OK(co_await pod->client->shutdown());
    }
  };
  loop.block_on(Main::go(&pod, &loop));
}

TEST(Shim, ContainersEndWithTheirShimAndCleanupRemovesTheRest) {
  run([](Pod* pod, io::Loop*) -> Task<void> {
    pod->bundle.configure({"sleep", "100"}, {{"process.user", R"({"uid":1000,"gid":1000})"}});
    auto created = co_await pod->client->create_container(pod->container());
    CO_ASSERT_OK(created);
    CO_ASSERT_OK(co_await pod->client->start("c"));
    auto state = co_await pod->client->state();
    CO_ASSERT_OK(state);
    EXPECT_EQ(cleanup_pod(pod->options.dir).error().code, Code::conflict);
    auto pidfd = os::pidfd_open(created->pid);
    CO_ASSERT_OK(pidfd);
    EXPECT_TRUE(os::send_signal(state->shim_pid, SIGKILL));
    co_await pod->next(ShimEvent::Kind::disconnected);
    EXPECT_TRUE(pod->client->closed());
    EXPECT_TRUE(os::await_exit(*pidfd, created->pid, 5000));
    auto left = cleanup_pod(pod->options.dir);
    CO_ASSERT_OK(left);
    EXPECT_EQ(left->size(), 1u);
    EXPECT_EQ((*left)[0].status, ContainerStatus::stopped);
    pod->client.reset();
  });
}

TEST(Shim, ASecondShimForAPodIsRefused) {
  run([](Pod* pod, io::Loop*) -> Task<void> {
    auto second = co_await ShimClient::launch(pod->options);
    EXPECT_FALSE(second);
    if (!second) EXPECT_EQ(second.error().code, Code::already_exists);
  });
}

}  // namespace
}  // namespace estiba::runtime
