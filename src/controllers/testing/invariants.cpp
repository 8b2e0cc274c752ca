#include "controllers/testing/invariants.h"

#include <map>
#include <set>

#include "base/strings.h"
#include "client/selectors.h"
#include "controllers/daemon_placement.h"
#include "controllers/kinds.h"
#include "controllers/pod_facts.h"
#include "controllers/revision_history.h"
#include "model/local_volumes.h"
#include "model/types/apps_v1.h"
#include "model/types/batch_v1.h"
#include "model/types/discovery_v1.h"
#include "model/types/policy_v1.h"

namespace estiba::controllers {

using client::Resource;
using model::ObjectRef;
using model::core_v1::Pod;

namespace {

constexpr Resource stateful_sets{"apps", "v1", "statefulsets"}, daemon_sets{"apps", "v1", "daemonsets"},
    replication_controllers{"", "v1", "replicationcontrollers"}, quotas{"", "v1", "resourcequotas"},
    budgets{"policy", "v1", "poddisruptionbudgets"};

struct Checker {
  const client::testing::FakeClient& server;
  std::vector<std::string> broken;

  void expect(bool holds, const ObjectRef& object, const std::string& what) {
    if (!holds) broken.push_back(std::string(object.meta().ns) + "/" + std::string(object.meta().name) + ": " + what);
  }
  /// The numbers of a status, each with what it must be.
  void expect_numbers(const ObjectRef& object, std::initializer_list<std::pair<const char*, std::pair<int64_t, int64_t>>> numbers) {
    for (const auto& [name, values] : numbers)
      expect(values.first == values.second, object,
             std::string(name) + " is " + std::to_string(values.first) + ", not " + std::to_string(values.second));
  }
  std::vector<ObjectRef> owned_by(const ObjectRef& owner, Resource resource) const {
    std::vector<ObjectRef> out;
    for (const ObjectRef& one : server.all(resource, owner.meta().ns))
      if (const model::Owner* controller = one.meta().controller(); controller && controller->uid == owner.meta().uid) out.push_back(one);
    return out;
  }
  std::vector<ObjectRef> active_pods_of(const ObjectRef& owner) const {
    std::vector<ObjectRef> out = owned_by(owner, client::pods);
    std::erase_if(out, [](const ObjectRef& pod) { return !is_active(pod); });
    return out;
  }
  static int64_t ready_among(const std::vector<ObjectRef>& pods) {
    return std::ranges::count_if(pods, [](const ObjectRef& pod) { return is_ready(pod.as<Pod>()); });
  }

  // --- every object --------------------------------------------------------------------------------------------------

  void check_objects() {
    std::set<std::string> uids;
    const auto kinds = stored_kinds();
    for (const ResourceKind& kind : kinds)
      for (const ObjectRef& object : server.all(kind.resource)) uids.insert(object.meta().uid);
    const std::set<std::string, std::less<>> lasting{"kubernetes.io/pvc-protection", "kubernetes.io/pv-protection",
                                                     "kubernetes.io/vac-protection", std::string(model::local_finalizer)};
    for (const ResourceKind& kind : kinds)
      for (const ObjectRef& object : server.all(kind.resource)) {
        const model::Meta& meta = object.meta();
        const std::string what(kind.kind);
        expect(meta.deletion_timestamp.empty(), object, what + " is still being deleted");
        for (const auto& owner : meta.owners)
          expect(uids.contains(owner.uid), object, what + " has an owner that is gone: " + owner.kind + "/" + owner.name);
        for (const auto& finalizer : meta.finalizers)
          expect(lasting.contains(finalizer), object, what + " keeps the finalizer " + finalizer);
        if (kind.namespaced && kind.kind != "Event" && kind.kind != "Lease")
          expect(bool(server.find(client::namespaces, "", meta.ns)), object, what + " is in a namespace that is gone");
      }
  }

  // --- workloads -----------------------------------------------------------------------------------------------------

  template <class Set>
  void check_replicas(const ObjectRef& set, const Set& typed) {
    const auto pods = active_pods_of(set);
    const int64_t wanted = typed.spec.replicas.value_or(1);
    expect_numbers(set, {{"active pods", {int64_t(pods.size()), wanted}},
                         {"status.replicas", {typed.status.replicas, wanted}},
                         {"ready pods", {ready_among(pods), wanted}},
                         {"status.readyReplicas", {typed.status.readyReplicas.value_or(0), wanted}},
                         {"status.availableReplicas", {typed.status.availableReplicas.value_or(0), wanted}},
                         {"status.observedGeneration", {typed.status.observedGeneration.value_or(0), set.meta().generation}}});
  }

