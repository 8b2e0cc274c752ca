// CRI runtime.v1, messages about images (k8s.io/cri-api, api.proto, which names the fields' numbers). Times are nanoseconds since 1970.
#pragma once
#include "cri/message.h"
#include "cri/messages/container.h"
#include "cri/messages/stats.h"

namespace estiba::cri::v1 {

struct ImageFilter {
  ImageSpec image;
  static constexpr auto fields() {
    using M = ImageFilter;
    return table(field(1, &M::image));
  }
};
struct ListImagesRequest {
  ImageFilter filter;
  static constexpr auto fields() {
    using M = ListImagesRequest;
    return table(field(1, &M::filter));
  }
};
struct Image {
  std::string id, username;
  std::vector<std::string> repo_tags, repo_digests;
  uint64_t size = 0;
  std::optional<int64_t> uid;
  ImageSpec spec;
  bool pinned = false;
  static constexpr auto fields() {
    using M = Image;
    return table(field(1, &M::id), field(2, &M::repo_tags), field(3, &M::repo_digests), field(4, &M::size), field(5, &M::uid),
                 field(6, &M::username), field(7, &M::spec), field(8, &M::pinned));
  }
};
struct ListImagesResponse {
  std::vector<Image> images;
  static constexpr auto fields() {
    using M = ListImagesResponse;
    return table(field(1, &M::images));
  }
};
struct ImageStatusRequest {
  ImageSpec image;
  bool verbose = false;
  static constexpr auto fields() {
    using M = ImageStatusRequest;
    return table(field(1, &M::image), field(2, &M::verbose));
  }
};
struct ImageStatusResponse {
  Image image;
  Labels info;
  static constexpr auto fields() {
    using M = ImageStatusResponse;
    return table(field(1, &M::image), field(2, &M::info));
  }
};
struct AuthConfig {
  std::string username, password, auth, server_address, identity_token, registry_token;
  static constexpr auto fields() {
    using M = AuthConfig;
    return table(field(1, &M::username), field(2, &M::password), field(3, &M::auth), field(4, &M::server_address),
                 field(5, &M::identity_token), field(6, &M::registry_token));
  }
};
struct PullImageRequest {
  ImageSpec image;
  AuthConfig auth;
  PodSandboxConfig sandbox_config;
  static constexpr auto fields() {
    using M = PullImageRequest;
    return table(field(1, &M::image), field(2, &M::auth), field(3, &M::sandbox_config));
  }
};
struct PullImageResponse {
  std::string image_ref;
  static constexpr auto fields() {
    using M = PullImageResponse;
    return table(field(1, &M::image_ref));
  }
};
struct RemoveImageRequest {
  ImageSpec image;
  static constexpr auto fields() {
    using M = RemoveImageRequest;
    return table(field(1, &M::image));
  }
};
struct ImageFsInfoResponse {
  std::vector<FilesystemUsage> image_filesystems, container_filesystems;
  static constexpr auto fields() {
    using M = ImageFsInfoResponse;
    return table(field(1, &M::image_filesystems), field(2, &M::container_filesystems));
  }
};

}  // namespace estiba::cri::v1
