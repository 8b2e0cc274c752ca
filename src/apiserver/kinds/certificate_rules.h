// What the certificates that pods ask for in their volumes and PodCertificateRequests have in common.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

#include "apiserver/kinds/rules.h"

namespace estiba::apiserver {

inline constexpr int64_t least_certificate_seconds = 3600;
/// For how long a certificate may be asked for: 91 days, of Kubernetes' own signers one.
inline int64_t most_certificate_seconds(std::string_view signer) {
  return signer.starts_with("kubernetes.io/") ? 24 * 3600 : 91 * 24 * 3600;
}

/// userAnnotations and unverifiedUserAnnotations: keys of a domain, 256 KiB at most (pkg/apis/core/validation, ValidateUserAnnotations).
inline void validate_user_annotations(const json::Node* annotations, const std::string& path, FieldErrors& errors) {
  constexpr size_t longest = 256 * 1024;
  if (!annotations || !annotations->is_object()) return;
  size_t bytes = 0;
  for (const json::Node& entry : *annotations) {
    bytes += entry.key().size() + entry.as_string().size();
    std::string key(entry.key());
    std::ranges::transform(key, key.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 'a' - 'A') : c; });
    const size_t before = errors.causes().size();
    if (key.empty()) errors.required(path);
    else require_qualified_name(key, path, errors);
    if (!key.contains('/') && errors.causes().size() == before)
      errors.invalid_string(path, key, "must be a domain-prefixed key (such as \"acme.io/foo\")");
  }
  if (bytes > longest) errors.too_long(path, longest);
}

}  // namespace estiba::apiserver
