#include "engine/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/strings.h"
#include "base/time.h"
#include "engine/files.h"
#include "io/file_watch.h"

namespace estiba::engine {

namespace {

// "2026-11-21T02:26:38.123456789Z stdout F text": our own shim's lines have everything at fixed places.
constexpr size_t time_size = 30, stream_at = 31, tag_at = 38, text_at = 40;
constexpr size_t chunk = 256 << 10;

bool of_our_own(std::string_view line) {
  return line.size() >= text_at && line[time_size] == ' ' && line[stream_at + 6] == ' ' && line[tag_at + 1] == ' ' &&
         (line[tag_at] == 'F' || line[tag_at] == 'P') && std::memcmp(line.data() + stream_at, "std", 3) == 0;
}

}  // namespace

std::optional<LogLine> LogLine::parse(std::string_view line) {
  if (of_our_own(line)) return LogLine{line.substr(0, time_size), line.substr(stream_at, 6), line.substr(text_at), line[tag_at] == 'P'};
  auto [time, rest] = split_once(line, ' ');
  if (!rest) return std::nullopt;
  auto [stream, more] = split_once(*rest, ' ');
  if (!more || (stream != "stdout" && stream != "stderr")) return std::nullopt;
  auto [tag, text] = split_once(*more, ' ');
  if (tag != "F" && tag != "P") return std::nullopt;
  return LogLine{time, stream, text.value_or(std::string_view{}), tag == "P"};
}

Result<int64_t> tail_offset(int fd, int64_t lines, int64_t* found_out) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return fail_errno("fstat");
  int64_t found = 0, start = info.st_size;  // of the earliest piece that has been seen
  bool first = true;
  // A piece begins a line when the one before it ends one; that one is seen next, going backwards.
  auto ends_line = [](std::string_view piece) {
    auto line = LogLine::parse(piece.substr(0, std::min(piece.find('\n'), piece.size())));
    return !line || !line->partial;
  };
  std::string block;
  for (int64_t end = lines > 0 ? info.st_size : 0; end > 0;) {
    const int64_t begin = std::max<int64_t>(end - int64_t(chunk), 0);
    // Beyond the end: the head of a piece that goes over it.
    block.resize(size_t(std::min<int64_t>(end + 128, info.st_size) - begin));
    const ssize_t n = pread(fd, block.data(), block.size(), begin);
    if (n != ssize_t(block.size())) return fail_errno("read the log");
    for (int64_t at = end - begin; at >= 0;) {
      const void* newline = at > 0 ? memrchr(block.data(), '\n', size_t(at)) : nullptr;
      if (!newline && begin > 0) break;
      const int64_t piece = newline ? static_cast<const char*>(newline) - block.data() + 1 : 0;
      if (begin + piece < info.st_size) {
        if (!first && ends_line(std::string_view(block).substr(size_t(piece))) && ++found == lines) {
          if (found_out) *found_out = found;
          return start;
        }
        first = false;
        start = begin + piece;
      }
      at = piece - 1;
    }
    end = begin;
  }
  if (!first) ++found;
  if (found_out) *found_out = found;
  return start;
}

namespace {

class Reader {
 public:
  Reader(std::string path, LogOptions options) : path_(std::move(path)), options_(std::move(options)) {
    if (options_.since) since_ = format_rfc3339_nano(*options_.since);
    if (options_.until) until_ = format_rfc3339_nano(*options_.until);
  }

  /// Opens the file where the reading begins, at the right place.
  Result<void> begin() {
    std::vector<std::string> files;
    if (options_.rotated) files = rotated();
    files.push_back(path_);
    if (!options_.tail_lines) {
      for (const auto& file : files)
        if (open(file) || file == path_) break;
      if (fd_) return {};
      return fail_errno("open the log " + path_, error_);
    }
    int64_t wanted = *options_.tail_lines;
    for (size_t i = files.size(); i-- > 0;) {
      Fd later = std::move(fd_);
      const off_t later_offset = offset_;
      if (!open(files[i])) {
        if (!later) return fail_errno("open the log " + files[i], error_);
        fd_ = std::move(later);
        offset_ = later_offset;
        return {};
      }
      int64_t found = 0;
      offset_ = TRY(tail_offset(fd_.get(), wanted, &found));
      wanted -= found;
      if (wanted <= 0) return {};
    }
    return {};
  }
  /// What has come since the last call; empty at the file's present end.
  Result<std::string> read() {
    if (!buffer_) buffer_ = std::make_unique<char[]>(chunk + max_piece);
    const ssize_t n = pread(fd_.get(), buffer_.get() + kept_, chunk + max_piece - kept_, offset_);
    if (n < 0) return fail_errno("read the log " + path_);
    at_end_ = n == 0;
    offset_ += n;
    std::string out;
    out.reserve(size_t(n) + 4096);
    const char* start = buffer_.get();
    const char* const end = start + kept_ + n;
    while (const void* newline = std::memchr(start, '\n', size_t(end - start))) {
      const char* stop = static_cast<const char*>(newline);
      add(std::string_view(start, size_t(stop - start)), out);
      start = stop + 1;
    }
    kept_ = size_t(end - start);
    if (kept_ == chunk + max_piece) kept_ = 0;  // no log of ours has such a line
    std::memmove(buffer_.get(), start, kept_);
    return out;
  }
  bool at_end() const { return at_end_; }
  bool full() const { return past_ || (options_.limit_bytes && sent_ >= *options_.limit_bytes); }
  /// The file was renamed by rotation and another stands in its place.
  bool replaced() const {
    struct stat open{}, named{};
    return fstat(fd_.get(), &open) == 0 && ::stat(path_.c_str(), &named) == 0 && open.st_ino != named.st_ino;
  }
  /// Goes on in the file that came after this one.
  Result<void> next() {
    struct stat ours{};
    if (fstat(fd_.get(), &ours) != 0) return fail_errno("fstat");
    for (int round = 0; round < 100; ++round) {  // a rotation may come in between
      auto files = rotated();
      files.push_back(path_);
      // Not among them any more: rotation has deleted it, and the oldest that is left follows.
      size_t at = 0;
      for (size_t i = 0; i < files.size(); ++i) {
        struct stat info{};
        if (::stat(files[i].c_str(), &info) == 0 && info.st_ino == ours.st_ino && info.st_dev == ours.st_dev) at = i + 1;
      }
      if (at < files.size() && open(files[at])) return {};
    }
    return fail_errno("open the log " + path_, error_ ? error_ : ENOENT);
  }

