// NodeRestriction of what a node asks for on behalf of its pods and itself: tokens, evictions, certificates, slices of devices.
#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "io/pki.h"

namespace estiba::apiserver::admission {
namespace {

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
  return {};
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
  if (attributes.is("resource.k8s.io", "resourceslices")) return restrict_slice(attributes, node);
  return {};
}

}  // namespace estiba::apiserver::admission
