// Nodes made by a program of the administrator's: the node groups' `exec` (docs/autoscaling-nodes.md is its manual).
#pragma once
#include <string>

#include "autoscale/provider.h"

namespace estiba::server {

class ExecNodes final : public autoscale::Provider {
 public:
  /// `server` is the URL by which nodes reach the API; `program` the path of this program, for those that start agents on this machine.
  ExecNodes(std::string server, std::string program);

  Task<Result<std::vector<autoscale::Machine>>> list(const autoscale::NodeGroup& group) override;
  Task<Result<void>> create(const autoscale::NodeGroup& group, std::string name, std::string join_token) override;
  Task<Result<void>> remove(const autoscale::NodeGroup& group, std::string name) override;

 private:
  Task<Result<std::string>> run(const autoscale::NodeGroup* group, std::string command, std::string name, std::string token);

  const std::string server_, program_;
};

/// The answer to `list`: {"nodes":[{"name":"…","state":"failed","message":"…"}]}. Malformed says what is wrong with it.
Result<std::vector<autoscale::Machine>> parse_machines(std::string_view text);

/// What a program is told, as JSON on its stdin.
std::string exec_request(const autoscale::NodeGroup& group, std::string_view command, std::string_view name, std::string_view server,
                         std::string_view token);

}  // namespace estiba::server
