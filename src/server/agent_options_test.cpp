#include "server/agent_options.h"

#include <gtest/gtest.h>

namespace estiba::server {
namespace {

std::string refusal(cli::Arguments arguments) {
  arguments.push_back("--config=/dev/null");
  auto read = read_agent_options(arguments);
  return read ? "" : read.error().message;
}

TEST(AgentOptions, SayWhereToAndAsWhom) {
  auto read = read_agent_options({"--config=/dev/null", "--server=https://10.0.0.1:6443/", "--token=abcdef.0123456789abcdef",
                                  "--node-name=n", "--node-labels=a=b,c=", "--node-labels=d=e",
                                  "--register-with-taints=k=v:NoSchedule,x:NoExecute", "--node-lease-duration=4s"});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->server, "https://10.0.0.1:6443");
  EXPECT_EQ(read->server_host, "10.0.0.1");
  EXPECT_EQ(read->join->id, "abcdef");
  EXPECT_EQ(read->labels, (std::map<std::string, std::string>{{"a", "b"}, {"c", ""}, {"d", "e"}}));
  ASSERT_EQ(read->taints.size(), 2u);
  EXPECT_EQ(read->taints[0].value, "v");
  EXPECT_EQ(read->taints[1].effect, "NoExecute");
  EXPECT_EQ(read->lease, std::chrono::seconds(4));
}

TEST(AgentOptions, WhatIsWrongIsNamed) {
  EXPECT_TRUE(refusal({}).starts_with("--server is needed"));
  EXPECT_EQ(refusal({"--server=10.0.0.1:6443"}), "--server must be https://ADDRESS:PORT, not \"10.0.0.1:6443\"");
  EXPECT_TRUE(refusal({"--server=https://a", "--token=x"}).starts_with("--token: a token has the form"));
  EXPECT_TRUE(refusal({"--server=https://a", "--node-labels=x"}).starts_with("--node-labels must be"));
  EXPECT_TRUE(refusal({"--server=https://a", "--register-with-taints=x:Never"}).contains("a taint must be"));
  EXPECT_TRUE(refusal({"--server=https://a", "--node-ip=x"}).starts_with("--node-ip"));
  EXPECT_TRUE(refusal({"--server=https://a", "--pod-max-pids=-2"}).starts_with("--pod-max-pids"));
  EXPECT_EQ(refusal({"--server=https://a", "--pod-manifest-path=manifests"}),
            "--pod-manifest-path must be an absolute path, not \"manifests\"");
  EXPECT_TRUE(refusal({"--server=https://a", "--user-namespace-ids-per-pod=1000"}).starts_with("--user-namespace-ids-per-pod"));
  EXPECT_TRUE(refusal({"--server=https://a", "--node-lease-duration=1ms"}).starts_with("--node-lease-duration"));
  EXPECT_TRUE(refusal({"--server=https://a", "--token=abcdef.0123456789abcdef", "--token-file=/dev/null"}).contains("not both"));
}

}  // namespace
}  // namespace estiba::server