  void check_deployment(const ObjectRef& deployment) {
    const auto& typed = deployment.as<model::apps_v1::Deployment>();
    const auto& status = typed.status;
    const int64_t wanted = typed.spec.replicas.value_or(1);
    expect_numbers(deployment, {{"status.replicas", {status.replicas.value_or(0), wanted}},
                                {"status.updatedReplicas", {status.updatedReplicas.value_or(0), wanted}},
                                {"status.readyReplicas", {status.readyReplicas.value_or(0), wanted}},
                                {"status.availableReplicas", {status.availableReplicas.value_or(0), wanted}},
                                {"status.observedGeneration", {status.observedGeneration.value_or(0), deployment.meta().generation}}});
    int64_t sum = 0, current = 0;
    const auto sets = owned_by(deployment, client::replica_sets);
    for (const ObjectRef& set : sets) {
      const int64_t replicas = set.as<model::apps_v1::ReplicaSet>().spec.replicas.value_or(1);
      sum += replicas;
      current +=
          set.as<model::apps_v1::ReplicaSet>().spec.template_.spec.containers[0].image == typed.spec.template_.spec.containers[0].image
              ? replicas
              : 0;
    }
    expect_numbers(deployment, {{"replicas of all its ReplicaSets", {sum, wanted}}, {"replicas of the template's", {current, wanted}}});
    expect(int64_t(sets.size()) <= typed.spec.revisionHistoryLimit.value_or(10) + 1, deployment,
           std::to_string(sets.size()) + " ReplicaSets are more than the history's limit");
  }

  void check_stateful(const ObjectRef& set) {
    const auto& typed = set.as<model::apps_v1::StatefulSet>();
    const auto& status = typed.status;
    const int64_t wanted = typed.spec.replicas.value_or(1);
    std::set<std::string> names, claims;
    for (const ObjectRef& pod : owned_by(set, client::pods)) {
      names.insert(pod.meta().name);
      expect(is_ready(pod.as<Pod>()), pod, "the StatefulSet's pod is not ready");
      expect(pod.meta().label("controller-revision-hash") == status.updateRevision, pod, "the pod is not of the newest revision");
    }
    for (int64_t i = 0; i < wanted; ++i)
      expect(names.contains(set.meta().name + "-" + std::to_string(i)), set, "pod " + std::to_string(i) + " is missing");
    expect_numbers(set, {{"pods", {int64_t(names.size()), wanted}},
                         {"status.replicas", {status.replicas, wanted}},
                         {"status.readyReplicas", {status.readyReplicas.value_or(0), wanted}},
                         {"status.availableReplicas", {status.availableReplicas.value_or(0), wanted}},
                         {"status.updatedReplicas", {status.updatedReplicas.value_or(0), wanted}},
                         {"status.observedGeneration", {status.observedGeneration.value_or(0), set.meta().generation}}});
    expect(status.currentRevision == status.updateRevision, set, "the update has not become the current revision");
  }

  void check_daemons(const ObjectRef& set) {
    const auto& status = set.as<model::apps_v1::DaemonSet>().status;
    std::map<std::string, int> there;
    for (const ObjectRef& pod : owned_by(set, client::pods)) {
      ++there[pod.as<Pod>().spec.nodeName];
      expect(is_ready(pod.as<Pod>()), pod, "the daemon is not ready");
    }
    int64_t wanted = 0;
    for (const ObjectRef& node : server.all(client::nodes)) {
      const bool runs = placement_on(set, node).should_run;
      wanted += runs;
      expect(there[node.meta().name] == (runs ? 1 : 0), set,
             std::to_string(there[node.meta().name]) + " daemons on node " + node.meta().name + ", not " + (runs ? "1" : "0"));
      there.erase(node.meta().name);
    }
    expect(there.empty(), set, "daemons on nodes that are gone");
    expect_numbers(set, {{"desiredNumberScheduled", {status.desiredNumberScheduled, wanted}},
                         {"currentNumberScheduled", {status.currentNumberScheduled, wanted}},
                         {"numberReady", {status.numberReady, wanted}},
                         {"updatedNumberScheduled", {status.updatedNumberScheduled.value_or(0), wanted}},
                         {"numberMisscheduled", {status.numberMisscheduled, 0}},
                         {"status.observedGeneration", {status.observedGeneration.value_or(0), set.meta().generation}}});
  }

