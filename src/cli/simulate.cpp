// estiba simulate: hollow nodes against a real server.

#include <cstdio>

#include "base/go_duration.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/hollow_nodes.h"
#include "cli/kube_client.h"
#include "cli/verbs.h"
#include "io/loop.h"
#include "model/quantity.h"
#include "os/signals.h"

namespace estiba::cli {

namespace {

Result<size_t> count_of(const char* flag, int64_t number, int64_t least, int64_t most) {
  if (number < least || number > most)
    return fail(Code::invalid, std::string(flag) + " must be between " + std::to_string(least) + " and " + std::to_string(most) + ", not " +
                                   std::to_string(number));
  return size_t(number);
}

Task<void> start(HollowNodes* nodes, Result<void>* started, Event* over) {
  *started = co_await nodes->start();
  if (!*started) co_return over->set();
  log::info("simulate", "ready", {{"nodes", nodes->counts().nodes}});
}

Task<void> wait_for_signal(io::Loop* loop, int signals, Event* over) {
  co_await loop->readable(signals);
  over->set();
}

Task<Result<void>> serve(io::Loop* loop, client::Client* client, HollowOptions options, bool keep, int signals) {
  HollowNodes nodes(*client, *loop, std::move(options));
  Result<void> started;
  Event over;
  {
    const Job starting(start(&nodes, &started, &over)), signalled(wait_for_signal(loop, signals, &over));
    co_await over.wait();
  }
  CO_TRY(std::move(started));
  if (keep) co_return {};
  log::info("simulate", "removing the nodes; --keep leaves them");
  co_return co_await nodes.remove();
}

}  // namespace

Result<int> simulate(const Arguments& arguments) {
  std::string kubeconfig = "/etc/estiba/kubeconfig", server, lease = "40s", start = "0s", job = "0s", stop = "0s";
  HollowOptions options;
  int64_t nodes = 10, pods = int64_t(options.pods), zones = int64_t(options.zones);
  bool keep = false;
  Flags flags("estiba simulate [FLAGS]");
  flags.add("kubeconfig", &kubeconfig, "whose cluster the nodes join, by which rights");
  flags.add("server", &server, "https://ADDRESS:PORT instead of the kubeconfig's");
  flags.add("nodes", &nodes, "how many hollow nodes");
  flags.add("name-prefix", &options.prefix, "their names begin so; several simulators need different ones");
  flags.add("pods-per-node", &pods, "that a node has room for");
  flags.add("cpu", &options.cpu, "of a node");
  flags.add("memory", &options.memory, "of a node");
  flags.add("zones", &zones, "over which they are spread, as topology.kubernetes.io/zone; 0: none");
  flags.add("lease-duration", &lease, "of a node's lease, which is renewed four times as often");
  flags.add("start-time", &start, "from a pod's binding to its being ready");
  flags.add("job-time", &job,
            "how long pods run whose restartPolicy is not Always; their annotation simulate.estiba.io/seconds says otherwise");
  flags.add("stop-time", &stop, "from a pod's deletion to its end, within its grace period");
  flags.add("keep", &keep, "leave the nodes in the cluster at the end");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes flags only, not " + quoted(rest[0]));
  options.nodes = TRY(count_of("--nodes", nodes, 1, 100'000));
  options.pods = TRY(count_of("--pods-per-node", pods, 0, 10'000));
  options.zones = TRY(count_of("--zones", zones, 0, 1'000));
  options.lease = TRY(parse_duration_flag("lease-duration", lease));
  if (options.lease < std::chrono::seconds(1))
    return fail(Code::invalid, "--lease-duration must be a second or more, not " + quoted(lease));
  options.start = TRY(parse_duration_flag("start-time", start));
  options.job = TRY(parse_duration_flag("job-time", job));
  options.stop = TRY(parse_duration_flag("stop-time", stop));
  TRY_AS("--cpu", model::Quantity::parse(options.cpu));
  TRY_AS("--memory", model::Quantity::parse(options.memory));
  if (options.prefix.empty()) return fail(Code::invalid, "--name-prefix must not be empty");
  Fd signals = TRY(os::ending_signals());
  io::Loop loop;
  KubeAccess access = TRY(open_kubeconfig(kubeconfig, server));
  TRY(loop.block_on(serve(&loop, access.client.get(), std::move(options), keep, signals.get())));
  return 0;
}

}  // namespace estiba::cli
