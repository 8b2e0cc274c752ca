// The verbs of the command line: one file each, one table (table.cpp). A verb that wires parts of the server together
// (server, agent) lives in src/server/ and is added to the table by main.cpp.
#pragma once
#include <span>
#include <string_view>

#include "base/result.h"
#include "cli/flags.h"

namespace estiba::cli {

/// A verb returns the process's exit code, or an error that is printed on one line ("estiba VERB: message", exit 1).
struct Verb {
  std::string_view name;  ///< may be two words: "image import"
  std::string_view summary;
  Result<int> (*run)(const Arguments& arguments);
};

/// Verbs of this layer.
std::span<const Verb> verbs();

/// Finds the verb (longest name first), runs it, prints its error. `more` are verbs of other layers; what is no verb of Estiba's own
/// is Docker's (cli/docker/). Called by the name `docker`, only Docker's verbs are there. `program` is argv[0].
int run(std::string_view program, const Arguments& arguments, std::span<const Verb> more);

Result<int> image_export(const Arguments& arguments);
Result<int> image_import(const Arguments& arguments);
Result<int> image_list(const Arguments& arguments);
Result<int> image_pull(const Arguments& arguments);
Result<int> image_remove(const Arguments& arguments);
Result<int> kubeconfig(const Arguments& arguments);
Result<int> token_create(const Arguments& arguments);
Result<int> token_delete(const Arguments& arguments);
Result<int> token_list(const Arguments& arguments);
Result<int> registry(const Arguments& arguments);
Result<int> simulate(const Arguments& arguments);

}  // namespace estiba::cli
