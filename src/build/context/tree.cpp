#include "build/context/tree.h"

#include <sys/sendfile.h>
#include <unistd.h>

#include <deque>
#include <memory>

#include "base/strings.h"
#include "build/context/ignore.h"

namespace estiba::build {

Result<std::string> Tree::resolve(std::string_view path, bool follow_last) const {
  std::deque<std::string> todo;
  for (std::string_view part : split(path, '/')) todo.emplace_back(part);
  std::vector<std::string> done;
  int links = 0;
  while (!todo.empty()) {
    std::string part = std::move(todo.front());
    todo.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(std::move(part));
    bool last = true;
    for (const std::string& more : todo) last &= more.empty() || more == ".";
    if (last && !follow_last) continue;
    auto info = TRY(look(join(done, "/")));
    if (!info || info->type != FileInfo::Type::symlink) continue;
    if (++links > 100) return fail(Code::malformed, "too many symlinks on the way to " + quoted(path));
    done.pop_back();
    if (info->link.starts_with('/')) done.clear();
    auto parts = split(info->link, '/');
    for (size_t i = parts.size(); i-- > 0;) todo.emplace_front(parts[i]);
    if (todo.size() > 4096) return fail(Code::malformed, "the path " + quoted(path) + " is too long");
  }
  return join(done, "/");
}

Result<void> copy_bytes(int from, uint64_t offset, uint64_t size, int to) {
  off_t at = off_t(offset);
  bool in_kernel = true;
  std::unique_ptr<char[]> buffer;
  constexpr size_t buffer_size = 256 * 1024;
  while (size > 0) {
    ssize_t n = -1;
    if (in_kernel) {
      n = ::copy_file_range(from, &at, to, nullptr, size, 0);
      if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
        in_kernel = false;
        continue;
      }
      if (n < 0 && errno != EINTR) return fail_errno("copy");
    } else {
      if (!buffer) buffer = std::make_unique<char[]>(buffer_size);
      n = ::pread(from, buffer.get(), std::min<uint64_t>(size, buffer_size), at);
      if (n < 0 && errno != EINTR) return fail_errno("read");
      for (ssize_t written = 0; written < n;) {
        ssize_t w = ::write(to, buffer.get() + written, size_t(n - written));
        if (w < 0 && errno != EINTR) return fail_errno("write");
        if (w > 0) written += w;
      }
      if (n > 0) at += n;
    }
    if (n == 0) return fail(Code::malformed, "the file is shorter than it was");
    if (n > 0) size -= uint64_t(n);
  }
  return {};
}

}  // namespace estiba::build
