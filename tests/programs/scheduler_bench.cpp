// links: scheduler
// How many pods a second the scheduler places when nothing else is in its way: the real one (queue, informers, decisions, bindings,
// events) on an API in memory that costs nearly nothing. One thread. Prints, as JSON, pods and seconds of one workload.
//
//   scheduler_bench --workload=basic|node-affinity|spread|anti-affinity|pod-affinity|preemption [--nodes=5000] [--pods=2000]
//   [--before=1000]
//
// The workloads are those of Kubernetes' scheduler_perf: --before pods of the same kind (preemption: four small ones a node) are there
// before the clock starts.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "base/fake_executor.h"
#include "base/strings.h"
#include "client/testing/fake_client.h"
#include "model/types/core_v1.h"
#include "scheduler/scheduler.h"

namespace estiba {
namespace {

using namespace std::chrono_literals;

std::string quoted(std::string text) {
  for (char& c : text)
    if (c == '\'') c = '"';
  return text;
}

struct Workload {
  std::string labels, spec;  // of the pods that are measured, and of those before
  std::string before = spec;
  std::string cpu = "100m", cpu_before = "100m";
  int zones = 3;
};

std::string pods_near(const std::string& kind, const std::string& key, const std::string& color) {
  return ",'affinity':{'" + kind + "':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':'" + key +
         "','namespaces':['x','y'],'labelSelector':{'matchLabels':{'color':'" + color + "'}}}]}}";
}

std::map<std::string, Workload> workloads() {
  const std::string zone = "topology.kubernetes.io/zone", host = "kubernetes.io/hostname";
  return {
      {"basic", {.spec = ""}},
      {"node-affinity",
       {.spec = ",'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[{'matchExpressions':[{"
                "'key':'" +
                zone + "','operator':'In','values':['z0','z1']}]}]}}}"}},
      {"spread",
       {.labels = "'color':'blue'",
        .spec = ",'topologySpreadConstraints':[{'maxSkew':5,'topologyKey':'" + zone +
                "','whenUnsatisfiable':'DoNotSchedule','labelSelector':{'matchLabels':{'color':'blue'}}}]",
        .before = ""}},
      {"anti-affinity", {.labels = "'color':'green'", .spec = pods_near("podAntiAffinity", host, "green")}},
      {"pod-affinity", {.labels = "'color':'blue'", .spec = pods_near("podAffinity", zone, "blue"), .zones = 1}},
      {"preemption", {.spec = ",'priority':10", .before = "", .cpu = "3", .cpu_before = "900m"}},
  };
}

class Bench {
 public:
  Bench(const Workload& workload, int nodes) : workload_(workload) {
    for (int i = 0; i < nodes; ++i) add_node(i);
    scheduler_ = std::make_unique<scheduler::Scheduler>(server_, executor_);
    scheduler_->start();
    executor_.run();
  }

  void add(int pods, bool before) {
    for (int i = 0; i < pods; ++i) {
      const std::string name = "p" + std::to_string(made_++);
      server_.add(
          client::pods, "x",
          quoted("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" + name + "','labels':{" + workload_.labels +
                 "}},'spec':{'terminationGracePeriodSeconds':0,'containers':[{'name':'c','image':'i','resources':{'requests':{'cpu':'" +
                 (before ? workload_.cpu_before : workload_.cpu) + "','memory':'500Mi'}}}]" + (before ? workload_.before : workload_.spec) +
                 "},'status':{'phase':'Pending'}}"));
    }
  }

  /// Until all pods that are there have a node; false when a minute of the scheduler's time does not do.
  bool settle() {
    executor_.run();
    for (int i = 0; i < 60 && waiting() > 0; ++i) executor_.advance(1s);
    return waiting() == 0;
  }
  int waiting() {
    const auto bound = server_.calls.find("call pods");
    return made_ - (bound == server_.calls.end() ? 0 : bound->second);
  }

 private:
  void add_node(int i) {
    const std::string name = "n" + std::to_string(i), zone = "z" + std::to_string(i % workload_.zones);
    server_.add(client::nodes, "",
                quoted("{'apiVersion':'v1','kind':'Node','metadata':{'name':'" + name + "','labels':{'kubernetes.io/hostname':'" + name +
                       "','topology.kubernetes.io/zone':'" + zone +
                       "'}},'spec':{},'status':{'allocatable':{'cpu':'4','memory':'32Gi','pods':'110'}}}"));
  }

  const Workload& workload_;
  FakeExecutor executor_;
  client::testing::FakeClient server_{executor_};
  std::unique_ptr<scheduler::Scheduler> scheduler_;
  int made_ = 0;
};

int run(int argc, char** argv) {
  std::map<std::string, std::string> given{{"workload", "basic"}, {"nodes", "5000"}, {"pods", "2000"}, {"before", "1000"}};
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const size_t equals = text.find('=');
    if (!text.starts_with("--") || equals == std::string::npos || !given.contains(text.substr(2, equals - 2))) {
      fprintf(stderr, "scheduler_bench: what is %s? --workload=, --nodes=, --pods= or --before=\n", text.c_str());
      return 2;
    }
    given[text.substr(2, equals - 2)] = text.substr(equals + 1);
  }
  const auto all = workloads();
  const auto workload = all.find(given["workload"]);
  if (workload == all.end()) {
    fprintf(stderr, "scheduler_bench: no workload %s\n", given["workload"].c_str());
    return 2;
  }
  const int nodes = parse_number<int>(given["nodes"]).value_or(0), pods = parse_number<int>(given["pods"]).value_or(0);
  Bench bench(workload->second, nodes);
  const bool preempts = workload->first == "preemption";
  bench.add(preempts ? 4 * nodes : parse_number<int>(given["before"]).value_or(0), true);
  if (!bench.settle()) {
    fprintf(stderr, "scheduler_bench: the pods before do not fit\n");
    return 1;
  }
  bench.add(pods, false);
  const auto begin = std::chrono::steady_clock::now();
  const bool placed = bench.settle();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!placed) fprintf(stderr, "scheduler_bench: %d pods found no place\n", bench.waiting());
  printf("{\"pods\": %d, \"seconds\": %.6f}\n", pods - bench.waiting(), seconds);
  return placed ? 0 : 1;
}

}  // namespace
}  // namespace estiba

int main(int argc, char** argv) { return estiba::run(argc, argv); }
