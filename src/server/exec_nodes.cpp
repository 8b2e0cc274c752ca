#include "server/exec_nodes.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "client/json_writer.h"
#include "io/pool.h"
#include "model/quantity.h"
#include "os/program.h"

namespace estiba::server {

using autoscale::Machine;
using autoscale::NodeGroup;

namespace {

// So many programs at once. Never destroyed: the end of the server must not wait for a program that hangs; what it was asked for is asked
// for again, or found, by the next server.
io::Pool& program_pool() {
  static io::Pool& pool = *new io::Pool(8);
  return pool;
}

// KEY=VALUE,… as the agent's flags have labels and taints.
std::string label_list(const NodeGroup& group) {
  std::string out;
  for (const auto& [key, value] : group.node.labels) out.append(out.empty() ? "" : ",").append(key).append("=").append(value);
  return out;
}
std::string taint_list(const NodeGroup& group) {
  std::string out;
  for (const auto& taint : group.node.taints)
    out.append(out.empty() ? "" : ",").append(taint.key).append(taint.value.empty() ? "" : "=" + taint.value).append(":" + taint.effect);
  return out;
}

// Scripts in a shell read these, and no JSON.
std::vector<std::string> environment(const NodeGroup& group, const std::string& command, const std::string& name, const std::string& server,
                                     const std::string& token, const std::string& program) {
  std::vector<std::string> out;
  const auto is_ours = [&](std::string_view entry) {
    const std::string key(split_once(entry, '=').first);
    return key.starts_with("ESTIBA_NODES_") || group.exec.env.contains(key);
  };
  for (char** entry = environ; *entry; ++entry)
    if (!is_ours(*entry)) out.emplace_back(*entry);
  for (const auto& [key, value] : group.exec.env) out.push_back(key + "=" + value);
  const auto amount = [&](const char* resource) {
    const auto found = group.node.allocatable.find(resource);
    return found == group.node.allocatable.end() ? std::string() : found->second;
  };
  for (const auto& [key, value] : {std::pair<const char*, std::string>{"COMMAND", command},
                                   {"GROUP", group.name},
                                   {"NAME", name},
                                   {"SERVER", server},
                                   {"TOKEN", token},
                                   {"LABELS", label_list(group)},
                                   {"TAINTS", taint_list(group)},
                                   {"CPU_MILLIS", std::to_string(model::quantity_to_milli(amount("cpu")))},
                                   {"MEMORY_BYTES", std::to_string(model::quantity_to_int64(amount("memory")))},
                                   {"ESTIBA", program}})
    out.push_back("ESTIBA_NODES_" + std::string(key) + "=" + value);
  return out;
}

// What a failed program has said, in one line of bounded length.
std::string told(const os::ProgramResult& result) {
  std::string text(trim(result.err.empty() ? result.out : result.err));
  std::ranges::replace(text, '\n', ' ');
  if (text.size() > 500) text = text.substr(0, 500) + "…";
  return text.empty() ? "it says nothing" : text;
}

}  // namespace

std::string exec_request(const NodeGroup& group, std::string_view command, std::string_view name, std::string_view server,
                         std::string_view token) {
  client::JsonWriter json;
  json.object().field("apiVersion", "estiba.io/v1").field("kind", "NodeGroupRequest").field("command", command);
  json.object("group").field("name", group.name).field("min", group.min).field("max", group.max).object("allocatable");
  for (const auto& [resource, amount] : group.node.allocatable) json.field(resource, amount);
  json.end().object("labels");
  for (const auto& [key, value] : group.node.labels) json.field(key, value);
  json.end().array("taints");
  for (const auto& taint : group.node.taints)
    json.object().field("key", taint.key).optional("value", taint.value).field("effect", taint.effect).end();
  json.end().end().optional("name", name).optional("server", server).optional("token", token).end();
  return json.take();
}

Result<std::vector<Machine>> parse_machines(std::string_view text) {
  const json::Document document = TRY(json::Document::parse(text));
  const json::Node* nodes = document.root().find("nodes");
  if (!nodes || !nodes->is_array()) return fail(Code::malformed, "the answer must be {\"nodes\":[…]}");
  std::vector<Machine> out;
  for (const json::Node& node : *nodes) {
    const std::string_view state = node.string_at("state");
    Machine machine{std::string(node.string_at("name")), state == "failed", std::string(node.string_at("message"))};
    if (machine.name.empty()) return fail(Code::malformed, "nodes[" + std::to_string(out.size()) + "].name is missing");
    if (!state.empty() && state != "creating" && state != "running" && state != "failed")
      return fail(Code::malformed,
                  "nodes[" + std::to_string(out.size()) + "].state must be creating, running or failed, not " + quoted(state));
    out.push_back(std::move(machine));
  }
  return out;
}

ExecNodes::ExecNodes(std::string server, std::string program) : server_(std::move(server)), program_(std::move(program)) {}

Task<Result<std::string>> ExecNodes::run(const NodeGroup* group, std::string command, std::string name, std::string token) {
  os::SpawnOptions spawn{.argv = group->exec.command, .env = environment(*group, command, name, server_, token, program_)};
  spawn.new_session = true;  // what it leaves running hears nothing of signals to this process's group
  const int64_t limit = std::chrono::duration_cast<std::chrono::milliseconds>(group->exec.timeout).count();
  std::string input = exec_request(*group, command, name, server_, token);
  auto result = co_await program_pool().run([spawn = std::move(spawn), input = std::move(input), limit] {
    return os::run_program(spawn, input, int(std::min<int64_t>(limit, INT32_MAX)));
  });
  const std::string what = group->exec.command[0] + " " + command;
  if (!result) co_return std::unexpected(std::move(result.error()).context(what));
  if (result->status.code != 0)
    co_return fail(Code::unavailable, what + " ended with " + std::to_string(result->status.code) + ": " + told(*result));
  co_return std::move(result->out);
}

Task<Result<std::vector<Machine>>> ExecNodes::list(const NodeGroup& group) {
  const std::string answer = CO_TRY(co_await run(&group, "list", "", ""));
  co_return within(group.exec.command[0] + " list", parse_machines(answer));
}

Task<Result<void>> ExecNodes::create(const NodeGroup& group, std::string name, std::string join_token) {
  CO_TRY(co_await run(&group, "create", std::move(name), std::move(join_token)));
  co_return {};
}

Task<Result<void>> ExecNodes::remove(const NodeGroup& group, std::string name) {
  CO_TRY(co_await run(&group, "delete", std::move(name), ""));
  co_return {};
}

}  // namespace estiba::server
