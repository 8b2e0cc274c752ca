// The progress of pull, push, load, import and build: a stream of JSON objects.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"

namespace estiba::cli::docker {

namespace {

// Objects one after another, with or without newlines between them, are cut by counting braces outside of strings.
class Objects {
 public:
  /// Calls `take` with the text of each object that is complete.
  Result<void> feed(std::string_view bytes, UniqueFunction<Result<void>(std::string_view)>& take) {
    for (char c : bytes) {
      if (depth_ == 0 && c != '{') continue;
      text_ += c;
      if (text_.size() > 16 * 1024 * 1024) return fail(Code::malformed, "the Docker daemon sent a progress message that is too long");
      if (in_string_) {
        if (escaped_) escaped_ = false;
        else if (c == '\\') escaped_ = true;
        else if (c == '"') in_string_ = false;
        continue;
      }
      if (c == '"') in_string_ = true;
      else if (c == '{' || c == '[') ++depth_;
      else if ((c == '}' || c == ']') && --depth_ == 0) {
        TRY(take(text_));
        text_.clear();
      }
    }
    return {};
  }

 private:
  std::string text_;
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false;
};

class Display {
 public:
  Display(int fd, bool quiet, Aux& aux) : fd_(fd), quiet_(quiet), terminal_(is_terminal(fd)), aux_(aux) {}

  Result<void> take(std::string_view text) {
    auto document = json::Document::parse(text, {.allow_duplicate_keys = true});
    if (!document) return fail(Code::malformed, "the Docker daemon sent malformed progress: " + document.error().message);
    const json::Node& message = document->root();
    if (const json::Node* aux = message.find("aux"); aux && aux_) aux_(*aux);
    std::string_view error = message.string_at("errorDetail", "message");
    if (error.empty()) error = message.string_at("error");
    if (!error.empty()) return fail(Code::internal, std::string(error));
    if (quiet_) return {};
    print(message);
    return {};
  }

 private:
  void print(const json::Node& message) {
    std::string out;
    const std::string_view id = message.string_at("id"), status = message.string_at("status");
    if (const json::Node* stream = message.find("stream")) {
      out = stream->as_string();
    } else if (status.empty()) {
      return;
    } else if (!terminal_) {
      // Without a terminal, what only counts is left out.
      if (is_progress(message)) return;
      out = (id.empty() ? "" : std::string(id) + ": ") + std::string(status) + "\n";
    } else if (id.empty()) {
      out = std::string(status) + "\n";
      rows_.clear();
    } else {
      out = update(std::string(id), std::string(status) + " " + bar(message));
    }
    print_bytes(fd_, out);
  }

  static bool is_progress(const json::Node& message) {
    const json::Node* total = message.at("progressDetail", "total");
    const json::Node* current = message.at("progressDetail", "current");
    return (total && total->as_int().value_or(0) > 0) || (current && current->as_int().value_or(0) > 0);
  }

  // The line of this id is rewritten where it stands.
  std::string update(const std::string& id, const std::string& text) {
    size_t row = 0;
    while (row < rows_.size() && rows_[row] != id) ++row;
    const bool fresh = row == rows_.size();
    if (fresh) rows_.push_back(id);
    const std::string line = "\x1b[2K\r" + id + ": " + std::string(trim(text));
    if (fresh) return line + "\n";
    const std::string distance = std::to_string(rows_.size() - row);
    return "\x1b[" + distance + "A" + line + "\r\x1b[" + distance + "B";
  }

  std::string bar(const json::Node& message) const {
    const json::Node* detail = message.find("progressDetail");
    const json::Node* current_node = detail ? detail->find("current") : nullptr;
    const json::Node* total_node = detail ? detail->find("total") : nullptr;
    const int64_t current = current_node ? current_node->as_int().value_or(0) : 0,
                  total = total_node ? total_node->as_int().value_or(0) : 0;
    if (current <= 0 && total <= 0) return "";
    if (const std::string_view units = detail->string_at("units"); !units.empty())
      return std::to_string(current) + (total > 0 ? "/" + std::to_string(total) : "") + " " + std::string(units);
    if (total <= 0 || current > total) return human_size(double(current), 4);
    const int64_t percent = std::min<int64_t>(current * 100 / total, 100) / 2;
    const auto size = window_size();
    std::string out;
    if (!size || size->columns > 110) {
      out = "[" + std::string(size_t(percent), '=') + ">" + std::string(size_t(50 - percent), ' ') + "]  ";
    }
    return out + human_size(double(current), 4) + "/" + human_size(double(total), 4);
  }

  int fd_;
  bool quiet_, terminal_;
  Aux& aux_;
  std::vector<std::string> rows_;  // ids by line, the last one above the cursor
};

}  // namespace

Result<void> show_progress(Response& response, int fd, bool quiet, Aux aux) {
  std::fflush(stdout);
  Display display(fd, quiet, aux);
  Objects objects;
  UniqueFunction<Result<void>(std::string_view)> take = [&](std::string_view text) { return display.take(text); };
  char bytes[32 * 1024];
  for (;;) {
    const size_t n = TRY(response.read(bytes, sizeof bytes));
    if (n == 0) return {};
    TRY(objects.feed({bytes, n}, take));
  }
}

}  // namespace estiba::cli::docker
