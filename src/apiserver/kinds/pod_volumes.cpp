// A pod's volumes.
#include <array>

#include "apiserver/edit.h"
#include "apiserver/kinds/certificate_rules.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/persistent_volume.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver {
namespace {

using json::Node;

constexpr std::string_view sources[] = {"emptyDir",
                                        "hostPath",
                                        "gitRepo",
                                        "gcePersistentDisk",
                                        "awsElasticBlockStore",
                                        "secret",
                                        "nfs",
                                        "iscsi",
                                        "glusterfs",
                                        "persistentVolumeClaim",
                                        "rbd",
                                        "cinder",
                                        "cephfs",
                                        "quobyte",
                                        "downwardAPI",
                                        "fc",
                                        "flexVolume",
                                        "configMap",
                                        "azureFile",
                                        "flocker",
                                        "vsphereVolume",
                                        "photonPersistentDisk",
                                        "portworxVolume",
                                        "azureDisk",
                                        "storageos",
                                        "projected",
                                        "scaleIO",
                                        "csi",
                                        "ephemeral",
                                        "image"};

constexpr FieldRule source_rules[] = {
    {"hostPath.path", Check::required},
    {"hostPath.path", Check::no_backsteps},
    {"gitRepo.repository", Check::required},
    {"gitRepo.directory", Check::relative_path},
    {"gcePersistentDisk.pdName", Check::required},
    {"gcePersistentDisk.partition", Check::range, "0 255"},
    {"awsElasticBlockStore.volumeID", Check::required},
    {"awsElasticBlockStore.partition", Check::range, "0 255"},
    {"secret.secretName", Check::required},
    {"secret.defaultMode", Check::file_mode},
    {"configMap.name", Check::required},
    {"configMap.defaultMode", Check::file_mode},
    {"downwardAPI.defaultMode", Check::file_mode},
    {"projected.defaultMode", Check::file_mode},
    {"nfs.server", Check::required},
    {"nfs.path", Check::required},
    {"nfs.path", Check::absolute_path},
    {"persistentVolumeClaim.claimName", Check::required},
    {"iscsi.targetPortal", Check::required},
    {"iscsi.iqn", Check::required},
    {"iscsi.lun", Check::range, "0 255"},
    {"glusterfs.endpoints", Check::required},
    {"glusterfs.path", Check::required},
    {"rbd.monitors", Check::required},
    {"rbd.image", Check::required},
    {"cinder.volumeID", Check::required},
    {"cephfs.monitors", Check::required},
    {"quobyte.registry", Check::required},
    {"quobyte.volume", Check::required},
    {"flexVolume.driver", Check::required},
    {"azureFile.secretName", Check::required},
    {"azureFile.shareName", Check::required},
    {"vsphereVolume.volumePath", Check::required},
    {"photonPersistentDisk.pdID", Check::required},
    {"portworxVolume.volumeID", Check::required},
    {"azureDisk.diskName", Check::required},
    {"azureDisk.diskURI", Check::required},
    {"scaleIO.gateway", Check::required},
    {"scaleIO.system", Check::required},
    {"scaleIO.volumeName", Check::required},
    {"csi.driver", Check::required},
    {"csi.driver", Check::driver_name},
    {"csi.nodePublishSecretRef.name", Check::required},
    {"csi.nodePublishSecretRef.name", Check::dns_subdomain},
    {"ephemeral.volumeClaimTemplate", Check::required},
    {"image.pullPolicy", Check::one_of, "Always IfNotPresent Never"},
};

void validate_items(const Node& source, const std::string& path, FieldErrors& errors) {
  constexpr FieldRule rules[] = {{"items[].key", Check::required},
                                 {"items[].path", Check::required},
                                 {"items[].path", Check::inner_path},
                                 {"items[].mode", Check::file_mode}};
  check_fields(source, rules, path, errors);
}

void validate_downward_items(const Node& source, const std::string& path, FieldErrors& errors) {
  const Node* items = source.find("items");
  if (!present(items)) return;
  constexpr FieldRule rules[] = {{"path", Check::required}, {"path", Check::inner_path}, {"mode", Check::file_mode}};
  for (const Node& file : *items) {
    check_fields(file, rules, path, errors);
    const Node *field = file.find("fieldRef"), *resource = file.find("resourceFieldRef");
    if (present(field)) {
      validate_field_ref(*field, path + ".fieldRef", true, errors);
      if (present(resource)) errors.invalid_string(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
    } else if (present(resource)) {
      validate_resource_field_ref(*resource, path + ".resourceFieldRef", true, errors);
    } else {
      errors.required(path, "one of fieldRef and resourceFieldRef is required");
    }
  }
}

// Paths in one projected volume, which must differ.
class Paths {
 public:
  Paths(const std::string& field, FieldErrors& errors) : field_(field), errors_(errors) {}
  void take(std::string_view path, std::string_view shown) {
    if (!path.empty() && !seen_.emplace(path).second) errors_.invalid_string(field_, shown, "conflicting duplicate paths");
  }
  void take_items(const Node& source, std::string_view shown) {
    const Node* items = source.find("items");
    if (!present(items)) return;
    for (const Node& item : *items) take(item.string_at("path"), shown.empty() ? item.string_at("path") : shown);
  }

 private:
  const std::string& field_;
  FieldErrors& errors_;
  std::set<std::string, std::less<>> seen_;
};

void validate_token(const Node& token, const std::string& volume, const std::string& path, FieldErrors& errors) {
  const Node* seconds = token.find("expirationSeconds");
  const int64_t value = int_at(token, "expirationSeconds").value_or(0);
  if (value < 600) errors.invalid(path + ".expirationSeconds", seconds, "may not specify a duration less than 10 minutes");
  if (value > int64_t(1) << 32) errors.invalid(path + ".expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds");
  if (!has_value(token, "path")) errors.required(volume + ".path");
  else check_value(token.find("path"), Check::inner_path, {}, volume + ".path", errors);
}

void validate_trust_bundle(const Node& bundle, const std::string& path, FieldErrors& errors) {
  const bool name = has(bundle, "name"), signer = has(bundle, "signerName");
  if (name && signer) errors.invalid(path, &bundle, "only one of name and signerName may be used");
  else if (!name && !signer) errors.required(path, "either name or signerName must be specified");
  if (name && has(bundle, "labelSelector"))
    errors.invalid(path + ".labelSelector", bundle.find("labelSelector"), "labelSelector must be unset if name is specified");
  if (signer) {
    for (const std::string& problem : check_signer_name(bundle.string_at("signerName")))
      errors.invalid_string(path + ".signerName", bundle.string_at("signerName"), problem);
  }
  constexpr FieldRule rules[] = {{"path", Check::required}, {"path", Check::inner_path}, {"labelSelector", Check::label_selector}};
  check_fields(bundle, rules, path, errors);
}

void validate_certificate(const Node& certificate, const std::string& path, Paths& paths, FieldErrors& errors) {
  for (const std::string& problem : check_signer_name(certificate.string_at("signerName")))
    errors.invalid_string(path + ".signerName", certificate.string_at("signerName"), problem);
  constexpr FieldRule rules[] = {{"keyType", Check::required},
                                 {"keyType", Check::one_of, "RSA3072 RSA4096 ECDSAP256 ECDSAP384 ECDSAP521 ED25519"},
                                 {"credentialBundlePath", Check::inner_path},
                                 {"keyPath", Check::inner_path},
                                 {"certificateChainPath", Check::inner_path}};
  check_fields(certificate, rules, path, errors);
  validate_user_annotations(certificate.find("userAnnotations"), path + ".userAnnotations", errors);
  if (const auto seconds = int_at(certificate, "maxExpirationSeconds")) {
    const int64_t most = most_certificate_seconds(certificate.string_at("signerName"));
    const auto refuse = [&](std::string_view sign, int64_t limit) {
      errors.invalid(path + ".maxExpirationSeconds", certificate.find("maxExpirationSeconds"),
                     "if provided, maxExpirationSeconds must be " + std::string(sign) + " " + std::to_string(limit));
    };
    if (*seconds < least_certificate_seconds) refuse(">=", least_certificate_seconds);
    if (*seconds > most) refuse("<=", most);
  }
  bool any = false;
  for (std::string_view key : {"credentialBundlePath", "keyPath", "certificateChainPath"}) {
    any |= has_value(certificate, key);
    paths.take(certificate.string_at(key), certificate.string_at(key));
  }
  if (!any) errors.required(path, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
}

void validate_projected(const Node& projected, const std::string& path, FieldErrors& errors) {
  Paths paths(path, errors);
  each(projected, "sources", path, [&](const Node& source, const std::string& here) {
    for (std::string_view kind : {"secret", "configMap"}) {
      const Node* part = source.find(kind);
      if (!present(part)) continue;
      const std::string where = here + "." + std::string(kind);
      check_value(part->find("name"), Check::required, {}, where + ".name", errors);
      validate_items(*part, where, errors);
      paths.take_items(*part, part->string_at("name"));
    }
    if (const Node* downward = source.find("downwardAPI"); present(downward)) {
      validate_downward_items(*downward, here + ".downwardAPI", errors);
      paths.take_items(*downward, {});
    }
    if (const Node* token = source.find("serviceAccountToken"); present(token))
      validate_token(*token, path, here + ".serviceAccountToken", errors);
    if (const Node* bundle = source.find("clusterTrustBundle"); present(bundle)) {
      validate_trust_bundle(*bundle, here + ".clusterTrustBundle", errors);
      paths.take(bundle->string_at("path"), bundle->string_at("path"));
    }
    if (const Node* certificate = source.find("podCertificate"); present(certificate))
      validate_certificate(*certificate, here + ".podCertificate", paths, errors);
    if (source.size() > 1) errors.forbidden(here, "may not specify more than 1 volume type per source");
  });
}

void validate_fc(const Node& fc, const std::string& path, FieldErrors& errors) {
  const bool names = has_value(fc, "targetWWNs"), ids = has_value(fc, "wwids");
  if (!names && !ids) errors.required(path + ".targetWWNs", "must specify either targetWWNs or wwids, but not both");
  if (names && ids) errors.invalid(path + ".targetWWNs", fc.find("targetWWNs"), "targetWWNs and wwids can not be specified simultaneously");
  if (names && !has(fc, "lun")) errors.required(path + ".lun", "lun is required if targetWWNs is specified");
  if (names) check_value(fc.find("lun"), Check::range, "0 255", path + ".lun", errors);
}

void validate_flocker(const Node& flocker, const std::string& path, FieldErrors& errors) {
  const bool name = has_value(flocker, "datasetName"), uuid = has_value(flocker, "datasetUUID");
  if (!name && !uuid) errors.required(path, "one of datasetName and datasetUUID is required");
  if (name && uuid) errors.invalid_string(path, "resource", "datasetName and datasetUUID can not be specified simultaneously");
  if (flocker.string_at("datasetName").contains('/'))
    errors.invalid_string(path + ".datasetName", flocker.string_at("datasetName"), "must not contain '/'");
}

void validate_claim_template(const PodScope& pod, const Node& volume, const std::string& path) {
  const Node* made = volume.at("ephemeral", "volumeClaimTemplate");
  if (!present(made)) return;
  const std::string where = path + ".ephemeral.volumeClaimTemplate";
  if (const Node* metadata = made->find("metadata"); present(metadata)) {
    for (const Node& member : *metadata) {
      if (member.key() != "labels" && member.key() != "annotations" && !member.is_null())
        pod.errors.forbidden(where + "." + std::string(member.key()), "cannot be set");
    }
    validate_labels(metadata->find("labels"), where + ".metadata.labels", pod.errors);
  }
  const Node* spec = made->find("spec");
  if (present(spec)) validate_claim_spec(*spec, where + ".spec", pod.errors);
  const std::string_view owner = pod.metadata ? pod.metadata->string_at("name") : std::string_view{}, name = volume.string_at("name");
  if (owner.empty() || name.empty()) return;
  const std::string claim = std::string(owner) + "-" + std::string(name);
  for (const std::string& problem : model::check_dns1123_subdomain(claim))
    pod.errors.invalid_string(path + ".name", name, "PVC name " + quoted(claim) + ": " + problem);
}

void validate_source(const PodScope& pod, const Node& volume, const std::string& path) {
  FieldErrors& errors = pod.errors;
  check_union(volume, sources, path, "may not specify more than 1 volume type", "must specify a volume type", errors);
  check_fields(volume, source_rules, path, errors);
  for (std::string_view kind : {"secret", "configMap"}) {
    if (const Node* source = volume.find(kind); present(source)) validate_items(*source, path + "." + std::string(kind), errors);
  }
  if (const Node* limit = volume.at("emptyDir", "sizeLimit"); present(limit) && limit->as_string().starts_with('-'))
    errors.forbidden(path + ".emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity");
  if (const Node* downward = volume.find("downwardAPI"); present(downward))
    validate_downward_items(*downward, path + ".downwardAPI", errors);
  if (const Node* projected = volume.find("projected"); present(projected)) validate_projected(*projected, path + ".projected", errors);
  if (const Node* fc = volume.find("fc"); present(fc)) validate_fc(*fc, path + ".fc", errors);
  if (const Node* flocker = volume.find("flocker"); present(flocker)) validate_flocker(*flocker, path + ".flocker", errors);
  if (volume.at("storageos", "volumeName") == nullptr && has(volume, "storageos")) errors.required(path + ".storageos.volumeName");
  validate_claim_template(pod, volume, path);
  // Without an account there is nothing to make a token for.
  if (!pod.metadata || has_value(pod.spec, "serviceAccountName")) return;
  const Node* projected = volume.find("projected");
  if (!present(projected)) return;
  each(*projected, "sources", path + ".projected", [&](const Node& source, const std::string& here) {
    if (has(source, "serviceAccountToken"))
      errors.forbidden(here + ".serviceAccountToken", "must not be specified when serviceAccountName is not set");
  });
}

}  // namespace

void validate_volumes(PodScope& pod) {
  std::set<std::string, std::less<>> made;  // claims that are made for ephemeral volumes
  const std::string owner(pod.metadata ? pod.metadata->string_at("name") : std::string_view{});
  each(pod.spec, "volumes", pod.path, [&](const Node& volume, const std::string&) {
    if (!owner.empty() && has(volume, "ephemeral")) made.insert(owner + "-" + std::string(volume.string_at("name")));
  });
  each(pod.spec, "volumes", pod.path, [&](const Node& volume, const std::string& here) {
    const std::string name(volume.string_at("name"));
    validate_source(pod, volume, here);
    require_dns_label(name, here + ".name", pod.errors);
    if (!name.empty() && !pod.volumes.try_emplace(name, &volume).second) pod.errors.duplicate(here + ".name", name);
    const std::string_view claim = volume.string_at("persistentVolumeClaim", "claimName");
    if (made.contains(claim))
      pod.errors.invalid_string(here + ".persistentVolumeClaim.claimName", claim,
                                "must not reference a PVC that gets created for an ephemeral volume");
  });
}

void validate_resource_claims(PodScope& pod) {
  constexpr FieldRule rules[] = {{"name", Check::required},
                                 {"name", Check::dns_label},
                                 {"resourceClaimName", Check::dns_subdomain},
                                 {"resourceClaimTemplateName", Check::dns_subdomain}};
  each(pod.spec, "resourceClaims", pod.path, [&](const Node& claim, const std::string& here) {
    check_fields(claim, rules, here, pod.errors);
    const std::string name(claim.string_at("name"));
    if (!name.empty() && !pod.claims.insert(name).second) pod.errors.duplicate(here + ".name", name);
    const bool named = has(claim, "resourceClaimName"), made = has(claim, "resourceClaimTemplateName");
    if (named && made)
      pod.errors.invalid(here, &claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    if (!named && !made) pod.errors.invalid(here, &claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
  });
}

}  // namespace estiba::apiserver
