#include "runtime/container_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/time.h"
#include "os/file.h"

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
  if (slash == std::string::npos || slash == 0) return fail(Code::invalid, "log path " + options_.path + " must be absolute, in a directory");
  TRY(os::make_dirs(options_.path.substr(0, slash)));
  return reopen();
}

Result<void> ContainerLog::reopen() {
  if (options_.path.empty()) return {};
  file_ = TRY(os::open_file(options_.path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640));
  size_ = uint64_t(TRY(os::fstat_file(file_.get())).st_size);
  return {};
}

void ContainerLog::add_line(Stream stream, char tag, std::string_view text, WallTime now) {
  if (stamp_.empty()) stamp_ = format_rfc3339_nano(now);
  size_t length = stamp_.size() + 10 + text.size() + 1;
  // Rotation falls between lines.
  if (options_.max_bytes && size_ + pending_.size() + length > options_.max_bytes && size_ + pending_.size() > 0) {
    flush(now);
    if (!rotate(now)) size_ = 0;  // tried again after another max_bytes
  }
  pending_.append(stamp_).append(stream == standard_output ? " stdout " : " stderr ");
  pending_ += tag;
  pending_ += ' ';
  pending_.append(text) += '\n';
}

void ContainerLog::write(Stream stream, std::string_view bytes, WallTime now) {
  if (!file_) return;
  stamp_.clear();
  std::string& partial = partial_[stream];
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    std::string_view piece = bytes.substr(0, end);
    size_t room = max_line - partial.size();
    if (piece.size() > room) {
      partial.append(piece.substr(0, room));
      add_line(stream, 'P', partial, now);
      partial.clear();
      bytes.remove_prefix(room);
      continue;
    }
    if (end == std::string_view::npos) {
      partial.append(piece);
      break;
    }
    if (partial.empty()) {
      add_line(stream, 'F', piece, now);
    } else {
      partial.append(piece);
      add_line(stream, 'F', partial, now);
      partial.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  flush(now);
}

void ContainerLog::flush(WallTime) {
  // Nobody could be told of a full disk but through this log; the container must go on all the same.
  if (!pending_.empty() && file_) {
    (void)os::write_all(file_.get(), pending_);
    size_ += pending_.size();
  }
  pending_.clear();
  if (pending_.capacity() > 65536) pending_.shrink_to_fit();
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
  stamp_.clear();
  for (Stream stream : {standard_output, standard_error}) {
    if (!partial_[stream].empty() && file_) add_line(stream, 'P', partial_[stream], now);
    partial_[stream].clear();
  }
  flush(now);
  file_.reset();
}

}  // namespace estiba::runtime
