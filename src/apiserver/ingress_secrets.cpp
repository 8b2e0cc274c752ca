#include "apiserver/ingress_secrets.h"

#include <algorithm>

#include "model/types/core_v1.h"
#include "model/types/networking_v1.h"

namespace estiba::apiserver {
namespace {

using json::Node;

constexpr std::string_view networking = "networking.k8s.io", gateways = "gateway.networking.k8s.io";

bool nodes_may_serve(const Cluster& cluster) {
  const auto map = cluster.find("", "configmaps", "kube-system", "estiba-cluster");
  if (!map) return false;
  const auto& data = map->as<model::core_v1::ConfigMap>().data;
  const auto found = data.find(std::string(ingress_on_agents));
  return found != data.end() && found->second == "true";
}

// Whether a class, of Ingresses or Gateways, names our controller.
bool is_ours(const Cluster& cluster, std::string_view group, std::string_view resource, std::string_view name, std::string_view field,
             std::string_view controller) {
  if (name.empty()) return false;
  const auto found = cluster.find(group, resource, {}, name);
  const auto doc = found ? json::Document::parse(found->object->json()) : std::unexpected(found.error());
  return doc && doc->root().string_at("spec", field) == controller;
}

bool in_ingress(const Cluster& cluster, const model::ObjectRef& object, std::string_view name) {
  const auto& spec = object.as<model::networking_v1::Ingress>().spec;
  if (std::ranges::none_of(spec.tls, [&](const auto& one) { return one.secretName == name; })) return false;
  const std::string_view class_name =
      spec.ingressClassName.empty() ? object.meta().annotation("kubernetes.io/ingress.class") : std::string_view(spec.ingressClassName);
  return is_ours(cluster, networking, "ingressclasses", class_name, "controller", "estiba.dev/ingress");
}

// Members that are absent mean a Secret of the Gateway's own namespace.
bool refers(const Node& ref, std::string_view gateway_ns, std::string_view ns, std::string_view name) {
  const std::string_view kind = ref.string_at("kind"), in = ref.string_at("namespace");
  return ref.string_at("name") == name && ref.string_at("group").empty() && (kind.empty() || kind == "Secret") &&
         (in.empty() ? gateway_ns : in) == ns;
}

bool in_gateway(const Cluster& cluster, const model::ObjectRef& object, std::string_view ns, std::string_view name) {
  const auto doc = json::Document::parse(object.object->json());
  const Node* listeners = doc ? doc->root().at("spec", "listeners") : nullptr;
  if (!listeners || !listeners->is_array()) return false;
  const bool named = std::any_of(listeners->begin(), listeners->end(), [&](const Node& listener) {
    const Node* refs = listener.at("tls", "certificateRefs");
    return refs && refs->is_array() &&
           std::any_of(refs->begin(), refs->end(), [&](const Node& ref) { return refers(ref, object.meta().ns, ns, name); });
  });
  return named && is_ours(cluster, gateways, "gatewayclasses", doc->root().string_at("spec", "gatewayClassName"), "controllerName",
                          "estiba.dev/gateway");
}

bool grant_permits(const Node& grant, std::string_view gateway_ns, std::string_view name) {
  const Node *from = grant.at("spec", "from"), *to = grant.at("spec", "to");
  if (!from || !to || !from->is_array() || !to->is_array()) return false;
  return std::any_of(from->begin(), from->end(),
                     [&](const Node& one) {
                       return one.string_at("group") == gateways && one.string_at("kind") == "Gateway" &&
                              one.string_at("namespace") == gateway_ns;
                     }) &&
         std::any_of(to->begin(), to->end(), [&](const Node& one) {
           const std::string_view only = one.string_at("name");
           return one.string_at("group").empty() && one.string_at("kind") == "Secret" && (only.empty() || only == name);
         });
}

bool is_granted(const Cluster& cluster, std::string_view gateway_ns, std::string_view ns, std::string_view name) {
  if (gateway_ns == ns) return true;
  const auto grants = cluster.all(gateways, "referencegrants", ns);
  return grants && std::ranges::any_of(*grants, [&](const model::ObjectRef& grant) {
           const auto doc = json::Document::parse(grant.object->json());
           return doc && grant_permits(doc->root(), gateway_ns, name);
         });
}

}  // namespace

bool ingress_names_secret(const Cluster& cluster, std::string_view ns, std::string_view name) {
  if (ns.empty() || name.empty() || !nodes_may_serve(cluster)) return false;
  const auto ingresses = cluster.all(networking, "ingresses", ns);
  if (ingresses && std::ranges::any_of(*ingresses, [&](const model::ObjectRef& one) { return in_ingress(cluster, one, name); }))
    return true;
  const auto all = cluster.all(gateways, "gateways");  // absent where the definitions were deleted
  return all && std::ranges::any_of(*all, [&](const model::ObjectRef& one) {
           return in_gateway(cluster, one, ns, name) && is_granted(cluster, one.meta().ns, ns, name);
         });
}

}  // namespace estiba::apiserver
