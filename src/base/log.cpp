#include "base/log.h"

#include <unistd.h>

#include "base/time.h"

namespace estiba::log {

static Level least_level = Level::info;
static Format output_format = Format::text;

void configure(Level least, Format format) {
  least_level = least;
  output_format = format;
}

bool enabled(Level level) { return level >= least_level; }

static void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += char(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20) {
      const char* hex = "0123456789abcdef";
      out += "\\u00";
      out += hex[c >> 4];
      out += hex[c & 15];
    } else {
      out += char(c);
    }
  }
  out += '"';
}

static bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (unsigned char c : text)
    if (c <= ' ' || c == '"' || c == '=' || c == 0x7f) return true;
  return false;
}

void write(Level level, std::string_view component, std::string_view message, Pairs pairs) {
  if (!enabled(level)) return;
  static constexpr std::string_view names[] = {"debug", "info", "warn", "error"};
  std::string line;
  line.reserve(128 + message.size());
  const std::string now = format_rfc3339_micro(std::chrono::system_clock::now());
  if (output_format == Format::json) {
    line += "{\"ts\":\"";
    line += now;
    line += "\",\"level\":\"";
    line += names[int(level)];
    line += "\",\"component\":";
    append_quoted(line, component);
    line += ",\"msg\":";
    append_quoted(line, message);
    for (const Pair& pair : pairs) {
      line += ',';
      append_quoted(line, pair.key);
      line += ':';
      if (pair.value.quoted()) append_quoted(line, pair.value.text());
      else line += pair.value.text();
    }
    line += "}\n";
  } else {
    line += now;
    line += ' ';
    line += names[int(level)];
    line += ' ';
    line += component;
    line += ": ";
    line += message;
    for (const Pair& pair : pairs) {
      line += ' ';
      line += pair.key;
      line += '=';
      if (pair.value.quoted() && needs_quotes(pair.value.text())) append_quoted(line, pair.value.text());
      else line += pair.value.text();
    }
    line += '\n';
  }
  // One write, so that lines of several threads and processes do not mix.
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace estiba::log
