// One content store for the registry and the engine: images of the index are served as if they had been pushed, and what is
// pushed enters the index under the name that a pull would give it. Then pods and containers start without a pull, and
// what was built here needs no push.
//
// Names: `repo:tag` of the registry is `HOST/repo:tag` of the index, HOST being what clients call this registry: the names it
// was started with, or localhost and loopback addresses with its port. Reading also finds docker.io's images, "nginx" being
// docker.io/library/nginx, and with `?ns=HOST`, as containerd asks a mirror, those of that registry.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/store.h"

namespace estiba::image {

class SharedImages {
 public:
  /// `names`: "registry.example", "10.0.0.1:5000".
  SharedImages(Store& store, std::vector<std::string> names) : store_(store), names_(std::move(names)) {}

  /// The port that loopback names must have; known after listening.
  void set_port(uint16_t port) { port_ = port; }
  /// How this registry is called in a request with this Host header: the header when it is to be trusted, and its names. A
  /// client may not choose any other name, or it could replace other registries' images.
  std::vector<std::string> hosts(std::string_view host_header) const;

  // Blocking; any thread. `hosts` is what hosts() gave, `ns` the query's parameter or empty.
  /// The digest of the manifest of a named image.
  Result<std::optional<std::string>> manifest(const std::vector<std::string>& hosts, std::string_view ns, std::string_view repository,
                                              std::string_view tag);
  Result<std::vector<std::string>> tags(const std::vector<std::string>& hosts, std::string_view repository);
  Result<std::vector<std::string>> repositories(const std::vector<std::string>& hosts);
  /// Bytes of the layers of a pushed image that are not unpacked here yet; 0 for what is no image for this machine.
  Result<uint64_t> packed_bytes(std::string_view manifest);
  /// Enters a pushed image, unpacked, under its names, if it is then still `wanted`. Does nothing for what is no image for this machine.
  Result<void> enter(const std::vector<std::string>& hosts, std::string_view repository, std::string_view tag, std::string_view manifest,
                     const std::function<bool()>& wanted);
  /// Takes the names of `repository:tag` away where they mean `manifest` (any, when empty), or without a tag those of
  /// `repository@manifest`; whether there was one.
  Result<bool> leave(const std::vector<std::string>& hosts, std::string_view repository, std::string_view tag, std::string_view manifest);
  /// Tags by which the index has `manifest` in this repository.
  Result<std::vector<std::string>> tags_of(const std::vector<std::string>& hosts, std::string_view repository, std::string_view manifest);

 private:
  struct Usable {
    std::string digest;
    Manifest manifest;
    std::shared_ptr<const Config> config;
  };
  /// The image for this machine that a pushed manifest or index means.
  Result<std::optional<Usable>> usable(std::string_view pushed);

  Store& store_;
  std::vector<std::string> names_;
  uint16_t port_ = 0;
  std::mutex naming_;  ///< held while a name is entered or taken away
};

}  // namespace estiba::image
