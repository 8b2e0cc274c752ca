#include "node/restart_policy.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

using namespace model::core_v1;

Container container(const std::string& policy) {
  Container out;
  out.restartPolicy = policy;
  return out;
}
void rule(Container& to, const std::string& action, const std::string& test, std::vector<int32_t> codes) {
  ContainerRestartRule& added = to.restartPolicyRules.emplace_back();
  added.action = action;
  added.exitCodes.ensure().operator_ = test;
  added.exitCodes->values = std::move(codes);
}
PodSpec pod(const std::string& policy) {
  PodSpec out;
  out.restartPolicy = policy;
  return out;
}

TEST(RestartPolicy, TheContainersOwnWinsOverThePods) {
  EXPECT_TRUE(should_restart(container(""), pod("Always"), 0));
  EXPECT_TRUE(should_restart(container(""), pod(""), 0));
  EXPECT_FALSE(should_restart(container("Never"), pod("Always"), 1));
  EXPECT_TRUE(should_restart(container("OnFailure"), pod("Never"), 1));
  EXPECT_FALSE(should_restart(container("OnFailure"), pod("Always"), 0));
}

TEST(RestartPolicy, TheFirstRuleThatMatchesDecides) {
  Container c = container("Never");
  rule(c, "Restart", "In", {42, 43});
  rule(c, "RestartAllContainers", "NotIn", {0, 1});
  EXPECT_EQ(rule_for(c, 42), RestartAction::restart);
  EXPECT_EQ(rule_for(c, 7), RestartAction::restart_all);
  EXPECT_EQ(rule_for(c, 1), RestartAction::none);
  EXPECT_TRUE(should_restart(c, pod("Never"), 43));
  EXPECT_TRUE(should_restart(c, pod("Never"), 7));
  EXPECT_FALSE(should_restart(c, pod("Always"), 1));
  PodSpec whole = pod("Never");
  whole.containers = {container("")};
  EXPECT_FALSE(all_may_restart(whole));
  whole.initContainers = {c};
  EXPECT_TRUE(all_may_restart(whole));
}

}  // namespace
}  // namespace estiba::node
