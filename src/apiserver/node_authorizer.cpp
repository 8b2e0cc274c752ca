#include "apiserver/node_authorizer.h"

#include "apiserver/action.h"
#include "apiserver/edit.h"
#include "apiserver/ingress_secrets.h"
#include "base/strings.h"
#include "model/local_volumes.h"
#include "model/types/core_v1.h"

namespace estiba::apiserver {
namespace {

using json::Node;
using model::core_v1::Pod;

constexpr std::string_view mirror_annotation = "kubernetes.io/config.mirror";

bool reads(const Attributes& asked) { return asked.verb == "get" || asked.verb == "list" || asked.verb == "watch"; }

/// Calls `visit(pod)` for the pods of a namespace that are bound to the node, until it says true.
template <class Visit>
bool any_pod(const Cluster& cluster, std::string_view node, std::string_view ns, Visit visit) {
  auto pods = cluster.all("", "pods", ns);
  if (!pods) return false;
  for (const model::ObjectRef& pod : *pods) {
    // A static pod is the node's own: what it names was not checked by anybody.
    if (pod.as<Pod>().spec.nodeName != node || !pod.meta().annotation(mirror_annotation).empty()) continue;
    if (visit(pod)) return true;
  }
  return false;
}

/// Whether something below `node` names a Secret or ConfigMap: {KEY: {"name": …}}, {"secret": {"secretName": …}}, {"secretName": …}.
bool mentions(const Node& node, bool secret, std::string_view name) {
  if (node.is_array() || node.is_object())
    for (const Node& child : node)
      if (mentions(child, secret, name)) return true;
  if (!node.is_object()) return secret && node.key() == "secretName" && node.as_string() == name;
  const std::string_view key = node.key();
  const bool fits = secret ? key == "secret" || key == "secretRef" || key == "secretKeyRef" || key == "nodePublishSecretRef"
                           : key == "configMap" || key == "configMapRef" || key == "configMapKeyRef";
  return fits && node.string_at("name") == name;
}

bool uses(const model::ObjectRef& pod, bool secret, std::string_view name) {
  auto doc = json::Document::parse(pod.object->json());
  const Node* spec = doc ? doc->root().find("spec") : nullptr;
  if (!spec) return false;
  for (std::string_view part : {"volumes", "containers", "initContainers", "ephemeralContainers"})
    if (const Node* list = spec->find(part); list && mentions(*list, secret, name)) return true;
  if (!secret) return false;
  if (const Node* list = spec->find("imagePullSecrets"); list && list->is_array())
    for (const Node& item : *list)
      if (item.string_at("name") == name) return true;
  return false;
}

bool uses_claim(const model::ObjectRef& pod, std::string_view name) {
  for (const auto& volume : pod.as<Pod>().spec.volumes) {
    if (volume.persistentVolumeClaim && volume.persistentVolumeClaim->claimName == name) return true;
    if (volume.ephemeral && pod.meta().name + "-" + volume.name == name) return true;
  }
  return false;
}

/// A volume whose claim a pod of the node uses.
bool may_read_volume(const Cluster& cluster, std::string_view node, std::string_view name) {
  auto volume = cluster.find("", "persistentvolumes", {}, name);
  auto doc = volume ? json::Document::parse(volume->object->json()) : std::unexpected(volume.error());
  if (!doc) return false;
  const std::string claim(doc->root().string_at("spec", "claimRef", "name")), ns(doc->root().string_at("spec", "claimRef", "namespace"));
  return !claim.empty() && any_pod(cluster, node, ns, [&](const model::ObjectRef& pod) { return uses_claim(pod, claim); });
}

/// Secrets of storage drivers stand in the volumes of the node's pods, in any namespace.
bool volume_uses_secret(const Cluster& cluster, std::string_view node, std::string_view ns, std::string_view name) {
  auto volumes = cluster.all("", "persistentvolumes");
  if (!volumes) return false;
  for (const model::ObjectRef& volume : *volumes) {
    auto doc = json::Document::parse(volume.object->json());
    const Node* csi = doc ? doc->root().at("spec", "csi") : nullptr;
    if (!csi) continue;
    for (std::string_view key : {"nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef", "controllerPublishSecretRef"})
      if (csi->string_at(key, "name") == name && csi->string_at(key, "namespace") == ns &&
          may_read_volume(cluster, node, volume.meta().name))
        return true;
  }
  return false;
}

/// A directory of the node, whose volume waits for the node to let go of it.
bool may_let_go(const Cluster& cluster, std::string_view node, std::string_view name) {
  auto volume = cluster.find("", "persistentvolumes", {}, name);
  if (!volume || volume->meta().deletion_timestamp.empty()) return false;
  auto doc = json::Document::parse(volume->object->json());
  const Node* csi = doc ? doc->root().at("spec", "csi") : nullptr;
  return csi && csi->string_at("driver") == model::local_driver && csi->string_at("volumeAttributes", model::local_node_attribute) == node;
}

bool may_read_attachment(const Cluster& cluster, std::string_view node, std::string_view name) {
  auto attachment = cluster.find("storage.k8s.io", "volumeattachments", {}, name);
  auto doc = attachment ? json::Document::parse(attachment->object->json()) : std::unexpected(attachment.error());
  return doc && doc->root().string_at("spec", "nodeName") == node;
}

bool uses_resource_claim(const model::ObjectRef& pod, std::string_view name) {
  auto doc = json::Document::parse(pod.object->json());
  if (!doc) return false;
  const auto named = [&](const Node* list) {
    if (present(list))
      for (const Node& item : *list)
        if (item.string_at("resourceClaimName") == name) return true;
    return false;
  };
  return named(doc->root().at("spec", "resourceClaims")) || named(doc->root().at("status", "resourceClaimStatuses")) ||
         doc->root().string_at("status", "extendedResourceClaimStatus", "resourceClaimName") == name;
}

/// Whether the field selector leaves only what is on the node.
bool selects_own(const Attributes& asked, std::string_view node) {
  const auto wanted = split(asked.field_selector, ',');
  const std::string own = "spec.nodeName=" + std::string(node), exactly = "spec.nodeName==" + std::string(node);
  return std::any_of(wanted.begin(), wanted.end(), [&](std::string_view part) { return part == own || part == exactly; });
}

/// Those of the node's own devices, which a driver may publish by the node's identity and which go with a driver
/// (plugin/pkg/auth/authorizer/ node, authorizeResourceSlice). What a new one says is NodeRestriction's to look at.
bool may_slices(const Cluster& cluster, std::string_view node, const Attributes& asked) {
  if (!asked.subresource.empty()) return false;
  if (asked.verb == "create") return true;
  if (asked.verb == "list" || asked.verb == "watch" || asked.verb == "deletecollection") return selects_own(asked, node);
  if (asked.verb != "get" && asked.verb != "update" && asked.verb != "patch" && asked.verb != "delete") return false;
  auto slice = cluster.find("resource.k8s.io", "resourceslices", {}, asked.name);
  auto doc = slice ? json::Document::parse(slice->object->json()) : std::unexpected(slice.error());
  return doc && doc->root().string_at("spec", "nodeName") == node;
}

std::optional<bool> may_core(const Cluster& cluster, std::string_view node, const Attributes& asked) {
  const std::string& resource = asked.resource;
  const auto pods = [&](auto uses_it) { return !asked.ns.empty() && !asked.name.empty() && any_pod(cluster, node, asked.ns, uses_it); };
  if (resource == "secrets" || resource == "configmaps") {
    const bool secret = resource == "secrets";
    return reads(asked) && asked.subresource.empty() &&
           (pods([&](const model::ObjectRef& pod) { return uses(pod, secret, asked.name); }) ||
            (secret && !asked.name.empty() &&
             (volume_uses_secret(cluster, node, asked.ns, asked.name) || ingress_names_secret(cluster, asked.ns, asked.name))));
  }
  if (resource == "persistentvolumeclaims") {
    const bool status = asked.subresource == "status" && (asked.verb == "update" || asked.verb == "patch");
    return (status || (asked.subresource.empty() && asked.verb == "get")) &&
           pods([&](const model::ObjectRef& pod) { return uses_claim(pod, asked.name); });
  }
  if (resource == "persistentvolumes") {
    if (asked.verb == "patch" && asked.subresource.empty()) return may_let_go(cluster, node, asked.name);
    return asked.verb == "get" && asked.subresource.empty() && may_read_volume(cluster, node, asked.name);
  }
  if (resource == "serviceaccounts") {
    const bool fits = (asked.verb == "create" && asked.subresource == "token") || (asked.verb == "get" && asked.subresource.empty());
    return fits && pods([&](const model::ObjectRef& pod) { return pod.as<Pod>().spec.serviceAccountName == asked.name; });
  }
  if (resource == "nodes" && reads(asked) && asked.subresource.empty()) {
    return asked.name == node;
  }
  if (resource == "pods" && asked.subresource.empty() && asked.verb == "get") {
    return pods([&](const model::ObjectRef& pod) { return pod.meta().name == asked.name; });
  }
  if (resource == "pods" && asked.subresource.empty() && (asked.verb == "list" || asked.verb == "watch")) {
    return selects_own(asked, node) || pods([&](const model::ObjectRef& pod) { return pod.meta().name == asked.name; });
  }
  return std::nullopt;
}

/// Requests for certificates of the node's pods; what a new one says is for NodeRestriction to look at.
bool may_pod_certificates(const Cluster& cluster, std::string_view node, const Attributes& asked) {
  if (!asked.subresource.empty()) return false;
  if (asked.verb == "create") return true;
  if (asked.verb == "get" && !asked.name.empty()) {
    auto request = cluster.find("certificates.k8s.io", "podcertificaterequests", asked.ns, asked.name);
    auto doc = request ? json::Document::parse(request->object->json()) : std::unexpected(request.error());
    return doc && doc->root().string_at("spec", "nodeName") == node;
  }
  return (asked.verb == "list" || asked.verb == "watch") && selects_own(asked, node);
}

}  // namespace

static constexpr std::string_view user_prefix = "system:node:";

bool is_node(const User& user) { return user.name.starts_with(user_prefix) && user.in_group("system:nodes"); }

std::string_view node_of(const User& user) {
  return is_node(user) ? std::string_view(user.name).substr(user_prefix.size()) : std::string_view{};
}

std::optional<bool> node_may(const Cluster& cluster, std::string_view node, const Attributes& asked) {
  if (!asked.path.empty()) return std::nullopt;
  if (asked.group.empty()) return may_core(cluster, node, asked);
  const bool changes = asked.verb == "create" || asked.verb == "update" || asked.verb == "patch" || asked.verb == "delete";
  if (asked.group == "coordination.k8s.io" && asked.resource == "leases") {
    // A new one's name is in its body: NodeRestriction looks at it.
    return (changes || asked.verb == "get") && asked.ns == "kube-node-lease" && (asked.name == node || asked.verb == "create");
  }
  if (asked.group == "storage.k8s.io" && asked.resource == "csinodes")
    return asked.subresource.empty() && (changes || asked.verb == "get") && (asked.name == node || asked.verb == "create");
  if (asked.group == "storage.k8s.io" && asked.resource == "volumeattachments")
    return asked.verb == "get" && asked.subresource.empty() && may_read_attachment(cluster, node, asked.name);
  if (asked.group == "certificates.k8s.io" && asked.resource == "podcertificaterequests") return may_pod_certificates(cluster, node, asked);
  if (asked.group == "resource.k8s.io" && asked.resource == "resourceclaims")
    return asked.verb == "get" && asked.subresource.empty() && !asked.name.empty() &&
           any_pod(cluster, node, asked.ns, [&](const model::ObjectRef& pod) { return uses_resource_claim(pod, asked.name); });
  if (asked.group == "resource.k8s.io" && asked.resource == "resourceslices") return may_slices(cluster, node, asked);
  return std::nullopt;
}

}  // namespace estiba::apiserver
