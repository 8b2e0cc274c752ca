// A directory of its own for a test, gone with it.
#pragma once
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

namespace estiba::store {

class TempDirectory {
 public:
  TempDirectory() {
    const char* base = getenv("TMPDIR");
    path_ = std::string(base ? base : "/tmp") + "/estiba-store-XXXXXX";
    if (!mkdtemp(path_.data())) abort();
  }
  TempDirectory(const TempDirectory&) = delete;
  ~TempDirectory() {
    if (DIR* dir = opendir(path_.c_str())) {
      while (dirent* entry = readdir(dir)) unlink((path_ + "/" + entry->d_name).c_str());
      closedir(dir);
    }
    rmdir(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace estiba::store
