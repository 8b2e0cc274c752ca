// All controllers together, in a random life: whatever is created, changed, deleted, fails, is lost or hands over its lead, and in whatever
// order, a cluster that comes to rest keeps every promise (testing/invariants.h). Each run draws a seed and prints it; ESTIBA_SEED=N
// repeats one.
#include <cstdlib>
#include <random>

#include "base/log.h"
#include "base/strings.h"
#include "client/finalizers.h"
#include "controllers/claims.h"
#include "controllers/daemon_placement.h"
#include "controllers/pod_facts.h"
#include "controllers/testing/cluster.h"
#include "controllers/testing/invariants.h"
#include "model/local_volumes.h"
#include "model/types/apps_v1.h"
#include "model/types/batch_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using client::Resource;
using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Pod;

constexpr Resource stateful_sets{"apps", "v1", "statefulsets"}, daemon_sets{"apps", "v1", "daemonsets"},
    replication_controllers{"", "v1", "replicationcontrollers"}, quotas{"", "v1", "resourcequotas"},
    budgets{"policy", "v1", "poddisruptionbudgets"};

struct InvariantsTest : ControllerTest {
  std::mt19937_64 random;
  int names = 0, addresses = 0;
  bool leading = false, calm = false;
  int failing_calls = 0;  // the next calls that fail
  int calls_in_step = 0;
  std::map<std::string, bool> machines;  // by the node's name: whether it lives
  std::vector<std::string> told;         // what happened, for a failure's message

  size_t pick(size_t n) { return n ? random() % n : 0; }
  bool chance(int percent) { return int(pick(100)) < percent; }
  template <class T>
  const T& any(const std::vector<T>& of) {
    return of[pick(of.size())];
  }
  static std::string json_of(std::string text) {
    std::ranges::replace(text, '\'', '"');
    return text;
  }
  std::string any_namespace() { return chance(80) ? "x" : "y"; }

  // --- the leader ----------------------------------------------------------------------------------------------------

  void lead() {
    if (leading) return;
    informers = std::make_unique<client::Informers>(server);
    context.reset(new Context{server, executor, *informers, options});
    for (const ControllerEntry& entry : controller_table())
      if (auto made = entry.make(*context)) controllers.push_back(std::move(made));
    for (auto& controller : controllers) controller->start();
    leading = true;
  }
  // In the middle of whatever it does.
  void lose_lead() {
    stop();
    leading = false;
  }

  // --- the cluster's rest: nodes, kubelets, a scheduler --------------------------------------------------------------