  void check_job(const ObjectRef& job) {
    const auto& typed = job.as<model::batch_v1::Job>();
    const auto& status = typed.status;
    bool complete = false, failed = false;
    for (const auto& condition : status.conditions) {
      complete |= condition.type == "Complete" && condition.status == "True";
      failed |= condition.type == "Failed" && condition.status == "True";
    }
    expect(complete != failed, job, "the Job is neither complete nor failed, or both");
    expect_numbers(job, {{"status.active", {status.active.value_or(0), 0}}, {"active pods", {int64_t(active_pods_of(job).size()), 0}}});
    const auto& uncounted = status.uncountedTerminatedPods;
    expect(!uncounted || (uncounted->succeeded.empty() && uncounted->failed.empty()), job, "pods are left uncounted");
    // A CronJob's Jobs have one selector here, its name, also when it has gone and left them: one may adopt another's orphans, whatever
    // became of them.
    const auto& selected = typed.spec.selector->matchLabels;
    if (const auto label = selected.find("job"); label != selected.end() && label->second != job.meta().name) return;
    if (complete) expect_numbers(job, {{"status.succeeded", {status.succeeded.value_or(0), typed.spec.completions.value_or(1)}}});
    if (failed)
      expect(status.failed.value_or(0) > typed.spec.backoffLimit.value_or(6), job,
             std::to_string(status.failed.value_or(0)) + " failures are no reason to fail");
    expect(status.failed.value_or(0) <= typed.spec.backoffLimit.value_or(6) + typed.spec.parallelism.value_or(1), job,
           std::to_string(status.failed.value_or(0)) + " pods have failed: more than may");
  }

  void check_cron_job(const ObjectRef& cron) {
    const auto& typed = cron.as<model::batch_v1::CronJob>();
    expect(typed.status.active.empty(), cron, "Jobs that have ended are told as active");
    const int64_t limit = typed.spec.successfulJobsHistoryLimit.value_or(3) + typed.spec.failedJobsHistoryLimit.value_or(1);
    expect(int64_t(owned_by(cron, client::jobs).size()) <= limit, cron, "more Jobs than the history's limits");
  }

  // --- pods, and what follows them -----------------------------------------------------------------------------------

  void check_pods() {
    for (const ObjectRef& pod : server.all(client::pods)) {
      const std::string& node = pod.as<Pod>().spec.nodeName;
      expect(node.empty() || server.find(client::nodes, "", node), pod, "the pod is on a node that is gone: " + node);
      if (pod.meta().controller() || !is_active(pod)) continue;
      const auto adopts = [&](const ObjectRef& set, const auto& selector) {
        expect(!client::matches(selector, pod.meta().labels), pod, "nobody's, though " + set.meta().name + " selects it");
      };
      for (const ObjectRef& set : server.all(client::replica_sets, pod.meta().ns))
        adopts(set, set.as<model::apps_v1::ReplicaSet>().spec.selector);
    }
  }

  std::set<std::string> endpoints_expected(const ObjectRef& service) const {
    const auto& selector = service.as<model::core_v1::Service>().spec.selector;
    std::set<std::string> out;
    for (const ObjectRef& pod : server.all(client::pods, service.meta().ns)) {
      const bool selected = std::ranges::all_of(selector, [&](const auto& pair) { return pod.meta().label(pair.first) == pair.second; });
      if (selected && is_active(pod) && is_ready(pod.as<Pod>())) out.insert(pod.as<Pod>().status.podIP);
    }
    return out;
  }

  void check_service(const ObjectRef& service) {
    const std::set<std::string> expected = endpoints_expected(service);
    std::set<std::string> in_slices, in_endpoints;
    for (const ObjectRef& slice : server.all(client::endpoint_slices, service.meta().ns)) {
      if (slice.meta().label("kubernetes.io/service-name") != service.meta().name) continue;
      for (const auto& endpoint : slice.as<model::discovery_v1::EndpointSlice>().endpoints) {
        const bool ready = endpoint.conditions && endpoint.conditions->ready.value_or(true);
        if (ready) expect(in_slices.insert(endpoint.addresses[0]).second, service, endpoint.addresses[0] + " is in its slices twice");
      }
    }
    if (const ObjectRef object = server.find(client::endpoints, service.meta().ns, service.meta().name))
      for (const auto& subset : object.as<model::core_v1::Endpoints>().subsets)
        for (const auto& address : subset.addresses) in_endpoints.insert(address.ip);
    const auto text = [](const std::set<std::string>& set) { return join(std::vector<std::string>(set.begin(), set.end()), " "); };
    expect(in_slices == expected, service, "slices say [" + text(in_slices) + "], ready are [" + text(expected) + "]");
    expect(in_endpoints == expected, service, "endpoints say [" + text(in_endpoints) + "], ready are [" + text(expected) + "]");
  }

