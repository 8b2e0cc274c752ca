#include <algorithm>

#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view token_path = "/var/run/secrets/kubernetes.io/serviceaccount";

bool mounts_token(const json::Node& container) {
  const json::Node* mounts = container.find("volumeMounts");
  if (!mounts) return false;
  return std::any_of(mounts->begin(), mounts->end(), [](const json::Node& mount) { return mount.string_at("mountPath") == token_path; });
}

json::Node& projected_token_volume(json::Document& doc, std::string_view name) {
  auto parsed = json::Document::parse(
      R"({"name":"","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},)"
      R"({"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},)"
      R"({"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}})");
  json::Node& volume = doc.copy(parsed->root());
  doc.set(volume, "name", name);
  return volume;
}

void mount_token(Attributes& attributes) {
  json::Document& doc = *attributes.doc;
  json::Node& spec = attributes.spec();
  std::string volume;
  for (std::string_view list : {"initContainers", "containers"}) {
    json::Node* containers = spec.find(list);
    if (!containers) continue;
    for (json::Node& container : *containers) {
      if (mounts_token(container)) continue;
      if (volume.empty()) volume = "kube-api-access-" + random_suffix(5);
      json::Node& mount = doc.make_object();
      doc.set(mount, "name", volume);
      set_bool(doc, mount, "readOnly", true);
      doc.set(mount, "mountPath", token_path);
      doc.append(ensure_array(doc, container, "volumeMounts"), mount);
    }
  }
  if (!volume.empty()) doc.append(ensure_array(doc, spec, "volumes"), projected_token_volume(doc, volume));
}

}  // namespace

Result<void> assign_service_account(Attributes& attributes) {
  if (!attributes.is("", "pods") || !attributes.creating()) return {};
  if (attributes.object->at("metadata", "annotations", "kubernetes.io/config.mirror")) return {};
  json::Document& doc = *attributes.doc;
  json::Node& spec = attributes.spec();
  default_string(doc, spec, "serviceAccountName", "default");
  set_copy(doc, spec, "serviceAccount", spec.find("serviceAccountName"));
  const std::string name(spec.string_at("serviceAccountName")), ns(attributes.ns());
  auto account = attributes.cluster.find("", "serviceaccounts", ns, name);
  if (!account) {
    if (account.error().code != Code::not_found) return std::unexpected(account.error());
    return attributes.forbidden("error looking up service account " + ns + "/" + name + ": serviceaccount " + quoted(name) + " not found");
  }
  const json::Document parsed = TRY(json::Document::parse(account->object->json()));
  const json::Node* automount = spec.find("automountServiceAccountToken");
  if (!present(automount)) automount = parsed.root().find("automountServiceAccountToken");
  if (!present(automount) || automount->as_bool(true)) mount_token(attributes);
  const json::Node* secrets = parsed.root().find("imagePullSecrets");
  if (present(secrets) && !secrets->empty() && !has_value(spec, "imagePullSecrets")) set_copy(doc, spec, "imagePullSecrets", secrets);
  return {};
}

}  // namespace estiba::apiserver::admission
