#include "autoscale/status.h"

#include "base/time.h"
#include "client/json_writer.h"
#include "model/json.h"

namespace estiba::autoscale {

namespace {

struct Counts {
  int64_t all = 0, ready = 0, coming = 0, unregistered = 0, candidates = 0;
};

Counts count(Fleet& fleet, const World& world, const NodeGroup* group, const Findings& findings) {
  Counts out;
  for (const Member* member : fleet.members()) {
    if (group && member->group != group) continue;
    const model::ObjectRef node = world.node(member->name);
    if (!node) {
      ++out.unregistered;
      continue;
    }
    ++out.all;
    if (is_ready(node)) ++out.ready;
    else if (!member->up) ++out.coming;
    if (findings.unneeded.contains(member->name)) ++out.candidates;
  }
  return out;
}

void print_health(std::string& out, const std::string& indent, bool healthy, const Counts& counts) {
  const auto number = [](int64_t n) { return std::to_string(n); };
  out += indent + "health:\n" + indent + "  status: " + (healthy ? "Healthy" : "Unhealthy") + "\n";
  out += indent + "  nodeCounts:\n" + indent + "    registered:\n";
  out += indent + "      total: " + number(counts.all) + "\n" + indent + "      ready: " + number(counts.ready) + "\n";
  out += indent + "      notStarted: " + number(counts.coming) + "\n" + indent + "    unregistered: " + number(counts.unregistered) + "\n";
}

void print_down(std::string& out, const std::string& indent, const Counts& counts) {
  out += indent + "scaleDown:\n" + indent + "  status: " + (counts.candidates > 0 ? "CandidatesPresent" : "NoCandidates") + "\n";
  if (counts.candidates > 0) out += indent + "  candidates: " + std::to_string(counts.candidates) + "\n";
}

}  // namespace

std::string status_text(Fleet& fleet, const World& world, const NodeGroups& groups, const Findings& findings) {
  const Counts all = count(fleet, world, nullptr, findings);
  std::string out = std::string("autoscalerStatus: ") + (findings.complete ? "Running" : "Initializing") + "\nclusterWide:\n";
  print_health(out, "  ", findings.complete, all);
  out += std::string("  scaleUp:\n    status: ") + (fleet.coming() > 0 ? "InProgress" : "NoActivity") + "\n";
  print_down(out, "  ", all);
  out += "nodeGroups:\n";
  for (const NodeGroup& group : groups.groups) {
    const Counts counts = count(fleet, world, &group, findings);
    const std::string failure = fleet.failure(group);
    out += "- name: " + group.name + "\n";
    print_health(out, "  ", failure.empty() && fleet.refusal(group).empty(), counts);
    out += "    cloudProviderTarget: " + std::to_string(fleet.size(group)) + "\n    minSize: " + std::to_string(group.min) +
           "\n    maxSize: " + std::to_string(group.max) + "\n  scaleUp:\n";
    if (!failure.empty()) {
      std::string quoted;
      json::append_string(quoted, failure);
      out += "    status: Backoff\n    backoffInfo:\n      errorMessage: " + quoted + "\n";
    } else {
      out += std::string("    status: ") + (counts.coming + counts.unregistered > 0 ? "InProgress" : "NoActivity") + "\n";
    }
    print_down(out, "  ", counts);
  }
  return out;
}

Task<Result<void>> StatusWriter::write(std::string text) {
  if (text == last_) co_return {};
  const std::string now = format_rfc3339(executor_.wall_now());
  client::JsonWriter json;
  json.object().field("apiVersion", "v1").field("kind", "ConfigMap").object("metadata").field("name", status_target.name);
  json.field("namespace", status_target.ns).object("annotations").field("cluster-autoscaler.kubernetes.io/last-updated", now).end().end();
  json.object("data").field("status", "time: " + now + "\n" + text).end().end();
  const std::string body = json.take();
  auto written = co_await client_.patch(client::configmaps, status_target.ns, status_target.name, client::PatchType::merge, body);
  if (!written && written.error().code == Code::not_found) written = co_await client_.create(client::configmaps, status_target.ns, body);
  if (!written) co_return std::unexpected(std::move(written.error()).context("write the status"));
  last_ = std::move(text);
  co_return {};
}

}  // namespace estiba::autoscale