  void add_node() {
    const std::string name = "n" + std::to_string(++names);
    server.add(client::nodes, "",
               json_of("{'apiVersion':'v1','kind':'Node','metadata':{'name':'" + name + "'},'spec':{},'status':{'conditions':[]}}"));
    server.add(client::leases, "kube-node-lease",
               json_of("{'apiVersion':'coordination.k8s.io/v1','kind':'Lease','metadata':{'name':'" + name + "'},'spec':{}}"));
    machines[name] = true;
    report(name);
  }
  void report(const std::string& name) {
    if (!server.find(client::nodes, "", name)) return;
    const ObjectRef node = server.find(client::nodes, "", name);
    const auto& conditions = node.as<Node>().status.conditions;
    if (conditions.empty() || conditions[0].status != "True")
      server.merge(client::nodes, "", name,
                   json_of("{'status':{'conditions':[{'type':'Ready','status':'True','reason':'KubeletReady','lastHeartbeatTime':'" +
                           now() + "','lastTransitionTime':'" + now() + "'}]}}"),
                   "status");
    if (server.find(client::leases, "kube-node-lease", name))
      server.merge(client::leases, "kube-node-lease", name, json_of("{'spec':{'renewTime':'" + now() + "'}}"));
  }
  bool takes_pods(const ObjectRef& node) {
    const auto& typed = node.as<Node>();
    return machines[node.meta().name] && typed.spec.taints.empty() && !typed.status.conditions.empty() &&
           typed.status.conditions[0].status == "True";
  }
  void schedule() {
    std::vector<std::string> good;
    for (const ObjectRef& node : server.all(client::nodes))
      if (takes_pods(node)) good.push_back(node.meta().name);
    for (const ObjectRef& pod : server.all(client::pods)) {
      if (!pod.as<Pod>().spec.nodeName.empty() || !is_active(pod)) continue;
      std::string node = target_node(pod);
      if (node.empty() && !good.empty()) node = any(good);
      if (!node.empty() && std::ranges::find(good, node) != good.end())
        server.merge(client::pods, pod.meta().ns, pod.meta().name, R"({"spec":{"nodeName":")" + node + "\"}}");
    }
  }
  void set_status(const ObjectRef& pod, const std::string& phase, bool ready, int exit_code = 0) {
    std::string state;
    if (phase != "Running")
      state = ",'containerStatuses':[{'name':'c','state':{'terminated':{'exitCode':" + std::to_string(exit_code) + ",'finishedAt':'" +
              now() + "'}}}]";
    std::string ip = pod.as<Pod>().status.podIP;
    if (ip.empty()) {
      ++addresses;
      ip = "10.9." + std::to_string(addresses / 250) + "." + std::to_string(addresses % 250 + 1);
    }
    server.merge(client::pods, pod.meta().ns, pod.meta().name,
                 json_of("{'status':{'phase':'" + phase + "','podIP':'" + ip + "','podIPs':[{'ip':'" + ip +
                         "'}],'conditions':[{'type':'Ready','status':'" + (ready ? "True" : "False") + "','lastTransitionTime':'" + now() +
                         "'}]" + state + "}}"),
                 "status");
  }
  static bool is_work(const ObjectRef& pod) { return !pod.meta().label("job").empty(); }
  // The nodes' other task: what a volume's directory held is gone, so that the volume may go.
  void remove_volumes() {
    for (const ObjectRef& volume : server.all(persistent_volumes))
      if (!volume.meta().deletion_timestamp.empty() && std::ranges::count(volume.meta().finalizers, model::local_finalizer))
        server.merge(persistent_volumes, "", volume.meta().name, client::finalizer_patch(volume, model::local_finalizer, false));
  }
  // What the kubelets of living nodes do at once; in calm times every pod is well.
  void run_pods() {
    remove_volumes();
    for (const ObjectRef& seen : server.all(client::pods)) {
      const ObjectRef pod = server.find(client::pods, seen.meta().ns, seen.meta().name);
      if (!pod) continue;
      const auto& typed = pod.as<Pod>();
      const auto machine = machines.find(typed.spec.nodeName);
      if (machine == machines.end() || !machine->second || (!calm && chance(30))) continue;
      if (!pod.meta().deletion_timestamp.empty()) {
        // A finished pod may be held by a finalizer; the kubelet has done its part.
        if (!is_finished(typed) && !pod.meta().finalizers.empty()) set_status(pod, "Failed", false, 137);
        server.erase(client::pods, pod.meta().ns, pod.meta().name, {.grace_seconds = 0});
      } else if (is_finished(typed)) {
        continue;
      } else if (is_work(pod) && typed.status.phase == "Running") {
        const bool fails = !calm && chance(20);
        set_status(pod, fails ? "Failed" : "Succeeded", false, fails);
      } else if (!is_ready(typed)) {
        set_status(pod, "Running", true);
      }
    }
  }

  // --- what users do -------------------------------------------------------------------------------------------------

  static std::string pod_template(const std::string& label, const std::string& more = "") {
    return "'template':{'metadata':{'labels':{" + label +
           "}},'spec':{'terminationGracePeriodSeconds':30,'containers':[{'name':'c','image':'v0'}]" + more + "}}";
  }
  void make(Resource resource, const std::string& ns, const std::string& kind, const std::string& version, const std::string& name,
            const std::string& spec) {
    told.push_back("create " + kind + " " + ns + "/" + name);
    server.add(resource, ns,
               json_of("{'apiVersion':'" + version + "','kind':'" + kind + "','metadata':{'name':'" + name +
                       "','annotations':{'deprecated.daemonset.template.generation':'1'}},'spec':{" + spec + "}}"));
  }
  void make_workload() {
    const std::string ns = any_namespace();
    const ObjectRef there = server.find(client::namespaces, "", ns);
    if (!there || !there.meta().deletion_timestamp.empty()) return;
    const std::string name = "w" + std::to_string(++names), app = "'app':'" + name + "'", count = std::to_string(pick(5));
    const std::string selector = "'selector':{'matchLabels':{" + app + "}},";
    switch (pick(7)) {
      case 0:
        make(client::deployments, ns, "Deployment", "apps/v1", name,
             "'replicas':" + count + ",'progressDeadlineSeconds':600,'revisionHistoryLimit':2," + selector + "'strategy':" +
                 (chance(70) ? "{'type':'RollingUpdate','rollingUpdate':{'maxSurge':'25%','maxUnavailable':'25%'}}"
                             : "{'type':'Recreate'}") +
                 "," + pod_template(app));
        break;
      case 1:
        make(client::replica_sets, ns, "ReplicaSet", "apps/v1", name, "'replicas':" + count + "," + selector + pod_template(app));
        break;
      case 2:
        make(replication_controllers, ns, "ReplicationController", "v1", name,
             "'replicas':" + count + ",'selector':{" + app + "}," + pod_template(app));
        break;
      case 3:
        make(stateful_sets, ns, "StatefulSet", "apps/v1", name,
             "'replicas':" + count + ",'serviceName':'" + name + "','revisionHistoryLimit':2,'podManagementPolicy':'" +
                 (chance(50) ? "OrderedReady" : "Parallel") +
                 "','updateStrategy':{'type':'RollingUpdate','rollingUpdate':{'partition':0}},'persistentVolumeClaimRetentionPolicy':{'"
                 "whenDeleted':'" +
                 (chance(50) ? "Delete" : "Retain") + "','whenScaled':'" + (chance(50) ? "Delete" : "Retain") +
                 "'},'volumeClaimTemplates':[{'metadata':{'name':'data'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'"
                 "storage':'1Mi'}}}}]," +
                 selector + pod_template(app));
        break;
      case 4:
        make(daemon_sets, ns, "DaemonSet", "apps/v1", name,
             std::string("'updateStrategy':{'type':'RollingUpdate','rollingUpdate':") +
                 (chance(50) ? "{'maxUnavailable':1,'maxSurge':0}" : "{'maxUnavailable':0,'maxSurge':1}") + "},'revisionHistoryLimit':2," +
                 selector + pod_template(app));
        break;
      case 5: {
        const size_t completions = 1 + pick(6);
        const std::string label = "'job':'" + name + "'";
        make(client::jobs, ns, "Job", "batch/v1", name,
             "'completions':" + std::to_string(completions) + ",'parallelism':" + std::to_string(1 + pick(3)) +
                 ",'backoffLimit':4,'completionMode':'" + (chance(50) ? "Indexed" : "NonIndexed") + "'" +
                 (chance(30) ? ",'ttlSecondsAfterFinished':60" : "") + (chance(20) ? ",'suspend':true" : "") +
                 ",'selector':{'matchLabels':{" + label + "}}," + pod_template(label, ",'restartPolicy':'Never'"));
        return;
      }
      default: {
        const std::string label = "'job':'" + name + "'";
        make(client::cron_jobs, ns, "CronJob", "batch/v1", name,
             "'schedule':'* * * * *','concurrencyPolicy':'" + any(std::vector<std::string>{"Allow", "Forbid", "Replace"}) +
                 "','successfulJobsHistoryLimit':1,'failedJobsHistoryLimit':1,'jobTemplate':{'spec':{'completions':1,'parallelism':1,'"
                 "backoffLimit':1,'selector':{'matchLabels':{" +
                 label + "}}," + pod_template(label, ",'restartPolicy':'Never'") + "}}");
        return;
      }
    }
    if (chance(60))
      make(client::services, ns, "Service", "v1", name,
           "'selector':{" + app + "},'clusterIP':'10.43.0.9','ports':[{'port':80,'targetPort':8080}]");
    if (chance(30))
      make(budgets, ns, "PodDisruptionBudget", "policy/v1", name,
           std::string(chance(50) ? "'minAvailable':1" : "'maxUnavailable':'30%'") + ",'selector':{'matchLabels':{" + app + "}}");
  }
  std::vector<std::pair<Resource, ObjectRef>> workloads() {
    std::vector<std::pair<Resource, ObjectRef>> out;
    for (Resource resource : {client::deployments, client::replica_sets, replication_controllers, stateful_sets, daemon_sets, client::jobs,
                              client::cron_jobs, client::services})
      for (const ObjectRef& object : server.all(resource))
        if (object.meta().deletion_timestamp.empty()) out.emplace_back(resource, object);
    return out;
  }
  void merge(Resource resource, const ObjectRef& object, const std::string& patch) {
    told.push_back("patch " + std::string(resource.name) + " " + object.meta().ns + "/" + object.meta().name + " " + patch);
    server.merge(resource, object.meta().ns, object.meta().name, json_of(patch));
  }
  void erase(Resource resource, const ObjectRef& object, client::DeleteOptions how) {
    told.push_back("delete " + std::string(resource.name) + " " + object.meta().ns + "/" + object.meta().name + " " + how.propagation);
    server.erase(resource, object.meta().ns, object.meta().name, std::move(how));
  }
  void delete_workload() {
    const auto all = workloads();
    if (all.empty()) return;
    const auto& [resource, object] = any(all);
    erase(resource, object, {.propagation = any(std::vector<std::string>{"", "Background", "Foreground", "Orphan"})});
  }
  void change_workload() {
    const auto all = workloads();
    if (all.empty()) return;
    const auto& [resource, object] = any(all);
    if (object.meta().controller()) return;  // what a controller made is its own
    const bool scales = resource == client::deployments || resource == client::replica_sets || resource == replication_controllers ||
                        resource == stateful_sets;
    if (scales && chance(50)) return merge(resource, object, "{'spec':{'replicas':" + std::to_string(pick(6)) + "}}");
    const std::string image = "v" + std::to_string(pick(3));
    if (resource == client::deployments || resource == stateful_sets)
      return merge(resource, object, "{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'" + image + "'}]}}}}");
    if (resource == daemon_sets)
      return merge(resource, object,
                   "{'metadata':{'annotations':{'deprecated.daemonset.template.generation':'" +
                       std::to_string(object.meta().generation + 1) +
                       "'}},'spec':{'template':{'spec':{'containers':[{'name':'c','image':'" + image + "'}]}}}}");
    if (resource == client::jobs) merge(resource, object, chance(70) ? "{'spec':{'suspend':false}}" : "{'spec':{'suspend':true}}");
  }
  void harm_pod() {
    const auto all = server.all(client::pods);
    if (all.empty()) return;
    const ObjectRef& pod = any(all);
    switch (pick(4)) {
      case 0: return erase(client::pods, pod, {.grace_seconds = chance(30) ? std::optional<int64_t>(0) : std::nullopt});
      case 1:
        if (is_active(pod) && !pod.as<Pod>().spec.nodeName.empty()) set_status(pod, "Failed", false, 1);
        return;
      case 2:
        if (is_active(pod) && is_ready(pod.as<Pod>())) set_status(pod, "Running", false);
        return;
      default:
        // A released pod of a StatefulSet or DaemonSet keeps what its successor needs: its name, its node.
        if (const model::Owner* owner = pod.meta().controller(); owner && !owner->kind.starts_with("Repl")) return;
        merge(client::pods, pod,
              chance(50) ? "{'metadata':{'labels':{'app':'none'}}}"
                         : "{'metadata':{'labels':{'app':'w" + std::to_string(1 + pick(size_t(names))) + "'}}}");
    }
  }
  void harm_node() {
    auto& [name, lives] = *std::next(machines.begin(), ptrdiff_t(pick(machines.size())));
    const bool there = bool(server.find(client::nodes, "", name));
    told.push_back("node " + name);
    if (chance(60)) lives = !lives && there;
    else if (there && server.all(client::nodes).size() > 2) {
      lives = false;
      server.erase(client::nodes, "", name);
    } else if (machines.size() < 12) {
      add_node();
    }
  }
  void harm_namespace() {
    const ObjectRef there = server.find(client::namespaces, "", "y");
    told.push_back("namespace y");
    if (!there) server.add(client::namespaces, "", json_of("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'y'}}"));
    else if (chance(30) && there.meta().deletion_timestamp.empty()) server.erase(client::namespaces, "", "y");
  }
  void harm_api() {
    switch (pick(4)) {
      case 0: failing_calls = int(pick(12)); break;
      case 1: server.hold_watches(true); break;
      case 2: server.end_watches(chance(50) ? Code::gone : Code::unavailable); break;
      default: server.compact(); server.answer_late = chance(50);
    }
  }

  void step() {
    static constexpr std::array<void (InvariantsTest::*)(), 7> deeds{
        &InvariantsTest::make_workload, &InvariantsTest::delete_workload, &InvariantsTest::change_workload, &InvariantsTest::harm_pod,
        &InvariantsTest::harm_node,     &InvariantsTest::harm_namespace,  &InvariantsTest::harm_api};
    static constexpr int weights[] = {22, 10, 22, 22, 6, 3, 15};
    int at = int(pick(100)), deed = 0;
    while (at >= weights[deed]) at -= weights[deed++];
    (this->*deeds[size_t(deed)])();
    if (chance(25)) server.shed();
    if (chance(7)) {
      told.push_back("the leader is lost");
      lose_lead();
    } else if (chance(40)) {
      lead();
    }
    pass(Duration(std::chrono::milliseconds(pick(4) ? pick(3000) : pick(30'000))));
  }
  // Time goes on for the whole cluster; a held watch is let go now and then.
  void pass(Duration time) {
    calls_in_step = 0;
    executor.run();
    if (chance(60)) server.hold_watches(false);
    if (calm || chance(70)) schedule();
    if (calm || chance(70)) run_pods();
    for (const auto& [name, lives] : machines)
      if (lives) report(name);
    executor.advance(time);
  }
  // Everything that is broken is mended, and nobody asks for anything any more.
  void rest() {
    calm = true;
    failing_calls = 0;
    server.hold_watches(false);
    server.answer_late = false;
    for (auto& [name, lives] : machines) {
      if (server.find(client::nodes, "", name)) lives = true;
    }
    for (const ObjectRef& cron : server.all(client::cron_jobs)) merge(client::cron_jobs, cron, "{'spec':{'suspend':true}}");
    for (const ObjectRef& job : server.all(client::jobs)) merge(client::jobs, job, "{'spec':{'suspend':false}}");
    lead();
    for (int i = 0; i < 40; ++i) pass(1s);
    for (int i = 0; i < 150; ++i) pass(30s);
  }
  void check(uint64_t seed) {
    const auto broken = broken_invariants(server);
    if (broken.empty()) return;
    ADD_FAILURE() << "ESTIBA_SEED=" << seed << "\n  " << join(broken, "\n  ") << "\nafter\n  " << last_told();
  }
  std::string last_told() const {
    const size_t last = told.size() > 60 ? told.size() - 60 : 0;
    return join(std::vector<std::string>(told.begin() + ptrdiff_t(last), told.end()), "\n  ");
  }
  // A loop that never lets time go on would never end this test, either.
  [[noreturn]] void spinning(std::string_view verb, Resource resource, std::string_view name) {
    std::fprintf(stderr, "a loop spins: %s %s %s; calls so far:\n", std::string(verb).c_str(), std::string(resource.name).c_str(),
                 std::string(name).c_str());
    for (const auto& [call, count] : server.calls) std::fprintf(stderr, "  %d %s\n", count, call.c_str());
    std::fprintf(stderr, "after\n  %s\n", last_told().c_str());
    std::abort();
  }
  void live(uint64_t seed, int steps) {
    log::configure(log::Level::error, log::Format::text);  // faults are many
    random.seed(seed);
    options.root_ca_pem = "PEM";
    options.pod_cidr = "10.42.0.0/16";
    server.before_call = [this](std::string_view verb, Resource resource, std::string_view name) -> Result<void> {
      if (++calls_in_step > 20'000) spinning(verb, resource, name);
      if (failing_calls <= 0 || !chance(50)) return {};
      --failing_calls;
      if (verb == "update" || verb == "patch") return fail(chance(50) ? Code::conflict : Code::unavailable, "a fault of the test");
      return fail(Code::unavailable, "a fault of the test");
    };
    for (const char* ns : {"x", "y", "kube-system", "kube-node-lease", "default"})
      server.add(client::namespaces, "", json_of("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'" + std::string(ns) + "'}}"));
    make(quotas, "x", "ResourceQuota", "v1", "q", "'hard':{'pods':'1000','services':'100','count/replicasets.apps':'100'}");
    for (int i = 0; i < 4; ++i) add_node();
    lead();
    for (int i = 0; i < steps; ++i) step();
    rest();
    check(seed);
    // At rest nobody writes: what goes on in ten minutes are the nodes' leases.
    const int64_t before = server.revision();
    int64_t beats = 0;
    for (int i = 0; i < 20; ++i) {
      pass(30s);
      for (const auto& [name, lives] : machines) beats += lives;
    }
    EXPECT_LE(server.revision() - before, beats + int64_t(server.all(client::events).size()))
        << "somebody writes though nothing happens; ESTIBA_SEED=" << seed;
  }
};

TEST_F(InvariantsTest, HoldWhateverHappens) {
  const char* given = std::getenv("ESTIBA_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("ESTIBA_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  live(seed, 400);
}

}  // namespace
}  // namespace estiba::controllers
