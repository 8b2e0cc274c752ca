#include "build/context/contents.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "build/context/tree.h"
#include "os/file.h"

namespace estiba::build {

Result<std::unique_ptr<Contents>> Contents::open(std::string directory) {
  const auto space = TRY(os::disk_space(directory));
  const uint64_t reserve = std::max<uint64_t>(space.total_bytes / 50, 64 << 20);
  const uint64_t room = space.free_bytes > reserve ? space.free_bytes - reserve : 0;
  std::unique_ptr<Contents> out(new Contents(std::move(directory), room));
  out->shared_ = TRY(os::open_file(out->directory_ + "/files", O_RDWR | O_CREAT | O_EXCL, 0600));
  return out;
}

Result<ContentPlace> Contents::add(uint64_t size) {
  current_.reset();
  if (size > left_)
    return fail(Code::too_large, "the build context does not fit: it is larger than the " + std::to_string(room_ >> 20) +
                                     " MiB that are free in " + directory_ + "; leave files out with a .dockerignore");
  left_ -= size;
  if (size == 0) return ContentPlace{};
  if (size < large) return ContentPlace{ContentPlace::Kind::shared, shared_size_ + waiting_.size()};
  const uint64_t number = numbers_++;
  current_ = TRY(os::open_file(path(number), O_WRONLY | O_CREAT | O_EXCL, 0600));
  return ContentPlace{ContentPlace::Kind::own, number};
}

Result<void> Contents::write(std::string_view bytes) {
  if (current_) return os::write_all(current_.get(), bytes);
  waiting_ += bytes;
  return waiting_.size() < (1 << 20) ? Result<void>() : flush();
}

Result<void> Contents::write_from(int fd, uint64_t size) {
  if (current_) return copy_bytes(fd, 0, size, current_.get());
  std::string bytes(size, '\0');
  for (uint64_t done = 0; done < size;) {
    const ssize_t n = ::pread(fd, bytes.data() + done, size - done, off_t(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read");
    if (n == 0) return fail(Code::malformed, "the file is shorter than it was");
    done += uint64_t(n);
  }
  return write(bytes);
}

Result<void> Contents::flush() {
  TRY(os::write_all(shared_.get(), waiting_));
  shared_size_ += waiting_.size();
  waiting_.clear();
  return {};
}

Result<void> Contents::finish() {
  current_.reset();
  return flush();
}

Result<OpenContent> Contents::read(ContentPlace place) const {
  if (place.kind != ContentPlace::Kind::own) return OpenContent{Fd(), shared_.get(), place.at};
  std::lock_guard lock(mutex_);
  if (auto it = given_.find(place.at); it != given_.end()) return OpenContent{Fd(), it->second.get(), 0};
  Fd fd = TRY(os::open_file(path(place.at), O_RDONLY));
  const int number = fd.get();
  return OpenContent{std::move(fd), number, 0};
}

bool Contents::give(ContentPlace place, const std::string& target) {
  constexpr size_t most = 512;  // descriptors
  if (place.kind != ContentPlace::Kind::own) return false;
  std::lock_guard lock(mutex_);
  if (given_.size() >= most || given_.contains(place.at)) return false;
  auto fd = os::open_file(path(place.at), O_RDONLY);
  if (!fd || ::renameat2(AT_FDCWD, path(place.at).c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) != 0) return false;
  given_.emplace(place.at, std::move(*fd));
  return true;
}

}  // namespace estiba::build
