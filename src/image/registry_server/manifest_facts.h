// What the registry needs to know of a manifest or index; the rest of it is its clients' business.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::image {

struct ManifestFacts {
  struct Blob {
    std::string digest;
    uint64_t size = 0;
    bool elsewhere = false;  ///< has `urls`, so the registry need not have it
  };
  std::string media_type;
  std::string artifact_type;  ///< artifactType, or the configuration's media type
  std::string subject;        ///< digest, or empty
  std::vector<Blob> blobs;    ///< configuration and layers; none of an index
  std::map<std::string, std::string> annotations;
};

/// `content_type` is what it was sent as, empty when not known. Malformed says what is wrong with which field.
Result<ManifestFacts> read_manifest_facts(std::string_view text, std::string_view content_type);

}  // namespace estiba::image
