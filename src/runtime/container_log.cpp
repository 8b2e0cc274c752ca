#include "runtime/container_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/time.h"
#include "os/file.h"
#include "os/process.h"

namespace estiba::runtime {

namespace {
// "20261121-022638.123456789": sorts by time.
std::string rotation_suffix(WallTime now) {
  std::string text = format_rfc3339_nano(now);
  std::string out;
  for (char c : text) {
    if (c == 'T') out += '-';
    else if ((c >= '0' && c <= '9') || c == '.') out += c;
  }
  return out;
}
}  // namespace

Result<void> ContainerLog::open(LogOptions options) {
  options_ = std::move(options);
  if (options_.path.empty()) return {};
  size_t slash = options_.path.rfind('/');
  if (slash == std::string::npos || slash == 0)
    return fail(Code::invalid, "log path " + options_.path + " must be absolute, in a directory");
  TRY(os::make_dirs(options_.path.substr(0, slash)));
  return reopen();
}

Result<void> ContainerLog::reopen() {
  if (options_.path.empty()) return {};
  file_ = TRY(os::open_file(options_.path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640));
  size_ = uint64_t(TRY(os::fstat_file(file_.get())).st_size);
  return {};
}

// Lines on their way to a file. A shim has one thread and empties it with each write, so that all its logs share it.
static constexpr size_t pending_limit = 512 << 10;
static char pending[pending_limit];
static size_t pending_size = 0;
static size_t pending_most = 0;  // since the last trim

void ContainerLog::begin(Stream stream, WallTime now) {
  std::string stamp = format_rfc3339_nano(now);
  stamp.append(stream == standard_output ? " stdout F " : " stderr F ");
  memcpy(prefix_, stamp.data(), std::min(stamp.size(), prefix_size));
}

void ContainerLog::add_line(char tag, std::string_view text, WallTime now) {
  const size_t length = prefix_size + text.size() + 1;
  // Rotation falls between lines.
  if (options_.max_bytes && size_ + pending_size + length > options_.max_bytes && size_ + pending_size > 0) {
    flush();
    if (!rotate(now)) size_ = 0;  // tried again after another max_bytes
  }
  if (pending_size + length > pending_limit) flush();
  char* to = pending + pending_size;
  memcpy(to, prefix_, prefix_size);
  to[prefix_size - 2] = tag;
  memcpy(to + prefix_size, text.data(), text.size());
  to[prefix_size + text.size()] = '\n';
  pending_size += length;
}

void ContainerLog::write(Stream stream, std::string_view bytes, WallTime now) {
  if (!file_) return;
  begin(stream, now);
  std::string& partial = partial_[stream];
  while (!bytes.empty()) {
    const void* newline = memchr(bytes.data(), '\n', bytes.size());
    const size_t size = newline ? size_t(static_cast<const char*>(newline) - bytes.data()) : bytes.size();
    if (partial.empty() && newline && size <= max_line) {
      add_line('F', bytes.substr(0, size), now);
      bytes.remove_prefix(size + 1);
      continue;
    }
    const size_t room = max_line - partial.size();
    if (size > room) {
      partial.append(bytes.substr(0, room));
      add_line('P', partial, now);
      partial.clear();
      bytes.remove_prefix(room);
      continue;
    }
    partial.append(bytes.substr(0, size));
    if (!newline) break;
    add_line('F', partial, now);
    partial.clear();
    bytes.remove_prefix(size + 1);
  }
  flush();
  if (partial.empty() && partial.capacity() > 1024) partial.shrink_to_fit();
}

void ContainerLog::flush() {
  // Nobody could be told of a full disk but through this log; the container must go on all the same.
  if (pending_size && file_) {
    (void)os::write_all(file_.get(), {pending, pending_size});
    size_ += pending_size;
  }
  pending_most = std::max(pending_most, pending_size);
  pending_size = 0;
}

void ContainerLog::trim() {
  if (std::exchange(pending_most, 0) > 16384) os::give_back(pending, pending_limit);
}

Result<void> ContainerLog::rotate(WallTime now) {
  TRY(os::rename_file(options_.path, options_.path + "." + rotation_suffix(now)));
  TRY(reopen());
  size_t slash = options_.path.rfind('/');
  std::string dir = options_.path.substr(0, slash), prefix = options_.path.substr(slash + 1) + ".";
  std::vector<std::string> old;
  for (os::DirEntry& entry : TRY(os::list_dir(dir))) {
    if (entry.name.starts_with(prefix)) old.push_back(std::move(entry.name));
  }
  std::sort(old.begin(), old.end());
  size_t keep = options_.max_files > 1 ? options_.max_files - 1 : 0;
  for (size_t i = 0; i + keep < old.size(); i++) TRY(os::remove_file(dir + "/" + old[i]));
  return {};
}

void ContainerLog::finish(WallTime now) {
  for (Stream stream : {standard_output, standard_error}) {
    begin(stream, now);
    if (!partial_[stream].empty() && file_) add_line('P', partial_[stream], now);
    partial_[stream].clear();
  }
  flush();
  file_.reset();
}

}  // namespace estiba::runtime
