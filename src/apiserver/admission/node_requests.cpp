// NodeRestriction of what a node asks for on behalf of its pods and itself: tokens, evictions, certificates, slices of devices.
#include <algorithm>

#include "apiserver/admission/extensions.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/authz.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "io/pki.h"
#include "model/types/core_v1.h"

namespace estiba::apiserver::admission {
namespace {

Result<json::Document> read(const Cluster& cluster, std::string_view group, std::string_view resource, std::string_view ns,
                            std::string_view name) {
  const model::ObjectRef found = TRY(cluster.find(group, resource, ns, name));
  return json::Document::parse(found.object->json());
}

// The driver that serves a volume: its own, or that of the volume which its claim is bound to; empty when it is none of CSI.
std::string driver_of(const Attributes& a, const json::Node& pod, const json::Node& volume) {
  if (const std::string_view driver = volume.string_at("csi", "driver"); !driver.empty()) return std::string(driver);
  std::string claim(volume.string_at("persistentVolumeClaim", "claimName"));
  if (has(volume, "ephemeral")) claim = std::string(pod.string_at("metadata", "name")) + "-" + std::string(volume.string_at("name"));
  if (claim.empty()) return {};
  auto bound = read(a.cluster, "", "persistentvolumeclaims", a.ns(), claim);
  if (!bound) return {};
  auto found = read(a.cluster, "", "persistentvolumes", "", bound->root().string_at("spec", "volumeName"));
  return found ? std::string(found->root().string_at("spec", "csi", "driver")) : std::string();
}

bool has_audience(const json::Node* list, std::string_view audience) {
  if (!present(list)) return false;
  return std::any_of(list->begin(), list->end(), [&](const json::Node& item) { return item.string_at("audience") == audience; });
}

// Whether one of the pod's volumes needs a token for this audience.
bool needs_audience(const Attributes& a, const json::Node& pod, std::string_view audience) {
  const json::Node* volumes = pod.at("spec", "volumes");
  if (!present(volumes)) return false;
  for (const json::Node& volume : *volumes) {
    const json::Node* sources = volume.at("projected", "sources");
    if (present(sources))
      for (const json::Node& source : *sources)
        if (const json::Node* token = source.find("serviceAccountToken"); present(token) && token->string_at("audience") == audience)
          return true;
    const std::string driver = driver_of(a, pod, volume);
    if (driver.empty()) continue;
    auto found = read(a.cluster, "storage.k8s.io", "csidrivers", "", driver);
    if (found && has_audience(found->root().at("spec", "tokenRequests"), audience)) return true;
  }
  return false;
}

// A node gets tokens for no other audiences than its pods' volumes need, unless it has been allowed to.
Result<void> restrict_audience(const Attributes& a, const json::Node& pod) {
  const json::Node* audiences = a.object->at("spec", "audiences");
  const bool some = present(audiences) && !audiences->empty();
  if (some && audiences->size() > 1) return a.forbidden("node may only request 0 or 1 audiences");
  const std::string audience(some ? (*audiences)[0].as_string() : std::string_view());
  if (needs_audience(a, pod, audience)) return {};
  const apiserver::Attributes asked{.verb = "request-serviceaccounts-token-audience",
                                    .version = "v1",
                                    .resource = audience,
                                    .ns = std::string(a.ns()),
                                    .name = std::string(a.name())};
  const User& user = a.action.user;
  const Authorizer* authorizer = a.cluster.extensions().authorizer();
  if (authorizer && authorizer->authorize(user, asked).allowed) return {};
  return a.forbidden("audience " + quoted(audience) + " not found in pod spec volume, " + user.name +
                     " is not authorized to request tokens for this audience");
}

// Tokens are for pods that run on the node.
Result<void> restrict_token(const Attributes& a, const std::string& node) {
  const json::Node* bound = a.object->at("spec", "boundObjectRef");
  const bool pod = present(bound) && bound->string_at("apiVersion") == "v1" && bound->string_at("kind") == "Pod";
  if (!pod || bound->string_at("name").empty()) return a.forbidden("node requested token not bound to a pod");
  const std::string uid(bound->string_at("uid"));
  if (uid.empty()) return a.forbidden("node requested token with a pod binding without a uid");
  const model::ObjectRef found = TRY(a.cluster.find("", "pods", a.ns(), bound->string_at("name")));
  if (uid != found.meta().uid)
    return a.forbidden("the UID in the bound object reference (" + uid +
                       ") does not match the UID in record. The object might have been deleted and then recreated");
  const json::Document parsed = TRY(json::Document::parse(found.object->json()));
  if (parsed.root().string_at("spec", "nodeName") != node)
    return a.forbidden("node requested token bound to a pod scheduled on a different node");
  return restrict_audience(a, parsed.root());
}

Result<void> restrict_eviction(const Attributes& a, const std::string& node) {
  const model::ObjectRef found = TRY(a.cluster.find("", "pods", a.ns(), a.name()));
  const json::Document parsed = TRY(json::Document::parse(found.object->json()));
  if (parsed.root().string_at("spec", "nodeName") == node) return {};
  return a.forbidden("node " + node + " can only evict pods with spec.nodeName set to itself");
}

Result<void> restrict_certificate(const Attributes& a, const std::string& node) {
  const std::string_view signer = a.object->string_at("spec", "signerName");
  if (signer != "kubernetes.io/kubelet-serving" && signer != "kubernetes.io/kube-apiserver-client-kubelet") return {};
  auto pem = base64_decode(a.object->string_at("spec", "request"));
  auto request = pem ? io::parse_csr(*pem) : std::unexpected(pem.error());
  if (!request) return a.forbidden("unable to parse csr: " + request.error().message);
  const std::string name = "system:node:" + node;
  if (request->common_name != name) return a.forbidden("can only create a node CSR with CN=" + name);
  return {};
}

// Certificates are for pods that run on the node, and say no more than what is so.
Result<void> restrict_pod_certificate(const Attributes& a, const std::string& node) {
  if (!a.creating()) return a.forbidden("nodes may only create PodCertificateRequests");
  const json::Node& spec = *a.object->find("spec");
  const std::string of = quoted(std::string(a.ns()) + "/" + std::string(spec.string_at("podName")));
  const std::string_view named = spec.string_at("nodeName");
  if (named != node)
    return a.forbidden("PodCertificateRequest.Spec.NodeName=" + quoted(named) + ", which is not the requesting node " + quoted(node));
  const auto found = [&](std::string_view resource, std::string_view ns, std::string_view name,
                         std::string_view what) -> Result<model::ObjectRef> {
    auto object = a.cluster.find("", resource, ns, name);
    if (!object)
      return a.forbidden("while retrieving " + std::string(what) + " named in the PodCertificateRequest: " + object.error().message);
    return object;
  };
  const auto differs = [&](std::string_view what, std::string_view uid, const model::ObjectRef& object) {
    return a.forbidden("PodCertificateRequest for pod " + of + " names " + std::string(what) + " UID " + quoted(uid) +
                       ", which differs from the running one (" + quoted(object.meta().uid) + ")");
  };
  const model::ObjectRef own = TRY(found("nodes", {}, node, "node " + quoted(node)));
  if (own.meta().uid != spec.string_at("nodeUID")) return differs("node", spec.string_at("nodeUID"), own);
  const model::ObjectRef pod = TRY(found("pods", a.ns(), spec.string_at("podName"), "pod " + of));
  if (pod.meta().uid != spec.string_at("podUID")) return differs("pod", spec.string_at("podUID"), pod);
  const auto& typed = pod.as<model::core_v1::Pod>();
  if (typed.spec.nodeName != node)
    return a.forbidden("pod " + of + " is not running on node " + quoted(node) + " named in the PodCertificateRequest");
  if (!pod.meta().annotation("kubernetes.io/config.mirror").empty()) return a.forbidden("pod " + of + " is a mirror pod");
  const std::string_view account = spec.string_at("serviceAccountName");
  if (account != typed.spec.serviceAccountName)
    return a.forbidden("PodCertificateRequest for pod " + of + " contains serviceAccountName (" + quoted(account) +
                       ") that differs from running pod (" + quoted(typed.spec.serviceAccountName) + ")");
  const model::ObjectRef identity =
      TRY(found("serviceaccounts", a.ns(), account, "service account " + quoted(std::string(a.ns()) + "/" + std::string(account))));
  if (identity.meta().uid != spec.string_at("serviceAccountUID"))
    return differs("service account", spec.string_at("serviceAccountUID"), identity);
  return {};
}

Result<void> restrict_slice(const Attributes& a, const std::string& node) {
  const json::Node* slice = a.creating() ? a.object : a.removing() ? a.old : nullptr;
  if (!slice || slice->string_at("spec", "nodeName") == node) return {};
  return a.forbidden(std::string("can only ") + (a.creating() ? "create" : "delete") +
                     " ResourceSlice with the same NodeName as the requesting node");
}

}  // namespace

Result<void> restrict_node_requests(const Attributes& attributes, const std::string& node) {
  const std::string& sub = attributes.action.subresource;
  const bool creating = attributes.creating();
  if (creating && sub == "token" && attributes.is_any("", "serviceaccounts")) return restrict_token(attributes, node);
  if (creating && sub == "eviction" && attributes.is_any("", "pods")) return restrict_eviction(attributes, node);
  if (creating && attributes.is("certificates.k8s.io", "certificatesigningrequests")) return restrict_certificate(attributes, node);
  if (attributes.is_any("certificates.k8s.io", "podcertificaterequests")) return restrict_pod_certificate(attributes, node);
  if (attributes.is("resource.k8s.io", "resourceslices")) return restrict_slice(attributes, node);
  return {};
}

}  // namespace estiba::apiserver::admission
