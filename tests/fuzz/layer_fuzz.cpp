// links: image
// Any bytes as two layers, one on top of the other. What comes of them is written as a layer's tar, as `docker commit` does, and read
// again: it must be the same tree, and so the same tar, byte for byte; and nothing may appear beside the roots.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "image/tree_tar.h"
#include "image/unpack.h"

using namespace estiba;

static std::string make_base() {
  std::string base = "/tmp/estiba-layer-fuzz-XXXXXX";
  if (!mkdtemp(base.data())) abort();
  static std::string removed = base;
  atexit([] {
    std::error_code ignored;
    std::filesystem::remove_all(removed, ignored);
  });
  return base;
}

static bool unpack_into(const std::string& root, std::string_view bytes) {
  image::StringSource source(bytes);
  image::Decompressor plain(source);
  image::UnpackOptions options;
  options.limits = {.total_bytes = 1 << 20, .entries = 200};
  int fd = open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  bool done = image::unpack(plain, fd, options).has_value();
  close(fd);
  return done;
}

static Result<std::string> tar_of(const std::string& root) {
  auto tree = TRY(image::TreeTar::open(root));
  return image::read_all(*tree, 1 << 28);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string base = make_base();
  std::error_code error;
  const std::string first = base + "/first", second = base + "/second";
  if (mkdir(first.c_str(), 0755) != 0 || mkdir(second.c_str(), 0755) != 0) abort();
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  size_t half = size / 1024 * 512;
  // A layer that fails leaves a part, which is a tree like any other.
  (void)unpack_into(first, bytes.substr(0, half));
  (void)unpack_into(first, bytes.substr(half));
  auto once = tar_of(first);
  if (once) {
    if (!unpack_into(second, *once)) abort();
    auto twice = tar_of(second);
    if (!twice || *twice != *once) abort();
  }
  size_t beside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(base, error)) beside += entry.path() != first && entry.path() != second;
  if (beside != 0) abort();
  std::filesystem::remove_all(first, error);
  std::filesystem::remove_all(second, error);
  if (error) abort();
  return 0;
}
