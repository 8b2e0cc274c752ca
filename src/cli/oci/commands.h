// estiba-oci: the OCI runtime's command line (runc's), and the shim. One table of verbs; each is one function.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::cli::oci {

struct Globals {
  std::string root = "/run/estiba/oci";
  std::string log_path;
  bool log_json = false, debug = false;
  bool systemd_cgroup = false, no_cgroup = false;
};

/// Arguments of a verb: options by their long name, then the rest from the first word that is none.
struct Arguments {
  std::multimap<std::string, std::string, std::less<>> options;
  std::vector<std::string> words;
  bool has(std::string_view name) const { return options.find(name) != options.end(); }
  std::string get(std::string_view name, std::string_view otherwise = {}) const;
  std::vector<std::string> all(std::string_view name) const;
};

struct Option {
  std::string_view name;   ///< "bundle"
  char letter = 0;         ///< 'b'
  bool takes_value = false;
};

struct Verb {
  std::string_view name;
  std::string_view synopsis, summary;
  std::vector<Option> options;
  /// The value is the exit code.
  Result<int> (*run)(const Globals& globals, const Arguments& arguments);
};

const std::vector<Verb>& verbs();
Result<Arguments> parse_arguments(const std::vector<Option>& options, int argc, char** argv, int& at, bool stop_at_word);

Result<int> cmd_create(const Globals&, const Arguments&);
Result<int> cmd_run(const Globals&, const Arguments&);
Result<int> cmd_start(const Globals&, const Arguments&);
Result<int> cmd_state(const Globals&, const Arguments&);
Result<int> cmd_kill(const Globals&, const Arguments&);
Result<int> cmd_delete(const Globals&, const Arguments&);
Result<int> cmd_exec(const Globals&, const Arguments&);
Result<int> cmd_list(const Globals&, const Arguments&);
Result<int> cmd_ps(const Globals&, const Arguments&);
Result<int> cmd_pause(const Globals&, const Arguments&);
Result<int> cmd_resume(const Globals&, const Arguments&);
Result<int> cmd_update(const Globals&, const Arguments&);
Result<int> cmd_events(const Globals&, const Arguments&);
Result<int> cmd_spec(const Globals&, const Arguments&);
Result<int> cmd_features(const Globals&, const Arguments&);

int run_main(int argc, char** argv);

}  // namespace estiba::cli::oci
