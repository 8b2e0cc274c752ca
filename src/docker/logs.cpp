#include "docker/logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "base/time.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/router.h"
#include "docker/times.h"
#include "io/file_watch.h"
#include "os/file.h"

namespace estiba::docker {

namespace {

// "2026-11-21T02:26:38.123456789Z stdout F text"
constexpr size_t time_length = 30, stream_at = 31, tag_at = 38, text_at = 40;

bool is_line(std::string_view line) {
  return line.size() >= text_at - 1 && line[time_length] == ' ' && line[stream_at - 1 + 7] == ' ' &&
         (line[tag_at] == 'F' || line[tag_at] == 'P');
}

Result<off_t> size_of(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno("stat the log");
  return info.st_size;
}

/// Where the last `wanted` whole lines of the file begin; `wanted` is then how many are missing. Pieces with P belong to the line that the
/// next F ends, which may stand in the next file; in the `newest` the last piece counts as a line in any case.
Result<off_t> seek_back(int fd, int64_t& wanted, bool newest) {
  constexpr off_t block_size = 64 * 1024;
  const off_t size = TRY(size_of(fd));
  std::string block;
  off_t after = size;  // where the piece after the one that is looked at begins
  bool last = newest;
  for (off_t end = size, begin = 0; end > 0; end = begin) {
    begin = std::max<off_t>(end - block_size, 0);
    // With the heads of pieces that begin near its end.
    block.resize(size_t(std::min<off_t>(size, end + off_t(text_at)) - begin));
    if (::pread(fd, block.data(), block.size(), begin) != ssize_t(block.size())) return fail_errno("read the log");
    for (off_t start = end; start >= begin; --start) {
      const bool begins = start == 0 || (start > begin && block[size_t(start - begin) - 1] == '\n');
      if (!begins || start >= size) continue;
      const size_t tag = size_t(start - begin) + tag_at;
      if (std::exchange(last, false) || tag >= block.size() || block[tag] != 'P') {
        if (wanted == 0) return after;
        --wanted;
      }
      after = start;
    }
  }
  return 0;
}

}  // namespace

// --- the request ---------------------------------------------------------------------------------------------------------------

static std::string details_of(const Container& container) {
  const json::Node* options = container.host_config.root().at("LogConfig", "Config");
  if (!options) return {};
  std::vector<std::string> parts;
  for (std::string_view name : split(options->string_at("labels"), ',')) {
    auto found = container.facts.labels.find(std::string(name));
    if (found != container.facts.labels.end()) parts.push_back(io::percent_encode(name) + "=" + io::percent_encode(found->second));
  }
  const json::Node* env = container.config.root().find("Env");
  for (std::string_view name : split(options->string_at("env"), ',')) {
    if (name.empty() || !env) continue;
    for (const json::Node& variable : *env) {
      auto [key, value] = split_once(variable.as_string(), '=');
      if (key == name) parts.push_back(io::percent_encode(key) + "=" + io::percent_encode(value.value_or("")));
    }
  }
  std::sort(parts.begin(), parts.end());
  return join(parts, ",");
}

Result<LogRequest> parse_log_request(const ApiRequest& request, const Container& container, WallTime now) {
  LogRequest out;
  out.out = request.flag("stdout");
  out.err = request.flag("stderr");
  if (!out.out && !out.err) return fail(Code::invalid, "Bad parameters: you must choose at least one stream");
  out.follow = request.flag("follow");
  out.timestamps = request.flag("timestamps");
  // What is no number means all lines, as it does to dockerd.
  if (auto lines = parse_number<int64_t>(request.query("tail")); lines && *lines >= 0) out.tail = *lines;
  out.since = TRY(parse_query_time("since", request.query("since"), now));
  out.until = TRY(parse_query_time("until", request.query("until"), now));
  out.show_details = request.flag("details");
  if (out.show_details) out.details = details_of(container);
  return out;
}

// --- lines to bytes ------------------------------------------------------------------------------------------------------------

LogPrinter::LogPrinter(const LogRequest& request, bool framed)
    : framed_(framed),
      out_(request.out),
      err_(request.err),
      timestamps_(request.timestamps),
      details_(request.show_details),
      since_(request.since ? format_rfc3339_nano(*request.since) : std::string()),
      until_(request.until ? format_rfc3339_nano(*request.until) : std::string()),
      prefix_(request.details + " ") {}

size_t LogPrinter::print(std::string_view log, std::string& out, size_t most) {
  size_t done = 0;
  while (out.size() < most && !past_end_) {
    const char* newline = static_cast<const char*>(std::memchr(log.data() + done, '\n', log.size() - done));
    if (!newline) break;
    const std::string_view line(log.data() + done, size_t(newline - log.data()) - done);
    done += line.size() + 1;
    if (!is_line(line)) continue;  // damaged by a crash
    const std::string_view time = line.substr(0, time_length);
    if (!since_.empty() && time < since_) continue;
    if (!until_.empty() && time > until_) {
      past_end_ = true;
      break;
    }
    const bool is_err = line[stream_at + 3] == 'e';
    if (is_err ? !err_ : !out_) continue;
    const bool partial = line[tag_at] == 'P';
    const bool head = !std::exchange(inside_[is_err], partial);
    const std::string_view text = line.substr(std::min(text_at, line.size()));
    const size_t size = text.size() + !partial + (head && timestamps_ ? time_length + 1 : 0) + (head && details_ ? prefix_.size() : 0);
    if (framed_) {
      const auto header = frame_header(is_err ? Channel::err : Channel::out, size);
      out.append(header.data(), header.size());
    }
    if (head && timestamps_) (out += time) += ' ';
    if (head && details_) out += prefix_;
    out += text;
    if (!partial) out += '\n';
  }
  return done;
}

// --- files ---------------------------------------------------------------------------------------------------------------------

std::vector<std::string> log_files(const std::string& path) {
  std::vector<std::string> out;
  const size_t slash = path.rfind('/');
  const std::string base = path.substr(slash + 1) + ".";
  for (const os::DirEntry& entry : os::list_dir(path.substr(0, slash)).value_or(std::vector<os::DirEntry>()))
    if (entry.name.size() > base.size() && entry.name.starts_with(base) && entry.name[base.size()] >= '0' && entry.name[base.size()] <= '9')
      out.push_back(path.substr(0, slash + 1) + entry.name);
  std::sort(out.begin(), out.end());
  out.push_back(path);
  return out;
}

Result<void> LogFiles::open(std::optional<int64_t> tail) {
  const std::vector<std::string> files = log_files(path_);
  if (!tail) {
    TRY(next_file());
    return {};
  }
  int64_t wanted = *tail;
  for (size_t i = files.size(); i-- > 0;) {
    Fd fd(::open(files[i].c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) continue;  // not there yet, or rotated away just now
    const bool newest = i + 1 == files.size();
    const off_t at = wanted == 0 && newest ? TRY(size_of(fd.get())) : TRY(seek_back(fd.get(), wanted, newest));
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + files[i]);
    file_ = std::move(fd);
    offset_ = at;
    inode_ = info.st_ino;
    if (at > 0 || (wanted == 0 && newest)) break;
  }
  return {};
}

/// Goes on to the file after the present one, or to the oldest. False when there is none.
Result<bool> LogFiles::next_file() {
  const std::vector<std::string> files = log_files(path_);
  size_t next = 0;
  for (size_t i = 0; i < files.size() && file_; ++i) {
    struct stat info{};
    if (::stat(files[i].c_str(), &info) == 0 && info.st_ino == inode_) next = i + 1;
  }
  for (; next < files.size(); ++next) {
    Fd fd(::open(files[next].c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd && errno == ENOENT) continue;
    if (!fd) return fail_errno("open the log " + files[next]);
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + files[next]);
    if (file_ && info.st_ino == inode_) continue;  // it was renamed meanwhile
    file_ = std::move(fd);
    inode_ = info.st_ino;
    offset_ = 0;
    return true;
  }
  return false;
}

Result<size_t> LogFiles::read(char* to, size_t size) {
  for (;;) {
    if (!file_ && !TRY(next_file())) return size_t(0);
    const ssize_t n = ::pread(file_.get(), to, size, offset_);
    if (n < 0) return fail_errno("read the log " + path_);
    offset_ += n;
    if (n > 0) return size_t(n);
    // At its end; is it still the one that is written to? What came between the read and the rename would be missed: read once more.
    struct stat named{};
    if (::stat(path_.c_str(), &named) == 0 && named.st_ino == inode_) return size_t(0);
    const ssize_t late = ::pread(file_.get(), to, size, offset_);
    if (late > 0) {
      offset_ += late;
      return size_t(late);
    }
    if (!TRY(next_file())) return size_t(0);
  }
}

// --- sending -------------------------------------------------------------------------------------------------------------------

namespace {

constexpr size_t read_size = 256 * 1024;

// A change of the log or of the container, or the end of `until`; false when the latter has come.
Task<bool> wait_for_more(io::FileWatch* watch, Container* container, std::optional<WallTime> until) {
  Event any;
  TaskGroup both;
  both.start([](io::FileWatch* w, Event* e) -> Task<void> {
    co_await w->changed();
    e->set();
  }(watch, &any));
  both.start([](Event* s, Event* e) -> Task<void> {
    co_await s->wait();
    e->set();
  }(&container->changed, &any));
  if (!until) {
    co_await any.wait();
    co_return true;
  }
  co_return co_await any.wait_for(std::max(*until - Executor::current()->wall_now(), Duration(0)));
}

}  // namespace

Task<Result<void>> send_logs(Daemon& daemon, std::shared_ptr<Container> container, LogRequest request, Client& client) {
  const std::string path = daemon.containers().log_path(*container);
  const bool follow = request.follow && container->running();
  const uint64_t exits = container->exits;
  std::optional<io::FileWatch> watch;
  if (follow) watch = CO_TRY(io::FileWatch::open(path));
  LogPrinter printer(request, client.framed());
  LogFiles files(path);
  CO_TRY(files.open(request.tail));
  std::string buffer, out;
  size_t held = 0;  // bytes of an unfinished line at the buffer's beginning
  buffer.resize(2 * read_size);
  for (;;) {
    // Asked before reading: what it wrote before its end is there.
    container->changed.reset();
    const bool last = !follow || !container->running() || container->exits != exits || container->removed;
    if (held == buffer.size()) held = 0;  // a line that long is no line
    const size_t n = CO_TRY(files.read(buffer.data() + held, buffer.size() - held));
    const std::string_view all(buffer.data(), held + n);
    size_t done = 0;
    for (;;) {
      const size_t taken = printer.print(all.substr(done), out, read_size);
      done += taken;
      if (out.empty() && taken == 0) break;
      if (!out.empty()) CO_TRY(co_await client.write_ready(std::exchange(out, std::string())));
      if (printer.past_end()) co_return {};
      if (taken == 0) break;
    }
    held = all.size() - done;
    std::memmove(buffer.data(), buffer.data() + done, held);
    if (n > 0) continue;
    if (last) co_return {};
    if (!co_await wait_for_more(&*watch, container.get(), request.until)) co_return {};
  }
}

}  // namespace estiba::docker
