// Names of images, as Docker and Kubernetes write them: [registry/]repository[:tag][@digest]. What is left out is filled
// in as Docker does: "nginx" is docker.io/library/nginx:latest (distribution/reference, normalize.go).
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::image {

struct Reference {
  std::string registry;    ///< "docker.io", "localhost:5000", "quay.io"
  std::string repository;  ///< "library/nginx"
  std::string tag;         ///< "latest" when neither tag nor digest were given
  std::string digest;      ///< "sha256:…" or empty

  /// "docker.io/library/nginx"
  std::string name() const { return registry + "/" + repository; }
  /// name:tag, name@digest, or name:tag@digest
  std::string text() const;
  /// What the store keeps it under: name@digest when there is a digest, else name:tag.
  std::string key() const;
  /// The short form that people write: "nginx:1.29".
  std::string familiar() const;
};

/// An invalid reference fails with Code::invalid and says which part is wrong.
Result<Reference> parse_reference(std::string_view text);
/// True for "sha256:<64 hex>" and for 64 bare hex digits: an image's id, not a name.
bool is_image_id(std::string_view text);

}  // namespace estiba::image
