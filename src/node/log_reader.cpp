#include "node/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/strings.h"
#include "base/time.h"
#include "io/file_watch.h"

namespace estiba::node {

std::optional<LogLine> LogLine::parse(std::string_view line) {
  auto [time, rest] = split_once(line, ' ');
  if (!rest) return std::nullopt;
  auto [stream, more] = split_once(*rest, ' ');
  if (!more || (stream != "stdout" && stream != "stderr")) return std::nullopt;
  auto [tag, text] = split_once(*more, ' ');
  if (tag != "F" && tag != "P") return std::nullopt;
  return LogLine{time, stream, text.value_or(std::string_view{}), tag == "P"};
}

Result<int64_t> tail_offset(int fd, int64_t lines) {
  struct stat stat {};
  if (fstat(fd, &stat) != 0) return fail_errno("fstat");
  int64_t end = stat.st_size;
  if (lines <= 0) return end;
  std::string block;
  // A line is whole when its last piece is F: partial pieces before it belong to it. Counting newlines gives at most as
  // many lines as wanted pieces; read_log drops a leading rest of a partial line.
  int64_t found = 0;
  bool at_end = true;
  while (end > 0) {
    const int64_t begin = std::max<int64_t>(end - 65536, 0);
    block.resize(size_t(end - begin));
    const ssize_t n = pread(fd, block.data(), block.size(), begin);
    if (n != ssize_t(block.size())) return fail_errno("read the log");
    for (int64_t i = n - 1; i >= 0; --i) {
      if (block[size_t(i)] != '\n') {
        at_end = false;
        continue;
      }
      if (at_end) {
        at_end = false;
        continue;  // the newline that ends the last line
      }
      if (++found == lines) return begin + i + 1;
    }
    end = begin;
  }
  return 0;
}

Result<LogOptions> parse_log_options(const std::function<std::string_view(std::string_view)>& value, WallTime now) {
  LogOptions out;
  auto truth = [&](std::string_view name) { return value(name) == "true" || value(name) == "1"; };
  auto number = [&](std::string_view name, int64_t least) -> Result<std::optional<int64_t>> {
    const std::string_view text = value(name);
    if (text.empty()) return std::nullopt;
    auto parsed = parse_number<int64_t>(text);
    if (!parsed || *parsed < least) return fail(Code::malformed, std::string(name) + " must be a number of at least " + std::to_string(least) + ", not " + quoted(text));
    return parsed;
  };
  out.follow = truth("follow");
  out.timestamps = truth("timestamps");
  out.tail_lines = TRY(number("tailLines", 0));
  out.limit_bytes = TRY(number("limitBytes", 1));
  if (auto seconds = TRY(number("sinceSeconds", 1))) out.since = now - std::chrono::seconds(*seconds);
  if (auto time = value("sinceTime"); !time.empty()) out.since = TRY(parse_rfc3339(time));
  const std::string_view stream = value("stream");
  if (stream == "Stdout") out.stream = "stdout";
  else if (stream == "Stderr") out.stream = "stderr";
  else if (!stream.empty() && stream != "All") return fail(Code::malformed, "stream must be All, Stdout or Stderr, not " + quoted(stream));
  return out;
}

namespace {

class Reader {
 public:
  Reader(std::string path, LogOptions options) : path_(std::move(path)), options_(std::move(options)) {}

  Result<void> open() {
    fd_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd_) return fail_errno("open the log " + path_);
    pending_.clear();
    offset_ = 0;
    return {};
  }
  Result<void> seek_tail() {
    if (options_.tail_lines) offset_ = TRY(tail_offset(fd_.get(), *options_.tail_lines));
    return {};
  }
  /// What has come since the last call, at most 64 KiB of the file; empty at its present end.
  Result<std::string> read() {
    char buffer[65536];
    const ssize_t n = pread(fd_.get(), buffer, sizeof buffer, offset_);
    if (n < 0) return fail_errno("read the log " + path_);
    at_end_ = n == 0;
    offset_ += n;
    pending_.append(buffer, size_t(n));
    std::string out;
    size_t start = 0;
    for (size_t end; (end = pending_.find('\n', start)) != std::string::npos; start = end + 1) add(std::string_view(pending_).substr(start, end - start), out);
    pending_.erase(0, start);
    return out;
  }
  bool at_end() const { return at_end_; }
  bool full() const { return options_.limit_bytes && sent_ >= *options_.limit_bytes; }
  /// The file was renamed by rotation and a new one stands in its place.
  bool replaced() const {
    struct stat open {}, named {};
    return fstat(fd_.get(), &open) == 0 && ::stat(path_.c_str(), &named) == 0 && open.st_ino != named.st_ino;
  }

 private:
  void add(std::string_view text, std::string& out) {
    auto line = LogLine::parse(text);
    if (!line || full()) return;
    if (!options_.stream.empty() && line->stream != options_.stream) return;
    if (options_.since) {
      auto time = parse_rfc3339(line->time);
      if (time && *time < *options_.since) return;
    }
    std::string made;
    if (options_.timestamps && !inside_) made.append(line->time).append(" ");
    made.append(line->text);
    inside_ = line->partial;
    if (!line->partial) made += '\n';
    if (options_.limit_bytes) made.resize(size_t(std::min<int64_t>(int64_t(made.size()), *options_.limit_bytes - sent_)));
    sent_ += int64_t(made.size());
    out += made;
  }

  const std::string path_;
  const LogOptions options_;
  Fd fd_;
  off_t offset_ = 0;
  std::string pending_;
  int64_t sent_ = 0;
  bool at_end_ = false;
  bool inside_ = false;  // the last piece was partial: the next one continues its line
};

}  // namespace

Task<Result<void>> read_log(std::string path, LogOptions options, std::function<bool()> running, Event* stopped, LogSink sink) {
  const bool follow = options.follow;
  std::optional<io::FileWatch> watch;
  if (follow) watch = CO_TRY(io::FileWatch::open(path));
  Reader reader(path, std::move(options));
  CO_TRY(reader.open());
  CO_TRY(reader.seek_tail());
  for (;;) {
    const bool last = !running();  // asked before reading: what it wrote before its end is there
    std::string text = CO_TRY(reader.read());
    if (!text.empty()) CO_TRY(co_await sink(std::move(text)));
    if (reader.full()) co_return {};
    if (!reader.at_end()) continue;
    if (reader.replaced()) {
      CO_TRY(reader.open());
      continue;
    }
    if (!follow || last) co_return {};
    // A change of the file or the container's end, whichever comes first.
    Event any;
    TaskGroup both;
    both.start([](io::FileWatch* w, Event* e) -> Task<void> { co_await w->changed(); e->set(); }(&*watch, &any));
    both.start([](Event* s, Event* e) -> Task<void> { co_await s->wait(); e->set(); }(stopped, &any));
    co_await any.wait();
  }
}

}  // namespace estiba::node
