#include "server/agent_options.h"

#include <unistd.h>

#include <algorithm>

#include "base/go_duration.h"
#include "base/strings.h"
#include "io/http.h"
#include "network/address.h"
#include "os/file.h"
#include "server/options.h"

namespace estiba::server {

namespace {

void declare(cli::Flags& flags, AgentOptions& o) {
  flags.add("server", &o.server, "URL of the cluster's API server, https://ADDRESS:6443");
  flags.add("token", &o.token, "lets this machine in, the first time: what `estiba token create` prints on a server");
  flags.add("token-file", &o.token_file, "file that holds the token");
  flags.add("config", &o.config, "YAML file with these flags as keys");
  flags.add("data-dir", &o.data_dir, "where what must last is kept; below agent/ this node's key and certificates");
  flags.add("run-dir", &o.run_dir, "sockets, namespaces and process state; gone after a reboot");
  flags.add("node-name", &o.node_name, "name of this machine's Node; the host name when empty");
  flags.add("node-ip", &o.node_ip,
            "address by which the other nodes reach this one, or one of each family with a comma between them; the one towards the server "
            "when empty, also when it changes");
  flags.add("node-labels", &o.node_labels, "KEY=VALUE[,…] of the Node, when it is made; may be repeated");
  flags.add("register-with-taints", &o.node_taints, "KEY[=VALUE]:EFFECT[,…] of the Node, when it is made; may be repeated");
  o.node_flags.declare(flags);
  flags.add("node-lease-duration", &o.lease_duration,
            "the node says that it lives four times in it; see the server's --node-monitor-grace-period");
  flags.add("log-format", &o.log_format, "text or json");
  flags.add("verbosity,v", &o.verbosity, "0 logs what happens, 1 and more also details");
}

Result<void> check_server(AgentOptions& o) {
  if (o.server.empty()) return fail(Code::invalid, "--server is needed: the URL of the cluster's API server, https://ADDRESS:6443");
  while (o.server.ends_with('/')) o.server.pop_back();
  const auto url = io::Url::parse(o.server);
  if (!url || url->scheme != "https" || url->target != "/")
    return fail(Code::invalid, "--server must be https://ADDRESS:PORT, not " + quoted(o.server));
  o.server_host = url->host;
  return {};
}

Result<void> check_node(AgentOptions& o) {
  for (const std::string& list : o.node_labels)
    for (std::string_view text : split(list, ',')) {
      const auto [key, value] = split_once(text, '=');
      if (!value || key.empty()) return fail(Code::invalid, "--node-labels must be KEY=VALUE, not " + quoted(text));
      o.labels[std::string(key)] = *value;
    }
  for (const std::string& list : o.node_taints)
    for (std::string_view text : split(list, ',')) o.taints.push_back(TRY_AS("--register-with-taints", parse_taint(text)));
  if (!o.node_ip.empty())
    for (std::string_view ip : split(o.node_ip, ',')) TRY_AS("--node-ip", network::Address::parse(ip));
  o.housekeeping = TRY(o.node_flags.read());
  o.lease = TRY(parse_duration_flag("node-lease-duration", o.lease_duration, std::chrono::seconds(1)));
  if (o.node_name.empty()) {
    char name[256] = {};
    gethostname(name, sizeof name - 1);
    o.node_name = to_lower(name);
  }
  return {};
}

Result<void> check(AgentOptions& o) {
  TRY(check_server(o));
  if (!o.token.empty() && !o.token_file.empty()) return fail(Code::invalid, "--token and --token-file: one of them, not both");
  if (!o.token_file.empty()) o.token = TRY_AS("--token-file", os::read_file(o.token_file));
  if (!o.token.empty()) o.join = TRY_AS(o.token_file.empty() ? "--token" : "--token-file", client::parse_join_token(o.token));
  TRY(check_node(o));
  if (o.log_format != "text" && o.log_format != "json")
    return fail(Code::invalid, "--log-format is text or json, not " + quoted(o.log_format));
  for (const auto* dir : {&o.data_dir, &o.run_dir})
    if (!dir->starts_with('/')) return fail(Code::invalid, "--data-dir and --run-dir must be absolute paths, not " + quoted(*dir));
  return {};
}

}  // namespace

Result<model::core_v1::Taint> parse_taint(std::string_view text) {
  const auto [rest, effect] = split_once(text, ':');
  const auto [key, value] = split_once(rest, '=');
  static constexpr std::string_view effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};
  if (!effect || key.empty() || std::ranges::find(effects, *effect) == std::end(effects))
    return fail(Code::invalid,
                "a taint must be KEY[=VALUE]:EFFECT with the effect NoSchedule, PreferNoSchedule or NoExecute, not " + quoted(text));
  model::core_v1::Taint taint;
  taint.key = key;
  taint.value = value.value_or("");
  taint.effect = *effect;
  return taint;
}

Result<AgentOptions> read_agent_options(const cli::Arguments& arguments) {
  AgentOptions options;
  cli::Flags flags("estiba agent --server URL --token TOKEN [FLAGS]");
  declare(flags, options);
  const cli::Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    options.help = true;
    options.help_text = flags.help();
    return options;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes flags only, not " + quoted(rest[0]));
  auto text = os::read_file(options.config);
  if (text) TRY(apply_config(flags, options.config, *text));
  else if (text.error().code != Code::not_found || flags.given("config")) return std::unexpected(text.error().context("configuration"));
  TRY(check(options));
  return options;
}

}  // namespace estiba::server
