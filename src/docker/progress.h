// The streams of JSON messages by which dockerd tells how a pull, push, load or build goes on.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "image/pipe.h"
#include "io/http_server.h"

namespace estiba::docker {

/// "12.3MB", as Docker's units.HumanSize prints.
std::string human_size(double bytes);

// One line each, with "\r\n" at its end as dockerd sends them.
/// {"status":…,"id":…}; without `id` when empty.
std::string status_line(std::string_view status, std::string_view id = {});
/// {"status":…,"progressDetail":{…},"progress":"[==> ] …","id":…}; `total` 0: an empty detail.
std::string progress_line(std::string_view status, std::string_view id, uint64_t current, uint64_t total);
/// {"stream":…}
std::string stream_line(std::string_view text);
/// {"errorDetail":{"message":…},"error":…}
std::string error_line(std::string_view message);
/// {"aux":…} or with an id; `json` is JSON text.
std::string aux_line(std::string_view json, std::string_view id = {});

/// Lines from blocking work on other threads. The handler holds the pipe and awaits serve_lines(); the work holds this.
///
///   image::Pipe pipe;
///   auto lines = std::make_shared<ProgressLines>(pipe);
///   daemon.pool().submit([lines, …] { lines->finish(work(*lines)); });
///   co_return co_await serve_lines(pipe, response);
class ProgressLines {
 public:
  explicit ProgressLines(image::Pipe& pipe) : writer_(pipe.writer()) {}
  /// Any thread. False when nobody listens any more. Waits for a client that is slow.
  bool say(std::string_view line);
  /// The work is done. An error becomes an error line, or the whole answer when nothing has been said yet.
  void finish(Result<void> result);
  /// After finish(): whether all went well.
  bool succeeded();

 private:
  std::mutex mutex_;
  std::unique_ptr<image::Pipe::Writer> writer_;
  bool said_ = false, succeeded_ = false;
};

/// Sends the lines as a streamed answer of 200 from the first one on; an error that comes before it is returned. On the loop.
Task<Result<void>> serve_lines(image::Pipe& pipe, io::Response& response);

}  // namespace estiba::docker
