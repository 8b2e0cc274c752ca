// A container's log for GET /containers/{id}/logs and for attach: the files that its shim writes (CRI format, `<time> <stream> <P|F>
// <text>`, docs/shim-protocol.md), rotated ones included, turned into what a client reads.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "base/task.h"
#include "docker/streams/multiplex.h"

namespace estiba::docker {

class Daemon;
struct Container;
struct ApiRequest;

struct LogRequest {
  bool out = false, err = false;
  bool follow = false, timestamps = false;
  std::optional<int64_t> tail;  ///< of both streams together
  std::optional<WallTime> since, until;
  std::string details;  ///< "k=v,k2=v2 " before each line; with `show_details` also when empty
  bool show_details = false;
};

/// Reads the query. Invalid when neither stream is chosen, and for times that are none.
Result<LogRequest> parse_log_request(const ApiRequest& request, const Container& container, WallTime now);

/// Turns lines of a log into a client's bytes.
class LogPrinter {
 public:
  LogPrinter(const LogRequest& request, bool framed);
  /// Takes whole lines from the left of `log` and appends what the client gets; returns how many bytes of `log` are done with. Stops after
  /// about `most` bytes of output.
  size_t print(std::string_view log, std::string& out, size_t most);
  /// A line beyond `until` has been seen: nothing more will come.
  bool past_end() const { return past_end_; }

 private:
  const bool framed_, out_, err_, timestamps_, details_;
  const std::string since_, until_, prefix_;
  bool inside_[2] = {};  // the stream's last piece was partial
  bool past_end_ = false;
};

/// The files of one log, oldest first, that are there now: "<path>.<time>"…, "<path>".
std::vector<std::string> log_files(const std::string& path);

/// Reads a log file by file; once at the end of the newest, what is added later, through rotations.
class LogFiles {
 public:
  explicit LogFiles(std::string path) : path_(std::move(path)) {}
  /// Begins at the oldest line, or at the `tail`th from the end. A log that is not there yet is empty.
  Result<void> open(std::optional<int64_t> tail);
  /// The next bytes, at most `size`; 0 at the present end.
  Result<size_t> read(char* to, size_t size);

 private:
  Result<bool> next_file();
  std::string path_;
  Fd file_;
  off_t offset_ = 0;
  uint64_t inode_ = 0;
};

/// Sends the log to `client`. With `follow` goes on until the container has ended or is removed, or `until` has passed.
Task<Result<void>> send_logs(Daemon& daemon, std::shared_ptr<Container> container, LogRequest request, Client& client);

}  // namespace estiba::docker
