#include "ingress/gateway_status.h"

#include <algorithm>

#include "base/time.h"
#include "client/json_writer.h"

namespace estiba::ingress {

using client::JsonWriter;
using json::Node;

namespace {

json::Document parsed(const model::ObjectRef& object) {
  auto document = json::Document::parse(object.object->json());
  return document ? std::move(*document) : json::Document();
}

std::string status_word(const Condition& condition) { return condition.status ? "True" : "False"; }

// `written`: the conditions that there are, or null.
void write_conditions(JsonWriter& json, const std::vector<Condition>& conditions, const Node* written, int64_t generation, WallTime now) {
  json.array("conditions");
  for (const Condition& one : conditions) {
    std::string since = format_rfc3339(now);
    if (written)
      for (const Node& old : *written)
        if (old.string_at("type") == one.type && old.string_at("status") == status_word(one)) since = old.string_at("lastTransitionTime");
    json.object()
        .field("type", one.type)
        .field("status", status_word(one))
        .field("observedGeneration", generation)
        .field("lastTransitionTime", since)
        .field("reason", one.reason)
        .field("message", one.message)
        .end();
  }
  json.end();
}

// The patch, unless each member of the wanted status is there already.
std::optional<std::string> patch_unless_same(const json::Document& object, std::string status) {
  const auto wanted = json::Document::parse(status);
  if (!wanted) return std::nullopt;
  const Node* now = object.root().find("status");
  const bool same = now && std::all_of(wanted->root().begin(), wanted->root().end(), [&](const Node& member) {
                      const Node* there = now->find(member.key());
                      return there ? json::equal(*there, member) : member.empty();
                    });
  if (same) return std::nullopt;
  return "{\"status\":" + status + "}";
}

const Node* listener_of(const json::Document& gateway, std::string_view name) {
  if (const Node* listeners = gateway.root().at("status", "listeners"))
    for (const Node& one : *listeners)
      if (one.string_at("name") == name) return &one;
  return nullptr;
}

const Node* parent_of(const Node* parents, const Node& ref) {
  if (parents)
    for (const Node& one : *parents)
      if (const Node* its = one.find("parentRef"); its && one.string_at("controllerName") == gateway_controller && json::equal(*its, ref))
        return &one;
  return nullptr;
}

}  // namespace

std::optional<std::string> gateway_class_patch(const model::ObjectRef& gateway_class, WallTime now) {
  const json::Document object = parsed(gateway_class);
  Condition accepted{"Accepted", true, "Accepted", ""};
  if (object.root().at("spec", "parametersRef"))
    accepted = {"Accepted", false, "InvalidParameters", "there are no parameters of this controller"};
  JsonWriter json;
  json.object();
  write_conditions(json, {accepted}, object.root().at("status", "conditions"), gateway_class.meta().generation, now);
  json.end();
  return patch_unless_same(object, json.take());
}

std::optional<std::string> gateway_patch(const GatewayStatus& status, const std::vector<std::string>& addresses, WallTime now) {
  const json::Document object = parsed(status.object);
  const int64_t generation = status.object.meta().generation;
  auto conditions = status.conditions;
  if (!status.serves) conditions.push_back({"Programmed", false, "Invalid", "no listener can be served"});
  else if (addresses.empty()) conditions.push_back({"Programmed", false, "AddressNotAssigned", "no node is ready"});
  else conditions.push_back({"Programmed", true, "Programmed", ""});
  JsonWriter json;
  json.object().array("addresses");
  if (status.serves)
    for (const std::string& address : addresses) json.object().field("type", "IPAddress").field("value", address).end();
  json.end();
  write_conditions(json, conditions, object.root().at("status", "conditions"), generation, now);
  json.array("listeners");
  for (const ListenerStatus& one : status.listeners) {
    const Node* old = listener_of(object, one.name);
    json.object().field("name", one.name).field("attachedRoutes", one.attached).array("supportedKinds");
    for (const auto& [group, kind] : one.kinds) json.object().field("group", group).field("kind", kind).end();
    json.end();
    write_conditions(json, one.conditions, old ? old->find("conditions") : nullptr, generation, now);
    json.end();
  }
  json.end().end();
  return patch_unless_same(object, json.take());
}

std::optional<std::string> route_patch(const model::ObjectRef& route, const RouteStatus* outcome, WallTime now) {
  const json::Document object = parsed(route);
  const Node* parents = object.root().at("status", "parents");
  if (!outcome && !parents) return std::nullopt;
  JsonWriter json;
  json.object().array("parents");
  if (parents)
    for (const Node& one : *parents)
      if (one.string_at("controllerName") != gateway_controller) json.raw_value(json::print(one));
  if (outcome)
    for (const ParentStatus& parent : outcome->parents) {
      const Node* old = parent_of(parents, *parent.parent);
      json.object().raw("parentRef", json::print(*parent.parent)).field("controllerName", gateway_controller);
      write_conditions(json, parent.conditions, old ? old->find("conditions") : nullptr, route.meta().generation, now);
      json.end();
    }
  json.end().end();
  return patch_unless_same(object, json.take());
}

}  // namespace estiba::ingress
