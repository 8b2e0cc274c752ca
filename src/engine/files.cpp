#include "engine/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

namespace estiba::engine {

Result<std::string> read_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return fail(Code::not_found, path + " does not exist");
    return fail_errno("open " + path);
  }
  std::string out;
  char buffer[8192];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read " + path);
    if (n == 0) return out;
    out.append(buffer, size_t(n));
  }
}

Result<void> write_file(const std::string& path, std::string_view bytes, unsigned mode) {
  const std::string temporary = path + ".tmp";
  {
    Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd) return fail_errno("open " + temporary);
    while (!bytes.empty()) {
      ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("write " + temporary);
      bytes.remove_prefix(size_t(n));
    }
    if (::fchmod(fd.get(), mode) != 0) return fail_errno("chmod " + temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename " + temporary);
  return {};
}

Result<void> make_dirs(const std::string& path, unsigned mode) {
  if (path.empty() || ::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return fail_errno("mkdir " + path);
  size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return fail_errno("mkdir " + path, ENOENT);
  TRY(make_dirs(path.substr(0, slash), 0755));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail_errno("mkdir " + path);
  return {};
}

Result<std::vector<std::string>> list_names(const std::string& path) {
  std::vector<std::string> out;
  DIR* list = ::opendir(path.c_str());
  if (!list) {
    if (errno == ENOENT) return out;
    return fail_errno("list " + path);
  }
  while (dirent* entry = ::readdir(list))
    if (std::string_view name = entry->d_name; name != "." && name != "..") out.emplace_back(name);
  ::closedir(list);
  return out;
}

Result<void> delete_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("unlink " + path);
  return {};
}

}  // namespace estiba::engine
