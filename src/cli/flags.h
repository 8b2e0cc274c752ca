// Command-line flags: declared once with name, place, default and help; the same declarations read a configuration file's
// keys and print --help. Errors name the flag and the nearest known one.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace estiba::cli {

using Arguments = std::vector<std::string_view>;

class Flags {
 public:
  /// `usage` is the first line of --help: "estiba image import ARCHIVE [NAME:TAG]".
  explicit Flags(std::string_view usage) : usage_(usage) {}

  // What a flag sets is its default until parse() meets it; the places must outlive the Flags. A name like "output,o" also
  // declares the one-letter form.
  void add(std::string_view name, std::string* value, std::string_view help);
  void add(std::string_view name, int64_t* value, std::string_view help);
  /// `--name`, `--name=true|false`.
  void add(std::string_view name, bool* value, std::string_view help);
  /// May be given several times.
  void add(std::string_view name, std::vector<std::string>* values, std::string_view help);

  /// Sets the flags and returns the other arguments in order. "--" ends the flags. With `stop_at_first`, so does the first
  /// argument that is no flag (for verbs that run another command).
  Result<Arguments> parse(const Arguments& arguments, bool stop_at_first = false);
  /// Sets one flag by its long name, as a configuration file does.
  Result<void> set(std::string_view name, std::string_view value);
  /// Whether parse() or set() has set it.
  bool given(std::string_view name) const;
  bool help_wanted() const { return help_; }
  std::string help() const;

 private:
  using Place = std::variant<std::string*, int64_t*, bool*, std::vector<std::string>*>;
  struct Flag {
    std::string_view name;
    char letter = 0;
    Place place;
    std::string_view help;
    std::string fallback;
    bool given = false;
  };
  void add_flag(std::string_view name, Place place, std::string fallback, std::string_view help);
  Flag* find(std::string_view name);
  Error unknown(std::string_view name) const;
  Result<void> assign(Flag& flag, std::string_view value);

  std::string_view usage_;
  std::vector<Flag> flags_;
  bool help_ = false;
};

/// The nearest of `known` to `word` by edit distance when it is near enough to be what was meant, else empty.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace estiba::cli
