// links: image
// Any bytes as a layer, compressed or not, unpacked into an empty directory: nothing may appear beside it.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "image/archive.h"
#include "image/unpack.h"

using namespace estiba;

static std::string make_base() {
  std::string base = "/tmp/estiba-tar-fuzz-XXXXXX";
  if (!mkdtemp(base.data())) abort();
  static std::string removed = base;
  atexit([] {
    std::error_code ignored;
    std::filesystem::remove_all(removed, ignored);
  });
  return base;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string base = make_base();
  std::error_code error;
  std::string root = base + "/root";
  if (mkdir(root.c_str(), 0755) != 0) abort();
  int fd = open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  image::StringSource bytes({reinterpret_cast<const char*>(data), size});
  image::Decompressor plain(bytes);
  image::UnpackOptions options;
  options.limits = {.total_bytes = 1 << 20, .entries = 200};
  (void)image::unpack(plain, fd, options);
  close(fd);
  size_t beside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(base, error)) beside += entry.path() != root;
  if (beside != 0) abort();
  std::filesystem::remove_all(root, error);
  if (error) abort();
  return 0;
}