  void check_budget(const ObjectRef& budget) {
    const auto& typed = budget.as<model::policy_v1::PodDisruptionBudget>();
    int64_t healthy = 0;
    for (const ObjectRef& pod : server.all(client::pods, budget.meta().ns))
      healthy +=
          is_active(pod) && is_ready(pod.as<Pod>()) && typed.spec.selector && client::matches(*typed.spec.selector, pod.meta().labels);
    const int64_t desired = typed.status.desiredHealthy.value_or(-1);
    // Pods that nobody controls are not expected, where the bound is a part of what is.
    const int64_t allowed = typed.status.expectedPods.value_or(0) > 0 ? std::max<int64_t>(healthy - desired, 0) : 0;
    // A percentage of pods whose number nobody says (a DaemonSet's, orphans) allows nothing and counts nothing.
    for (const auto& condition : typed.status.conditions)
      if (condition.reason == "SyncFailed")
        return expect(typed.status.disruptionsAllowed == 0, budget, "it could not be computed, and allows disruptions");
    expect_numbers(budget, {{"status.currentHealthy", {typed.status.currentHealthy.value_or(-1), healthy}},
                            {"status.disruptionsAllowed", {typed.status.disruptionsAllowed.value_or(-1), allowed}},
                            {"status.observedGeneration", {typed.status.observedGeneration.value_or(0), budget.meta().generation}}});
  }

  void check_quota(const ObjectRef& quota) {
    const auto& used = quota.as<model::core_v1::ResourceQuota>().status.used;
    const auto number = [&](const char* name) {
      const auto found = used.find(name);
      return found == used.end() ? int64_t(-1) : parse_number<int64_t>(found->second).value_or(-2);
    };
    int64_t running = 0;
    for (const ObjectRef& pod : server.all(client::pods, quota.meta().ns)) running += !is_finished(pod.as<Pod>());
    expect_numbers(quota, {{"used pods", {number("pods"), running}},
                           {"used services", {number("services"), int64_t(server.all(client::services, quota.meta().ns).size())}},
                           {"used replicasets",
                            {number("count/replicasets.apps"), int64_t(server.all(client::replica_sets, quota.meta().ns).size())}}});
  }

  void check_namespace(const ObjectRef& ns) {
    expect(bool(server.find(client::service_accounts, ns.meta().name, "default")), ns, "it has no service account");
    expect(bool(server.find(client::configmaps, ns.meta().name, "kube-root-ca.crt")), ns, "it has no root certificate");
  }

  void check_nodes() {
    std::set<std::string> ranges;
    for (const ObjectRef& node : server.all(client::nodes)) {
      const auto& spec = node.as<model::core_v1::Node>().spec;
      expect(spec.taints.empty(), node, "a node that lives is tainted");
      expect(!spec.podCIDR.empty() && ranges.insert(spec.podCIDR).second, node, "it has no range of its own: '" + spec.podCIDR + "'");
    }
  }
};

}  // namespace

std::vector<std::string> broken_invariants(const client::testing::FakeClient& server) {
  Checker check{server, {}};
  const auto each = [&](Resource resource, auto&& one) {
    for (const ObjectRef& object : server.all(resource)) one(object);
  };
  check.check_objects();
  each(client::deployments, [&](const ObjectRef& object) { check.check_deployment(object); });
  each(client::replica_sets, [&](const ObjectRef& object) {
    const auto& typed = object.as<model::apps_v1::ReplicaSet>();
    check.check_replicas(object, typed);
  });
  each(replication_controllers, [&](const ObjectRef& object) {
    const auto& typed = object.as<model::core_v1::ReplicationController>();
    check.check_replicas(object, typed);
  });
  each(stateful_sets, [&](const ObjectRef& object) { check.check_stateful(object); });
  each(daemon_sets, [&](const ObjectRef& object) { check.check_daemons(object); });
  each(client::jobs, [&](const ObjectRef& object) { check.check_job(object); });
  each(client::cron_jobs, [&](const ObjectRef& object) { check.check_cron_job(object); });
  each(client::services, [&](const ObjectRef& object) { check.check_service(object); });
  each(budgets, [&](const ObjectRef& object) { check.check_budget(object); });
  each(quotas, [&](const ObjectRef& object) { check.check_quota(object); });
  each(client::namespaces, [&](const ObjectRef& object) { check.check_namespace(object); });
  check.check_pods();
  check.check_nodes();
  return std::move(check.broken);
}

}  // namespace estiba::controllers