 private:
  static constexpr size_t max_piece = 64 << 10;

  bool open(const std::string& file) {
    Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
      error_ = errno;
      return false;
    }
    fd_ = std::move(fd);
    offset_ = 0;
    kept_ = 0;
    return true;
  }

  std::vector<std::string> rotated() const {
    const size_t slash = path_.rfind('/');
    const std::string dir = path_.substr(0, slash), prefix = path_.substr(slash + 1) + ".";
    std::vector<std::string> out;
    auto names = list_names(dir);
    if (!names) return out;
    for (const auto& name : *names)
      if (name.starts_with(prefix) && name.size() > prefix.size() && name[prefix.size()] >= '0' && name[prefix.size()] <= '9')
        out.push_back(dir + "/" + name);
    std::sort(out.begin(), out.end());
    return out;
  }

  /// Whether a line's time is within since and until. Times of one length and zone compare as text.
  bool in_time(std::string_view time) {
    auto before = [](std::string_view a, std::string_view b) {
      if (a.size() == b.size() && a.ends_with('Z')) return a < b;
      auto left = parse_rfc3339(a), right = parse_rfc3339(b);
      return left && right && *left < *right;
    };
    if (!since_.empty() && before(time, since_)) return false;
    since_.clear();  // the lines are in the order of time
    if (until_.empty() || !before(until_, time)) return true;
    past_ = true;
    return false;
  }

  void add(std::string_view text, std::string& out) {
    auto line = LogLine::parse(text);
    if (!line || full()) return;
    if (!options_.stream.empty() && line->stream != options_.stream) return;
    if ((!since_.empty() || !until_.empty()) && !in_time(line->time)) return;
    bool& inside = inside_[line->stream == "stderr"];
    const bool stamped = options_.timestamps && !inside;
    const size_t size = (stamped ? line->time.size() + 1 : 0) + line->text.size() + !line->partial;
    const size_t before = out.size();
    if (options_.frames) {
      const char header[8] = {
          line->stream == "stderr" ? '\2' : '\1', 0, 0, 0, char(size >> 24), char(size >> 16), char(size >> 8), char(size)};
      out.append(header, sizeof header);
    }
    if (stamped) out.append(line->time).append(1, ' ');
    out.append(line->text);
    inside = line->partial;
    if (!line->partial) out += '\n';
    if (options_.limit_bytes) out.resize(before + size_t(std::min<int64_t>(int64_t(out.size() - before), *options_.limit_bytes - sent_)));
    sent_ += int64_t(out.size() - before);
  }

  const std::string path_;
  const LogOptions options_;
  std::string since_, until_;
  Fd fd_;
  int error_ = 0;
  off_t offset_ = 0;
  std::unique_ptr<char[]> buffer_;
  size_t kept_ = 0;  // bytes of an unfinished line at the buffer's beginning
  int64_t sent_ = 0;
  bool at_end_ = false, past_ = false;
  bool inside_[2] = {};  // by stream: the last piece was partial, so the next one continues its line
};

}  // namespace

Task<Result<void>> read_log(std::string path, LogOptions options, std::function<bool()> running, estiba::Event* stopped, LogSink sink) {
  const bool follow = options.follow;
  std::optional<io::FileWatch> watch;
  if (follow) watch = CO_TRY(io::FileWatch::open(path));
  Reader reader(path, std::move(options));
  CO_TRY(reader.begin());
  for (;;) {
    const bool last = !running();  // asked before reading: what it wrote before its end is there
    std::string text = CO_TRY(reader.read());
    if (!text.empty()) CO_TRY(co_await sink(std::move(text)));
    if (reader.full()) co_return {};
    if (!reader.at_end()) continue;
    if (reader.replaced()) {
      CO_TRY(reader.next());
      continue;
    }
    if (!follow || last) co_return {};
    // A change of the file or the container's end, whichever comes first.
    estiba::Event any;
    TaskGroup both;
    both.start([](io::FileWatch* w, estiba::Event* e) -> Task<void> {
      co_await w->changed();
      e->set();
    }(&*watch, &any));
    both.start([](estiba::Event* s, estiba::Event* e) -> Task<void> {
      co_await s->wait();
      e->set();
    }(stopped, &any));
    co_await any.wait();
  }
}

}  // namespace estiba::engine
