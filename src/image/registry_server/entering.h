// Pushed images on their way into the engine's index. An image that has to be unpacked first would keep its client waiting for longer
// than the push itself: small ones enter before the push is answered, large ones soon after it.
//
//   <data-dir>/registry/entering/<hex>   digest, repository, tag and hosts, a line each: of those under way, for the next server
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/registry_server/repositories.h"
#include "image/registry_server/shared_images.h"
#include "io/pool.h"

namespace estiba::image {

class Entering {
 public:
  /// `pool` ends before this does.
  Entering(Store& store, const Repositories& repositories, SharedImages& images, io::Pool& pool);
  /// What an earlier server has not finished goes on.
  Result<void> resume();
  /// `hosts` as SharedImages has them; `digest` is the manifest that `repository:tag` now means. An image that cannot be unpacked stays
  /// out, and the log says so: it is still good for others. Blocking; any thread. Whoever calls holds Store::adding().
  void enter(std::vector<std::string> hosts, std::string repository, std::string tag, std::string digest);

 private:
  struct Entry {
    std::vector<std::string> hosts;
    std::string repository, tag, digest;
  };
  Result<void> enter_now(const Entry& entry);
  Result<void> enter_later(Entry entry);
  void finish(const Entry& entry, const std::string& note);

  Store& store_;
  const Repositories& repositories_;
  SharedImages& images_;
  io::Pool& pool_;
  const std::string dir_;
};

}  // namespace estiba::image
