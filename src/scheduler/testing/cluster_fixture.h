// A cluster to decide in: nodes and placed pods as JSON, decisions as text.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "scheduler/decide.h"

namespace estiba::scheduler::testing {

/// JSON with ' for ".
inline model::ObjectRef object(std::string text) {
  std::ranges::replace(text, '\'', '"');
  auto made = model::Object::parse(text);
  EXPECT_TRUE(made) << text << (made ? "" : made.error().message);
  return {*made, 1};
}

struct ClusterFixture : ::testing::Test {
  Cluster cluster;
  int made = 0;

  void node(const std::string& name, const std::string& labels, const std::string& spec = "{}") {
    cluster.set_node(object("{'apiVersion':'v1','kind':'Node','metadata':{'name':'" + name + "','labels':{" + labels + "}},'spec':" + spec +
                            ",'status':{'allocatable':{'cpu':'4','memory':'8Gi','pods':'110','ephemeral-storage':'10Gi'}}}"));
  }
  /// A node of a zone, with the labels that kubelets give it.
  void node_in(const std::string& name, const std::string& zone, const std::string& spec = "{}") {
    node(name, "'kubernetes.io/hostname':'" + name + "','topology.kubernetes.io/zone':'" + zone + "'", spec);
  }
  void name_space(const std::string& name, const std::string& labels) {
    cluster.set_namespace(object("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'" + name + "','labels':{" + labels + "}}}"));
  }
  /// `labels` and `spec` are members; `meta` more members of metadata.
  model::ObjectRef pod(const std::string& labels, const std::string& spec = "", const std::string& ns = "x", const std::string& meta = "") {
    const std::string name = "p" + std::to_string(++made);
    return object("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" + name + "','namespace':'" + ns + "','uid':'" + name +
                  "','labels':{" + labels + "}" + meta + "},'spec':{'containers':[{'name':'c'}]" + (spec.empty() ? "" : "," + spec) + "}}");
  }
  /// A pod that is there; returns its UID.
  std::string put(const std::string& node, const model::ObjectRef& pod) {
    cluster.assume(demand_of(pod), node);
    return pod.meta().uid;
  }
  /// The node, or why there is none.
  std::string where(const model::ObjectRef& pod, uint64_t turn = 0) {
    const DemandPtr demand = demand_of(pod);
    const Decision decision = decide(default_profile(), cluster, *demand, turn);
    return decision.node ? decision.node->name : decision.message;
  }
  /// The same, and it goes there.
  std::string place(const model::ObjectRef& pod) {
    const DemandPtr demand = demand_of(pod);
    const Decision decision = decide(default_profile(), cluster, *demand, 0);
    if (!decision.node) return decision.message;
    cluster.assume(demand, decision.node->name);
    return decision.node->name;
  }
};

}  // namespace estiba::scheduler::testing
