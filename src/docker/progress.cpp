#include "docker/progress.h"

#include <algorithm>
#include <cstdio>

#include "docker/json_writer.h"

namespace estiba::docker {

std::string human_size(double bytes) {
  static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t i = 0;
  while (bytes >= 1000 && i + 1 < std::size(units)) bytes /= 1000, ++i;
  char text[32];
  std::snprintf(text, sizeof text, "%.4g%s", bytes, units[i]);
  return text;
}

namespace {

std::string finished(JsonWriter& out) { return out.end().take() + "\r\n"; }

/// jsonmessage.JSONProgress.String() of a terminal that is wide enough.
std::string bar(uint64_t current, uint64_t total) {
  auto padded = [](std::string text) { return std::string(text.size() < 8 ? 8 - text.size() : 0, ' ') + text; };
  if (current == 0 && total == 0) return "";
  if (total == 0) return padded(human_size(double(current)));
  size_t part = std::min<uint64_t>(50, uint64_t(double(current) / double(total) * 100) / 2);
  std::string out = "[" + std::string(part, '=') + ">" + std::string(50 - part, ' ') + "] ";
  out += padded(human_size(double(current)));
  if (current <= total) out += "/" + human_size(double(total));
  return out;
}

}  // namespace

std::string status_line(std::string_view status, std::string_view id) {
  JsonWriter out;
  out.object().put("status", status);
  if (!id.empty()) out.put("id", id);
  return finished(out);
}

std::string progress_line(std::string_view status, std::string_view id, uint64_t current, uint64_t total) {
  JsonWriter out;
  out.object().put("status", status).object("progressDetail");
  if (current) out.put("current", current);
  if (total) out.put("total", total);
  out.end();
  if (auto text = bar(current, total); !text.empty()) out.put("progress", text);
  if (!id.empty()) out.put("id", id);
  return finished(out);
}

std::string stream_line(std::string_view text) {
  JsonWriter out;
  out.object().put("stream", text);
  return finished(out);
}

std::string error_line(std::string_view message) {
  JsonWriter out;
  out.object().object("errorDetail").put("message", message).end().put("error", message);
  return finished(out);
}

std::string aux_line(std::string_view json, std::string_view id) {
  JsonWriter out;
  out.object();
  if (!id.empty()) out.put("id", id);
  out.put_raw("aux", json);
  return finished(out);
}

bool ProgressLines::say(std::string_view line) {
  std::lock_guard lock(mutex_);
  said_ = true;
  return writer_ && writer_->write(line) && writer_->flush();
}

void ProgressLines::finish(Result<void> result) {
  std::lock_guard lock(mutex_);
  if (!writer_) return;
  succeeded_ = result.has_value();
  if (!result && said_) {
    (void)writer_->write(error_line(result.error().message));
    writer_->finish();
  } else {
    writer_->finish(result ? std::nullopt : std::optional(std::move(result.error())));
  }
  writer_.reset();
}

bool ProgressLines::succeeded() {
  std::lock_guard lock(mutex_);
  return succeeded_;
}

Task<Result<void>> serve_lines(image::Pipe& pipe, io::Response& response) {
  for (bool started = false;; started = true) {
    std::string piece = CO_TRY(co_await pipe.take());
    if (!started) CO_TRY(co_await response.start(200, {{"Content-Type", "application/json"}}));
    if (piece.empty()) co_return {};
    CO_TRY(co_await response.write(std::move(piece)));
  }
}

}  // namespace estiba::docker
