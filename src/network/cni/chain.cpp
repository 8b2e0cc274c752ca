#include "network/cni/chain.h"

#include <unistd.h>

#include <ranges>

#include "base/strings.h"
#include "model/json.h"
#include "network/bandwidth.h"
#include "os/program.h"

namespace estiba::network::cni {

namespace {

constexpr int plugin_time_ms = 60'000;  // kubelet gives a sandbox's network two minutes in all
constexpr int64_t try_again_later = 11;

std::string_view protocol_name(Protocol protocol) { return protocol == Protocol::tcp ? "tcp" : protocol == Protocol::udp ? "udp" : "sctp"; }

json::Node& port_mappings(json::Document& document, const std::vector<HostPort>& ports) {
  json::Node& list = document.make_array();
  for (const HostPort& port : ports) {
    json::Node& mapping = document.append(list, document.make_object());
    document.set(mapping, "hostPort", document.make_int(port.host_port));
    document.set(mapping, "containerPort", document.make_int(port.pod_port));
    document.set(mapping, "protocol", protocol_name(port.protocol));
    if (!port.host_ip.empty()) document.set(mapping, "hostIP", port.host_ip);
  }
  return list;
}

// The conventions' "bandwidth": bits a second, and bits.
json::Node& limits(json::Document& document, const Bandwidth& bandwidth) {
  json::Node& out = document.make_object();
  for (const auto& [rate, rate_key, burst_key] :
       {std::tuple(bandwidth.ingress, "ingressRate", "ingressBurst"), {bandwidth.egress, "egressRate", "egressBurst"}}) {
    if (!rate) continue;
    document.set(out, rate_key, document.make_int(int64_t(rate)));
    document.set(out, burst_key, document.make_int(int64_t(std::min<uint64_t>(burst_of(rate), UINT32_MAX))));
  }
  return out;
}

// What a plugin reads: its own configuration with what is added for this network and pod (CNI specification 1.1, section 3).
Result<std::string> input_of(const NetworkList& list, const Plugin& plugin, const Attachment& attachment, const std::string& previous,
                             const std::vector<std::string>* valid) {
  json::Document document = TRY(json::Document::parse(plugin.text, {.allow_duplicate_keys = true}));
  json::Node& root = document.root();
  document.set(root, "name", list.name);
  document.set(root, "cniVersion", list.version);
  if (plugin.capabilities.contains("portMappings") && !attachment.host_ports.empty())
    document.set(document.ensure_object(root, "runtimeConfig"), "portMappings", port_mappings(document, attachment.host_ports));
  if (plugin.capabilities.contains("bandwidth") && attachment.bandwidth.any())
    document.set(document.ensure_object(root, "runtimeConfig"), "bandwidth", limits(document, attachment.bandwidth));
  if (!previous.empty()) {
    const json::Document result = TRY_AS("the result of an earlier plugin", json::Document::parse(previous));
    document.set(root, "prevResult", document.copy(result.root()));
  }
  if (valid) {
    json::Node& attachments = document.make_array();
    for (const std::string& id : *valid) {
      json::Node& one = document.append(attachments, document.make_object());
      document.set(one, "containerID", id);
      document.set(one, "ifname", attachment.interface_name);
    }
    document.set(root, "cni.dev/valid-attachments", attachments);
  }
  return json::print(root);
}

std::vector<std::string> environment(const char* command, const Attachment& attachment, const std::vector<std::string>& folders) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry; ++entry)
    if (!std::string_view(*entry).starts_with("CNI_")) out.emplace_back(*entry);
  std::string args, path;
  for (const auto& [key, value] : attachment.args) args.append(args.empty() ? "" : ";").append(key).append("=").append(value);
  for (const std::string& folder : folders) path.append(path.empty() ? "" : ":").append(folder);
  out.push_back("CNI_COMMAND=" + std::string(command));
  out.push_back("CNI_CONTAINERID=" + attachment.container_id);
  out.push_back("CNI_NETNS=" + attachment.netns_path);
  out.push_back("CNI_IFNAME=" + attachment.interface_name);
  out.push_back("CNI_ARGS=" + args);
  out.push_back("CNI_PATH=" + path);
  return out;
}

// A plugin that fails says why on its stdout (CNI specification 1.1, section 5, Error).
Error error_of(const os::ProgramResult& run) {
  Error error{Code::internal, 0, {}, nullptr};
  if (auto parsed = json::Document::parse(run.out, {.allow_duplicate_keys = true}); parsed && parsed->root().is_object()) {
    const json::Node& root = parsed->root();
    error.message = root.string_at("msg");
    if (const std::string_view details = root.string_at("details"); !details.empty())
      error.message.append(error.message.empty() ? "" : ": ").append(details);
    if (const json::Node* code = root.find("code"); code && code->as_int() == try_again_later) error.code = Code::unavailable;
  }
  const std::string_view complaint = trim(run.err);
  if (error.message.empty() && !complaint.empty()) error.message = complaint.substr(0, 500);
  if (error.message.empty())
    error.message = run.status.signal ? "it was killed by signal " + std::to_string(run.status.signal)
                                      : "it ended with exit code " + std::to_string(run.status.code) + " and said nothing";
  return error;
}

