#include "autoscale/node_groups.h"

#include <gtest/gtest.h>

namespace estiba::autoscale {
namespace {

using namespace std::chrono_literals;

const std::string whole = R"(apiVersion: estiba.io/v1
kind: NodeGroups
maxNodeProvisionTime: 5m
scaleDown:
  utilizationThreshold: 0.7
  unneededTime: 90s
groups:
- name: workers
  min: 1
  max: 4
  priority: 10
  template:
    allocatable: {cpu: 2, memory: 4Gi}
    labels: {size: small}
    taints:
    - {key: dedicated, value: batch, effect: NoSchedule}
  exec:
    command: [/usr/local/bin/nodes, --zone, a]
    env: {ZONE: a}
    timeout: 30s
)";

TEST(NodeGroups, AreRead) {
  const auto read = parse_node_groups(whole);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->provision_limit, 5min);
  EXPECT_EQ(read->scale_down.threshold, 0.7);
  EXPECT_EQ(read->scale_down.unneeded, 90s);
  EXPECT_EQ(read->scale_down.after_add, 10min);
  ASSERT_EQ(read->groups.size(), 1u);
  const NodeGroup& group = read->groups[0];
  EXPECT_EQ(group.min, 1);
  EXPECT_EQ(group.max, 4);
  EXPECT_EQ(group.priority, 10);
  EXPECT_EQ(group.node.allocatable, (std::map<std::string, std::string>{{"cpu", "2"}, {"memory", "4Gi"}, {"pods", "110"}}));
  EXPECT_EQ(group.node.labels.at("estiba.io/node-group"), "workers");
  EXPECT_EQ(group.node.taints.at(0).key, "dedicated");
  EXPECT_EQ(group.exec.command, (std::vector<std::string>{"/usr/local/bin/nodes", "--zone", "a"}));
  EXPECT_EQ(group.exec.timeout, 30s);
}

struct Fault {
  std::string from, to, says;
};

TEST(NodeGroups, FaultsAreNamedByTheirFields) {
  const Fault faults[] = {
      {"kind: NodeGroups", "kind: Groups", R"(kind: Unsupported value: "Groups": supported values: "NodeGroups")"},
      {"estiba.io/v1", "v1", R"(apiVersion: Unsupported value: "v1": supported values: "estiba.io/v1")"},
      {"name: workers", "name: Workers", "groups[0].name: Invalid value: \"Workers\": a lowercase RFC 1123 label"},
      {"min: 1", "min: 5", "groups[0].min: Invalid value: 5: must not be more than max, 4"},
      {"min: 1", "min: -1", "groups[0].min: Invalid value: -1: must be at least 0"},
      {"  max: 4\n", "", "groups[0].max: Required value: how many nodes there may be"},
      {"max: 4", "max: many", "groups[0].max: must be a whole number"},
      {"priority: 10", "prio: 10", "groups[0].prio: Unknown field"},
      {"cpu: 2, ", "", "groups[0].template.allocatable.cpu: Required value"},
      {"memory: 4Gi", "memory: lots",
       "groups[0].template.allocatable.memory: Invalid value: \"lots\": must be a quantity like 500m or 8Gi"},
      {"effect: NoSchedule", "effect: Never", "groups[0].template.taints[0].effect: Unsupported value: \"Never\""},
      {"[/usr/local/bin/nodes, --zone, a]", "[nodes]", "groups[0].exec.command[0]: Invalid value: \"nodes\": must be an absolute path"},
      {"[/usr/local/bin/nodes, --zone, a]", "[]", "groups[0].exec.command: Required value"},
      {"timeout: 30s", "timeout: 30", "groups[0].exec.timeout: must be a duration like \"10m\""},
      {"unneededTime: 90s", "unneededTime: soon", "scaleDown.unneededTime: Invalid value: \"soon\": "},
      {"Threshold: 0.7", "Threshold: 70", "scaleDown.utilizationThreshold: Invalid value: 70: must be between 0 and 1"},
      {"ZONE: a", "ESTIBA_NODES_NAME: a", "groups[0].exec.env.ESTIBA_NODES_NAME: Invalid value"},
  };
  for (const Fault& fault : faults) {
    std::string text = whole;
    const size_t at = text.find(fault.from);
    ASSERT_NE(at, std::string::npos) << fault.from;
    text.replace(at, fault.from.size(), fault.to);
    const auto read = parse_node_groups(text);
    ASSERT_FALSE(read) << fault.to;
    EXPECT_NE(read.error().message.find(fault.says), std::string::npos) << read.error().message;
  }
  EXPECT_NE(parse_node_groups("apiVersion: estiba.io/v1\nkind: NodeGroups\n").error().message.find("groups: Required value"),
            std::string::npos);
  EXPECT_FALSE(parse_node_groups("a: [")) << "no YAML";
  EXPECT_FALSE(parse_node_groups("")) << "nothing";
}

TEST(NodeGroups, HaveNamesOfTheirOwn) {
  const std::string group = whole.substr(whole.find("- name"));
  EXPECT_NE(parse_node_groups(whole + group).error().message.find("groups[1].name: Duplicate value: \"workers\""), std::string::npos);
}

}  // namespace
}  // namespace estiba::autoscale
