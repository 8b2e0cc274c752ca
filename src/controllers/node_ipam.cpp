// Node IPAM: a node that says nothing of its pods' addresses gets the first part of the cluster's range that no node has, of both ranges
// where there are two (kube-controller-manager's --allocate-node-cidrs, range allocator). What a node has it keeps.
#include "base/log.h"
#include "base/strings.h"
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/node_ranges.h"
#include "controllers/table.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Node;

namespace {

class NodeIpam final : public Controller {
 public:
  // One worker: of two nodes at once both would get the same part.
  explicit NodeIpam(Context& context) : Controller(context, "node-ipam", {.workers = 1}), nodes_(watch(client::nodes)) {
    nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const auto same = [](const Node& a, const Node& b) { return a.spec.podCIDR == b.spec.podCIDR && a.spec.podCIDRs == b.spec.podCIDRs; };
      if (before && after && same(before.as<Node>(), after.as<Node>())) return;
      if (before) each_part(before, &NodeRanges::give_back);
      if (after) each_part(after, &NodeRanges::take);
      // A part that came free is for those who wait.
      if (!before || after) return;
      for (const ObjectRef& node : nodes_.list())
        if (node.as<Node>().spec.podCIDR.empty()) enqueue(node);
    });
  }

 private:
  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef node = nodes_.get(name);
    if (context_.options.pod_cidr.empty() || !node || !node.as<Node>().spec.podCIDR.empty()) co_return {};
    CO_TRY(make_ranges());
    auto parts = free_parts();
    if (!parts) {
      events_.record(node, client::EventType::warning, "CIDRNotAvailable", "Node " + name + " status is now: CIDRNotAvailable");
      // Told once for all who wait; a part that comes free wakes them, and asking again before brings none.
      if (!exhausted_) log::warn("node-ipam", "nodes get no addresses for their pods", {{"node", name}, {"error", parts.error()}});
      exhausted_ = true;
      co_return {};
    }
    exhausted_ = false;
    client::JsonWriter json;
    json.object().object("metadata").field("resourceVersion", node.resource_version()).field("uid", node.meta().uid).end();
    json.object("spec").field("podCIDR", parts->front()).array("podCIDRs");
    for (const std::string& part : *parts) json.value(part);
    json.end().end().end();
    auto written = co_await client_.patch(client::nodes, "", name, client::PatchType::merge, json.take());
    if (!written) co_return std::unexpected(std::move(written.error()).context("give node " + name + " its pods' addresses"));
    nodes_.observe(*written);
    log::info("node-ipam", "a node has its pods' addresses", {{"node", name}, {"podCIDRs", join(*parts, ",")}});
    co_return {};
  }

  // The first time, with what nodes have so far; afterwards their changes are followed.
  Result<void> make_ranges() {
    if (!ranges_.empty()) return {};
    std::vector<NodeRanges> made;
    for (const Prefix& range : TRY_AS("--pod-cidr", parse_ranges(context_.options.pod_cidr)))
      made.push_back(TRY(NodeRanges::make(range, range.address.v6 ? context_.options.node_cidr_mask_v6 : context_.options.node_cidr_mask)));
    ranges_ = std::move(made);
    nodes_.each([this](const ObjectRef& node) { each_part(node, &NodeRanges::take); });
    return {};
  }

  void each_part(const ObjectRef& node, void (NodeRanges::*what)(std::string_view)) {
    const auto& spec = node.as<Node>().spec;
    for (NodeRanges& range : ranges_) {
      if (spec.podCIDRs.empty()) (range.*what)(spec.podCIDR);
      for (const std::string& cidr : spec.podCIDRs) (range.*what)(cidr);
    }
  }

  // One of each of the cluster's ranges.
  Result<std::vector<std::string>> free_parts() const {
    std::vector<std::string> out;
    for (const NodeRanges& range : ranges_) out.push_back(TRY(range.free()));
    return out;
  }

  client::Informer& nodes_;
  std::vector<NodeRanges> ranges_;  // empty until the first node wants a part
  bool exhausted_ = false;          // and said so
};

}  // namespace

std::unique_ptr<Controller> make_node_ipam(Context& context) { return std::make_unique<NodeIpam>(context); }

}  // namespace estiba::controllers
