// What `estiba agent` is told: flags, and the same names as keys of a YAML file. Flags win over the file.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "cli/flags.h"
#include "client/join_token.h"
#include "model/types/core_v1.h"
#include "server/node_flags.h"

namespace estiba::server {

struct AgentOptions {
  std::string server;  ///< "https://10.0.0.1:6443"
  std::string token, token_file;
  std::string config = "/etc/estiba/agent.yaml";
  std::string data_dir = "/var/lib/estiba", run_dir = "/run/estiba";
  std::string node_name, node_ip;
  std::vector<std::string> node_labels, node_taints;
  NodeFlags node_flags;
  std::string lease_duration = "40s";
  std::string log_format = "text";
  int64_t verbosity = 0;
  bool help = false;
  std::string help_text;

  // What the texts above say.
  std::string server_host;
  std::optional<client::JoinToken> join;
  std::map<std::string, std::string> labels;
  std::vector<model::core_v1::Taint> taints;
  Duration lease{};
  node::Housekeeping housekeeping;

  /// Keys and certificates of this node.
  std::string identity_dir() const { return data_dir + "/agent"; }
};

/// Errors name the flag, or the file and the key. The default file may be missing.
Result<AgentOptions> read_agent_options(const cli::Arguments& arguments);

/// "KEY=VALUE:EFFECT", "KEY:EFFECT" as kubelet's --register-with-taints has them; errors name the text.
Result<model::core_v1::Taint> parse_taint(std::string_view text);

}  // namespace estiba::server