void add_address(Outcome& outcome, std::string_view address, std::string_view gateway) {
  if (address.empty()) return;
  outcome.ips.emplace_back(address.substr(0, address.find('/')));
  if (outcome.gateway.empty()) outcome.gateway = gateway;
}

}  // namespace

Result<Outcome> parse_outcome(std::string text, std::string_view interface_name) {
  Outcome outcome;
  const json::Document parsed = TRY(json::Document::parse(text, {.allow_duplicate_keys = true}));
  const json::Node& root = parsed.root();
  // Results of 0.1.0 and 0.2.0 have one address of each family.
  for (const char* family : {"ip4", "ip6"}) add_address(outcome, root.string_at(family, "ip"), root.string_at(family, "gateway"));
  const json::Node* interfaces = root.find("interfaces");
  const auto is_the_pods = [&](const json::Node& interface) {
    return !interface.string_at("sandbox").empty() && interface.string_at("name") == interface_name;
  };
  if (interfaces)
    for (const json::Node& interface : *interfaces)
      if (is_the_pods(interface)) outcome.mac = interface.string_at("mac");
  if (const json::Node* ips = root.find("ips"))
    for (const json::Node& ip : *ips) {
      const json::Node* index = ip.find("interface");
      const auto number = index ? index->as_int() : std::nullopt;
      if (number && interfaces && *number >= 0 && *number < int64_t(interfaces->size()) && !is_the_pods((*interfaces)[uint32_t(*number)]))
        continue;
      add_address(outcome, ip.string_at("address"), ip.string_at("gateway"));
    }
  if (outcome.ips.empty()) return fail(Code::invalid, "the result has no address for " + std::string(interface_name));
  outcome.text = std::move(text);
  return outcome;
}

Result<std::string> Chain::find(const Plugin& plugin) const {
  for (const std::string& folder : folders_) {
    std::string path = folder + "/" + plugin.type;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  std::string all;
  for (const std::string& folder : folders_) all.append(all.empty() ? "" : ", ").append(folder);
  return fail(Code::unavailable, "there is no such program in " + all + " (--cni-bin-dir)");
}

Result<std::string> Chain::run(const char* command, const Plugin& plugin, const Attachment& attachment, const std::string& previous,
                               const std::vector<std::string>* valid) const {
  const std::string what = "CNI network " + list_.name + ", plugin " + plugin.type + ", " + command;
  os::SpawnOptions options;
  options.argv = {TRY_AS(what, find(plugin))};
  options.env = environment(command, attachment, folders_);
  const std::string input = TRY_AS(what, input_of(list_, plugin, attachment, previous, valid));
  os::ProgramResult run = TRY_AS(what, os::run_program(std::move(options), input, plugin_time_ms));
  if (run.status.code != 0) return std::unexpected(error_of(run).context(what));
  return std::move(run.out);
}

Result<Outcome> Chain::add(const Attachment& attachment) const {
  const auto all = [&]() -> Result<Outcome> {
    std::string result;
    for (const Plugin& plugin : list_.plugins) result = TRY(run("ADD", plugin, attachment, result));
    return within("CNI network " + list_.name, parse_outcome(std::move(result), attachment.interface_name));
  };
  auto outcome = all();
  // The error of the first is the one to be told.
  if (!outcome) (void)remove(attachment, {});
  return outcome;
}

Result<void> Chain::remove(const Attachment& attachment, const std::string& result) const {
  Result<void> done;
  const std::string previous = list_.speaks("0.4.0") ? result : std::string();
  // The others are told even if one fails, so that as little as possible stays.
  for (const Plugin& plugin : list_.plugins | std::views::reverse)
    if (auto removed = run("DEL", plugin, attachment, previous); !removed && done) done = std::unexpected(std::move(removed.error()));
  return done;
}

Result<void> Chain::check(const Attachment& attachment, const std::string& result) const {
  if (!list_.check) return {};
  for (const Plugin& plugin : list_.plugins) TRY(run("CHECK", plugin, attachment, result));
  return {};
}

Result<void> Chain::status() const {
  for (const Plugin& plugin : list_.plugins) {
    if (list_.speaks("1.1.0")) TRY(run("STATUS", plugin, {}, {}));
    else TRY_AS("CNI network " + list_.name + ", plugin " + plugin.type, find(plugin));
  }
  return {};
}

Result<void> Chain::collect_garbage(const std::vector<std::string>& container_ids) const {
  if (!list_.gc) return {};
  Result<void> done;
  for (const Plugin& plugin : list_.plugins)
    if (auto run = this->run("GC", plugin, {}, {}, &container_ids); !run && done) done = std::unexpected(std::move(run.error()));
  return done;
}

}  // namespace estiba::network::cni
