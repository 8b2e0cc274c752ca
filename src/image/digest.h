// Content digests, "sha256:<64 hex digits>" (OCI image-spec, descriptor.md). Only sha256 is used here: other algorithms
// are registered but no registry serves them alone.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_md_ctx_st;

namespace estiba::image {

/// A running SHA-256.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void update(std::string_view bytes);
  /// "sha256:…" of all that was added. Call once.
  std::string digest();

 private:
  evp_md_ctx_st* context_;
};

std::string digest_of(std::string_view bytes);
bool valid_digest(std::string_view digest);
/// The digits behind "sha256:" of a valid digest.
std::string_view hex_of(std::string_view digest);
/// The first 12 digits, as people write image ids.
std::string short_digest(std::string_view digest);
/// The identity of a stack of layers (image-spec, config.md "Layer ChainID"); `below` is empty for the lowest layer.
std::string chain_id(std::string_view below, std::string_view diff_id);

}  // namespace estiba::image
