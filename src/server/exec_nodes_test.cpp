#include "server/exec_nodes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "io/loop.h"

namespace estiba::server {
namespace {

using namespace std::chrono_literals;
using autoscale::NodeGroup;

// Providers are scripts in a directory of the test's own.
struct ExecNodesTest : ::testing::Test {
  std::filesystem::path dir = std::filesystem::temp_directory_path() / ("exec-nodes-" + std::to_string(getpid()));
  io::Loop loop;
  ExecNodes nodes{"https://192.0.2.1:6443", "/usr/bin/estiba"};
  NodeGroup group{.name = "workers", .min = 0, .max = 3};

  ExecNodesTest() {
    std::filesystem::create_directories(dir);
    group.node = {.allocatable = {{"cpu", "1500m"}, {"memory", "2Gi"}, {"pods", "110"}},
                  .labels = {{"a", "b"}, {"c", "d"}},
                  .taints = {{.key = "k", .value = "v", .effect = "NoSchedule"}, {.key = "e", .effect = "NoExecute"}}};
    group.exec.env = {{"ZONE", "a b"}};
    group.exec.timeout = 20s;
  }
  ~ExecNodesTest() override { std::filesystem::remove_all(dir); }

  void script(const std::string& text) {
    const auto path = dir / "provider";
    std::ofstream(path) << "#!/bin/sh\n" << text;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    group.exec.command = {path.string(), "one"};
  }
  template <class T>
  Result<T> wait(Task<Result<T>> task) {
    return loop.block_on(std::move(task));
  }
  std::string read(const std::string& name) {
    std::ifstream in(dir / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

TEST_F(ExecNodesTest, ProgramsAreToldOnStdinAndInTheEnvironment) {
  script("cat >" + (dir / "stdin").string() + "; env | grep -e ^ESTIBA_NODES_ -e ^ZONE= | sort >" + (dir / "env").string() + "; echo $1 >" +
         (dir / "arguments").string() + "\n");
  ASSERT_TRUE(wait(nodes.create(group, "workers-abcde", "id.secret")));
  EXPECT_EQ(read("stdin"),
            R"({"apiVersion":"estiba.io/v1","kind":"NodeGroupRequest","command":"create","group":{"name":"workers","min":0,"max":3,)"
            R"("allocatable":{"cpu":"1500m","memory":"2Gi","pods":"110"},"labels":{"a":"b","c":"d"},"taints":[{"key":"k","value":"v",)"
            R"("effect":"NoSchedule"},{"key":"e","effect":"NoExecute"}]},"name":"workers-abcde","server":"https://192.0.2.1:6443",)"
            R"("token":"id.secret"})");
  EXPECT_EQ(read("env"),
            "ESTIBA_NODES_COMMAND=create\nESTIBA_NODES_CPU_MILLIS=1500\nESTIBA_NODES_ESTIBA=/usr/bin/estiba\nESTIBA_NODES_GROUP=workers\n"
            "ESTIBA_NODES_LABELS=a=b,c=d\nESTIBA_NODES_MEMORY_BYTES=2147483648\nESTIBA_NODES_NAME=workers-abcde\n"
            "ESTIBA_NODES_SERVER=https://192.0.2.1:6443\nESTIBA_NODES_TAINTS=k=v:NoSchedule,e:NoExecute\nESTIBA_NODES_TOKEN=id.secret\n"
            "ZONE=a b\n");
  EXPECT_EQ(read("arguments"), "one\n");
  ASSERT_TRUE(wait(nodes.remove(group, "workers-abcde")));
  EXPECT_NE(read("env").find("ESTIBA_NODES_COMMAND=delete\n"), std::string::npos);
}

TEST_F(ExecNodesTest, ListsAreRead) {
  script(R"(echo '{"nodes":[{"name":"a"},{"name":"b","state":"failed","message":"no disk"},{"name":"c","state":"creating"}]}')");
  const auto machines = wait(nodes.list(group));
  ASSERT_TRUE(machines) << machines.error().message;
  ASSERT_EQ(machines->size(), 3u);
  EXPECT_FALSE(machines->at(0).failed);
  EXPECT_TRUE(machines->at(1).failed);
  EXPECT_EQ(machines->at(1).message, "no disk");
}

TEST_F(ExecNodesTest, FailuresSayWhatHappened) {
  const std::string program = (dir / "provider").string();
  const auto says = [&](const std::string& text) {
    script(text);
    auto done = wait(nodes.list(group));
    return done ? "nothing" : done.error().message.substr(program.size() + 1);
  };
  EXPECT_EQ(says("echo over >&2; echo quota >&2; exit 3"), "list ended with 3: over quota");
  EXPECT_EQ(says("exit 1"), "list ended with 1: it says nothing");
  EXPECT_EQ(says("kill -9 $$"), "list ended with 137: it says nothing");
  EXPECT_EQ(says("echo '{}'"), R"(list: the answer must be {"nodes":[…]})");
  EXPECT_EQ(says(R"(echo '{"nodes":[{"state":"running"}]}')"), "list: nodes[0].name is missing");
  EXPECT_EQ(says(R"(echo '{"nodes":[{"name":"a","state":"well"}]}')"),
            R"(list: nodes[0].state must be creating, running or failed, not "well")");
  EXPECT_NE(says("echo nodes").find("list: "), std::string::npos);
  group.exec.command = {"/nowhere/provider"};
  EXPECT_NE(wait(nodes.list(group)).error().message.find("/nowhere/provider"), std::string::npos);
}

TEST_F(ExecNodesTest, ProgramsThatHangAreKilled) {
  script("exec sleep 3600");
  group.exec.timeout = 1s;
  const auto done = wait(nodes.create(group, "workers-abcde", "id.secret"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::timeout);
}

}  // namespace
}  // namespace estiba::server
