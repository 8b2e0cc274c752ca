// Structured logging to stderr, as text or JSON lines. A line has a level, a component, a message and key-value pairs:
//   log::info("node", "pod started", {{"pod", "default/web"}, {"ms", 12}});
#pragma once
#include <charconv>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::log {

enum class Level : unsigned char { debug, info, warn, error };
enum class Format : unsigned char { text, json };

/// Set once at start, before threads.
void configure(Level least, Format format);
bool enabled(Level level);

/// A pair's value; numbers stay numbers in JSON.
class Value {
 public:
  Value(std::string_view text) : text_(text), quoted_(true) {}
  Value(const std::string& text) : text_(text), quoted_(true) {}
  Value(const char* text) : text_(text), quoted_(true) {}
  Value(bool b) : text_(b ? "true" : "false"), quoted_(false) {}
  Value(const Error& error) : text_(error.message), quoted_(true) {}
  template <class N>
    requires(std::is_arithmetic_v<N> && !std::is_same_v<N, bool>)
  Value(N number) : quoted_(false) {
    char buffer[32];
    text_.assign(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
  }
  const std::string& text() const { return text_; }
  bool quoted() const { return quoted_; }

 private:
  std::string text_;
  bool quoted_;
};
struct Pair {
  std::string_view key;
  Value value;
};
using Pairs = std::initializer_list<Pair>;

void write(Level level, std::string_view component, std::string_view message, Pairs pairs = {});

inline void debug(std::string_view component, std::string_view message, Pairs pairs = {}) { write(Level::debug, component, message, pairs); }
inline void info(std::string_view component, std::string_view message, Pairs pairs = {}) { write(Level::info, component, message, pairs); }
inline void warn(std::string_view component, std::string_view message, Pairs pairs = {}) { write(Level::warn, component, message, pairs); }
inline void error(std::string_view component, std::string_view message, Pairs pairs = {}) { write(Level::error, component, message, pairs); }

}  // namespace estiba::log
