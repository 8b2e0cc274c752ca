#include <algorithm>

#include "apiserver/admission/plugins.h"
#include "apiserver/api_errors.h"
#include "apiserver/cluster.h"

namespace estiba::apiserver::admission {

Result<void> namespace_lifecycle(Attributes& attributes) {
  constexpr std::string_view immortal[] = {"default", "kube-system", "kube-public"};
  const std::string_view ns = attributes.ns();
  if (attributes.removing()) {
    const bool kept =
        attributes.is("", "namespaces") && std::find(std::begin(immortal), std::end(immortal), attributes.name()) != std::end(immortal);
    if (kept) return attributes.forbidden("this namespace may not be deleted");
    return {};
  }
  // What is stored already shows that its namespace is there.
  if (ns.empty() || !attributes.creating()) return {};
  const model::ObjectRef found = TRY(attributes.cluster.find("", "namespaces", "", ns));
  if (found.meta().deletion_timestamp.empty()) return {};
  const std::string name(ns);
  auto error = attributes.forbidden("unable to create new content in namespace " + name + " because it is being terminated");
  error.error().details->causes.push_back({"NamespaceTerminating", "namespace " + name + " is being terminated", "metadata.namespace"});
  return error;
}

}  // namespace estiba::apiserver::admission
