// Flags as Docker's command line reads them: -it bundles, -p80:80 and -p 80:80 and -p=80:80, --flag=value and --flag value, lists by
// repetition, `--` ends them. Wrong use prints the error and the usage and ends with Docker's exit code 125.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "cli/flags.h"

namespace estiba::cli::docker {

struct Call;

class Flags {
 public:
  explicit Flags(Call& call) : call_(call) {}

  // `name` is "all,a" or "all" or, with a letter alone, ",v". What `value` holds is the default. Places outlive the Flags.
  void add(std::string_view name, bool* value, std::string_view help);
  void add(std::string_view name, std::string* value, std::string_view help, std::string_view type = "string");
  void add(std::string_view name, int64_t* value, std::string_view help, std::string_view type = "int");
  void add(std::string_view name, std::vector<std::string>* values, std::string_view help, std::string_view type = "list");
  /// Checks and keeps a value itself; its error becomes `invalid argument "x" for "--name" flag: …`.
  using Setter = UniqueFunction<Result<void>(std::string_view)>;
  void add(std::string_view name, Setter setter, std::string_view help, std::string_view type, std::string_view fallback = {});
  /// Sizes: "512m", "1g", "1048576" in bytes; -1 where `negative`.
  void add_bytes(std::string_view name, int64_t* value, std::string_view help, bool negative = false);
  /// Go durations in nanoseconds: "1m30s".
  void add_duration(std::string_view name, int64_t* value, std::string_view help);
  /// The flag added last does not show in --help.
  void hide();

  /// The arguments that are no flags, their number checked against the verb's row. With `stop_at_first`, flags end at the first
  /// of them (run, exec). --help prints the help and ends the program with 0.
  Result<Arguments> parse(bool stop_at_first = false);
  /// Whether a flag was given, by its long name.
  bool given(std::string_view name) const;
  /// Text after the summary in --help.
  void describe(std::string_view text) { description_ = text; }

  /// Prints `message` and the usage, and ends with `code`.
  std::unexpected<Error> refuse(std::string_view message, int code = 125) const;
  std::string help() const;

 private:
  struct Flag {
    std::string name;
    char letter = 0;
    bool is_bool = false, hidden = false, given = false;
    Setter set;
    std::string_view help, type;
    std::string fallback;
  };
  void add_flag(std::string_view name, bool is_bool, Setter set, std::string_view help, std::string_view type, std::string fallback);
  Flag* find(std::string_view name);
  Flag* find(char letter);
  Result<void> assign(Flag& flag, std::string_view value);
  Result<void> parse_long(std::string_view argument, size_t& index);
  Result<void> parse_letters(std::string_view letters, size_t& index);
  Result<void> check_count(size_t count) const;

  Call& call_;
  std::vector<Flag> flags_;
  std::string_view description_;
};

/// "1g" → bytes, as Docker's units.RAMInBytes: binary units, case does not matter, "b" and "ib" may follow.
Result<int64_t> parse_bytes(std::string_view text);
/// As Go's strconv.ParseBool.
Result<bool> parse_bool(std::string_view text);

}  // namespace estiba::cli::docker
