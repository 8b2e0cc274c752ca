#include <algorithm>
#include <set>

#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/node_authorizer.h"
#include "base/strings.h"
#include "model/local_volumes.h"
#include "model/pod_references.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view mirror = "kubernetes.io/config.mirror";

// The node that a pod is bound to.
Result<std::string> node_of_pod(const Attributes& a, std::string_view pod) {
  const model::ObjectRef found = TRY(a.cluster.find("", "pods", a.ns(), pod));
  const json::Document parsed = TRY(json::Document::parse(found.object->json()));
  return std::string(parsed.root().string_at("spec", "nodeName"));
}

bool is_true(const json::Node* flag) { return present(flag) && flag->as_bool(); }

Result<void> check_mirror_owner(const Attributes& a, const std::string& node) {
  const std::string who = "node " + quoted(node);
  const json::Node* owners = a.object->at("metadata", "ownerReferences");
  if (present(owners) && owners->size() > 1) return a.forbidden(who + " can only create pods with a single owner reference set to itself");
  if (!present(owners) || owners->empty()) return a.forbidden(who + " can only create pods with an owner reference set to itself");
  const json::Node& owner = (*owners)[0];
  if (owner.string_at("apiVersion") != "v1" || owner.string_at("kind") != "Node" || owner.string_at("name") != node)
    return a.forbidden(who + " can only create pods with an owner reference set to itself");
  if (!is_true(owner.find("controller"))) return a.forbidden(who + " can only create pods with a controller owner reference set to itself");
  if (is_true(owner.find("blockOwnerDeletion"))) return a.forbidden(who + " must not set blockOwnerDeletion on an owner reference");
  const model::ObjectRef found = TRY(a.cluster.find("", "nodes", "", node));
  if (owner.string_at("uid") != found.meta().uid)
    return a.forbidden("node " + node + " UID mismatch: expected " + std::string(owner.string_at("uid")) + " got " + found.meta().uid);
  return {};
}

Result<void> restrict_pod(const Attributes& a, const std::string& node) {
  const std::string who = "node " + quoted(node);
  if (a.removing()) {
    if (TRY(node_of_pod(a, a.name())) != node) return a.forbidden(who + " can only delete pods with spec.nodeName set to itself");
    return {};
  }
  if (a.updating()) return a.forbidden("unexpected operation \"UPDATE\", " + who + " can only create and delete mirror pods");
  if (!a.object->at("metadata", "annotations", mirror))
    return a.forbidden("pod does not have " + quoted(mirror) + " annotation, " + who + " can only create mirror pods");
  if (a.object->string_at("spec", "nodeName") != node) return a.forbidden(who + " can only create pods with spec.nodeName set to itself");
  TRY(check_mirror_owner(a, node));
  // Nobody but the node vouches for such a pod: it must not make the node read what others' pods do.
  if (const std::string kind = model::api_reference(*a.object->find("spec")); !kind.empty())
    return a.forbidden(who + " can not create pods that reference " + kind);
  return {};
}

Result<void> restrict_pod_status(const Attributes& a, const std::string& node) {
  const std::string who = "node " + quoted(node);
  if (!a.updating()) return a.forbidden("unexpected operation");
  if (a.old->string_at("spec", "nodeName") != node)
    return a.forbidden(who + " can only update pod status for pods with spec.nodeName set to itself");
  if (!same(a.old->at("metadata", "labels"), a.object->at("metadata", "labels")))
    return a.forbidden(who + " cannot update labels through pod status");
  if (!same(a.old->at("status", "resourceClaimStatuses"), a.object->at("status", "resourceClaimStatuses")))
    return a.forbidden(who + " cannot update resource claim statues");
  return {};
}

// Labels

bool in_domain(std::string_view domain, std::string_view parent) {
  return domain == parent ||
         (domain.ends_with(parent) && domain.size() > parent.size() && domain[domain.size() - parent.size() - 1] == '.');
}

bool nodes_own_label(std::string_view label, std::string_view domain) {
  constexpr std::string_view own[] = {"kubernetes.io/hostname",
                                      "topology.kubernetes.io/zone",
                                      "topology.kubernetes.io/region",
                                      "failure-domain.beta.kubernetes.io/zone",
                                      "failure-domain.beta.kubernetes.io/region",
                                      "node.kubernetes.io/instance-type",
                                      "beta.kubernetes.io/instance-type",
                                      "kubernetes.io/os",
                                      "kubernetes.io/arch",
                                      "beta.kubernetes.io/os",
                                      "beta.kubernetes.io/arch"};
  return std::find(std::begin(own), std::end(own), label) != std::end(own) || in_domain(domain, "kubelet.kubernetes.io") ||
         in_domain(domain, "node.kubernetes.io");
}

bool label_is_closed(std::string_view label) {
  const auto [domain, rest] = split_once(label, '/');
  if (!rest) return false;
  if (in_domain(domain, "node-restriction.kubernetes.io")) return true;
  return (in_domain(domain, "kubernetes.io") || in_domain(domain, "k8s.io")) && !nodes_own_label(label, domain);
}

