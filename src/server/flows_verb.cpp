#include "server/flows_verb.h"

#include <cstdio>
#include <thread>

#include "base/strings.h"
#include "cli/kube_client.h"
#include "io/loop.h"
#include "network/flows.h"

namespace estiba::server {

namespace {

constexpr client::Resource network_policies{"networking.k8s.io", "v1", "networkpolicies"};

struct FlowsOptions {
  std::string kubeconfig = "/etc/estiba/kubeconfig", output, ns, pod;
  bool watch = false;
};

Task<Result<network::Directory>> read_names(client::Client* client) {
  network::Directory names;
  for (const auto& pod : CO_TRY(co_await client->list(client::pods, "")).items) names.add_pod(pod);
  for (const auto& service : CO_TRY(co_await client->list(client::services, "")).items) names.add_service(service);
  for (const auto& node : CO_TRY(co_await client->list(client::nodes, "")).items) names.add_node(node);
  for (const auto& policy : CO_TRY(co_await client->list(network_policies, "")).items) names.add_policy(policy);
  co_return names;
}

Result<std::vector<network::Flow>> read_flows(io::Loop& loop, client::Client& client, const FlowsOptions& options) {
  const auto names = TRY(loop.block_on(read_names(&client)));
  const auto kernel = TRY(network::read_kernel());
  auto flows =
      network::flows_of(kernel.connections, kernel.denied, names, std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()));
  const network::FlowFilter filter{.ns = options.ns, .pod = options.pod};
  std::erase_if(flows, [&](const network::Flow& flow) { return !filter.wants(flow); });
  return flows;
}

void print(const std::vector<network::Flow>& flows, const FlowsOptions& options, bool heading) {
  const std::string text = options.output == "json" ? network::flows_json(flows) + "\n" : network::flows_table(flows, heading);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// What is new, and what has carried packets since it was printed.
Result<int> watch(io::Loop& loop, client::Client& client, const FlowsOptions& options) {
  std::map<std::string, uint64_t> printed;  // packets
  for (bool first = true;; first = false) {
    auto flows = TRY(read_flows(loop, client, options));
    std::map<std::string, uint64_t> now;
    std::erase_if(flows, [&](const network::Flow& flow) {
      const std::string key = join({flow.source.address.text(), flow.destination.address.text(), std::to_string(flow.destination.port),
                                    flow.service.address.text(), flow.protocol, flow.denied ? "denied" : ""},
                                   " ");
      now[key] = flow.packets;
      const auto before = printed.find(key);
      return before != printed.end() && before->second == flow.packets;
    });
    if (first || !flows.empty()) print(flows, options, first);
    if (std::ferror(stdout)) return 0;
    printed = std::move(now);
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace

Result<int> run_flows(const cli::Arguments& arguments) {
  FlowsOptions options;
  cli::Flags flags("estiba network flows [FLAGS]");
  flags.add("kubeconfig", &options.kubeconfig, "the administrator's, which the server has written");
  flags.add("output,o", &options.output, "json, or nothing for a table");
  flags.add("namespace,n", &options.ns, "only flows from or to this namespace");
  flags.add("pod", &options.pod, "only flows from or to the pod of this name");
  flags.add("watch,w", &options.watch, "go on, each second with what is new or goes on");
  const cli::Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes flags only, not " + quoted(rest[0]));
  if (!options.output.empty() && options.output != "json")
    return fail(Code::invalid, "--output is json or nothing, not " + quoted(options.output));
  io::Loop loop;
  const cli::KubeAccess access = TRY(cli::open_kubeconfig(options.kubeconfig));
  if (options.watch) return watch(loop, *access.client, options);
  print(TRY(read_flows(loop, *access.client, options)), options, true);
  return 0;
}

}  // namespace estiba::server
