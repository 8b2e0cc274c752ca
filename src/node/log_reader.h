// Reads a container's log (CRI format: `<RFC 3339 nano> <stdout|stderr> <P|F> <text>`) as `kubectl logs` asks for it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"
#include "base/task.h"

namespace estiba::node {

struct LogOptions {
  bool follow = false, timestamps = false;
  std::optional<int64_t> tail_lines, limit_bytes;
  std::optional<WallTime> since;
  std::string stream;  ///< "stdout", "stderr" or "" for both

  /// From a query (tailLines, limitBytes, sinceSeconds, sinceTime, timestamps, follow, stream); invalid names the parameter.
  template <class Query>
  static Result<LogOptions> from_query(const Query& query, WallTime now);
};

/// One line of a CRI log, without its newline.
struct LogLine {
  std::string_view time, stream, text;
  bool partial = false;
  /// nullopt for what is no such line.
  static std::optional<LogLine> parse(std::string_view line);
};

/// Where the last `lines` whole lines of the file begin.
Result<int64_t> tail_offset(int fd, int64_t lines);

using LogSink = std::function<Task<Result<void>>(std::string)>;

/// Sends the log at `path` to `sink`; with follow goes on until `running()` is false and all has been read. Runs on a Loop.
Task<Result<void>> read_log(std::string path, LogOptions options, std::function<bool()> running, Event* stopped, LogSink sink);

/// Query values as text, looked up by name; the non-template part of from_query.
Result<LogOptions> parse_log_options(const std::function<std::string_view(std::string_view)>& value, WallTime now);

template <class Query>
Result<LogOptions> LogOptions::from_query(const Query& query, WallTime now) {
  return parse_log_options([&](std::string_view name) { return query.get(name); }, now);
}

}  // namespace estiba::node