// The labels that differ and that nodes may not touch, sorted.
std::string closed_labels(const json::Node* now, const json::Node* before) {
  std::set<std::string> out;
  auto compare = [&](const json::Node* these, const json::Node* those) {
    if (!present(these)) return;
    for (const json::Node& label : *these) {
      const json::Node* other = present(those) ? those->find(label.key()) : nullptr;
      if ((!other || other->as_string() != label.as_string()) && label_is_closed(label.key())) out.emplace(label.key());
    }
  };
  compare(now, before);
  compare(before, now);
  return join({out.begin(), out.end()}, ", ");
}

Result<void> restrict_own_node(const Attributes& a, const std::string& node) {
  const std::string who = "node " + quoted(node);
  if (a.name() != node) return a.forbidden(who + " is not allowed to modify node " + quoted(a.name()));
  if (a.removing()) return {};
  const json::Node* labels = a.object->at("metadata", "labels");
  if (a.creating()) {
    if (const std::string closed = closed_labels(labels, nullptr); !closed.empty())
      return a.forbidden(who + " is not allowed to set the following labels: " + closed);
    return {};
  }
  if (!same(a.object->at("spec", "taints"), a.old->at("spec", "taints"))) return a.forbidden(who + " is not allowed to modify taints");
  if (!same(a.object->at("metadata", "ownerReferences"), a.old->at("metadata", "ownerReferences")))
    return a.forbidden(who + " is not allowed to modify ownerReferences");
  if (const std::string closed = closed_labels(labels, a.old->at("metadata", "labels")); !closed.empty())
    return a.forbidden("is not allowed to modify labels: " + closed);
  return {};
}

// Claims: only what the node finds out about volumes.
Result<void> restrict_claim(const Attributes& a, const std::string& node) {
  if (a.action.subresource != "status" || !a.updating()) return a.forbidden("may only update PVC status");
  json::Document scratch;
  json::Node &before = scratch.copy(*a.old), &now = scratch.copy(*a.object);
  for (json::Node* claim : {&before, &now}) {
    json::Node& status = scratch.ensure_object(*claim, "status");
    for (std::string_view field : {"capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"})
      scratch.remove(status, field);
    json::Node& metadata = scratch.ensure_object(*claim, "metadata");
    for (std::string_view field : {"resourceVersion", "managedFields"}) scratch.remove(metadata, field);
  }
  if (json::equal(before, now)) return {};
  return a.forbidden("node " + quoted(node) + " is not allowed to update fields other than status.quantity and status.conditions");
}

// Volumes of our own kind: the node that holds the directory takes its finalizer away, and nothing else.
Result<void> restrict_volume(const Attributes& a, const std::string& node) {
  if (!a.updating() || !a.action.subresource.empty()) return a.forbidden("node " + quoted(node) + " may only update PVs");
  json::Document scratch;
  json::Node &before = scratch.copy(*a.old), &now = scratch.copy(*a.object);
  for (json::Node* volume : {&before, &now}) {
    json::Node& metadata = scratch.ensure_object(*volume, "metadata");
    for (std::string_view field : {"resourceVersion", "managedFields"}) scratch.remove(metadata, field);
    json::Node& kept = scratch.make_array();
    if (const json::Node* all = metadata.find("finalizers"); present(all))
      for (const json::Node& each : *all)
        if (each.as_string() != model::local_finalizer) scratch.append(kept, scratch.copy(each));
    scratch.set(metadata, "finalizers", kept);
  }
  if (json::equal(before, now)) return {};
  return a.forbidden("node " + quoted(node) + " is not allowed to change anything of a PV but the finalizer " +
                     quoted(model::local_finalizer));
}

Result<void> restrict_lease(const Attributes& a, const std::string& node) {
  if (a.ns() != "kube-node-lease") return a.forbidden("can only access leases in the \"kube-node-lease\" system namespace");
  if (a.name() != node) return a.forbidden("can only access node lease with the same name as the requesting node");
  return {};
}

}  // namespace

Result<void> restrict_node(Attributes& attributes) {
  const User& user = attributes.action.user;
  if (!is_node(user)) return {};
  const std::string node(node_of(user));
  if (node.empty()) return attributes.forbidden("could not determine node from user " + quoted(user.name));
  const std::string& sub = attributes.action.subresource;
  if (attributes.is_any("", "pods")) {
    if (sub.empty()) return restrict_pod(attributes, node);
    if (sub == "status") return restrict_pod_status(attributes, node);
    if (sub == "eviction") return restrict_node_requests(attributes, node);
    return attributes.forbidden("unexpected pod subresource " + quoted(sub) + ", only 'status' and 'eviction' are allowed");
  }
  if (attributes.is_any("", "nodes")) return restrict_own_node(attributes, node);
  if (attributes.is_any("", "persistentvolumeclaims")) return restrict_claim(attributes, node);
  if (attributes.is_any("", "persistentvolumes")) return restrict_volume(attributes, node);
  if (attributes.is_any("coordination.k8s.io", "leases")) return restrict_lease(attributes, node);
  if (attributes.is_any("storage.k8s.io", "csinodes") && attributes.name() != node)
    return attributes.forbidden("can only access CSINode with the same name as the requesting node");
  return restrict_node_requests(attributes, node);
}

}  // namespace estiba::apiserver::admission
