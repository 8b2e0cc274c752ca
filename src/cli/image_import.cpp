#include <cstdio>
#include <string>

#include "base/strings.h"
#include "cli/verbs.h"
#include "image/archive.h"
#include "image/reference.h"
#include "model/json.h"

namespace estiba::cli {
namespace {

/// As in a Dockerfile: a JSON array is the words themselves, anything else is a shell command.
Result<std::vector<std::string>> command_words(const std::string& flag, const std::string& text) {
  std::string_view trimmed = trim(text);
  if (trimmed.empty()) return std::vector<std::string>{};
  if (!trimmed.starts_with('[')) return std::vector<std::string>{"/bin/sh", "-c", std::string(trimmed)};
  auto doc = TRY_AS("--" + flag, json::Document::parse(trimmed));
  std::vector<std::string> out;
  for (const auto& word : doc.root()) {
    if (!word.is_string()) return fail(Code::invalid, "--" + flag + ": every word must be a string");
    out.emplace_back(word.as_string());
  }
  return out;
}

}  // namespace

Result<int> image_import(const Arguments& arguments) {
  std::string data_dir = "/var/lib/estiba", cmd, entrypoint;
  std::vector<std::string> labels;
  image::ImportOptions options;
  Flags flags(
      "estiba image import ARCHIVE [NAME:TAG]\n"
      "ARCHIVE is an OCI layout (directory or tar), what 'docker save' wrote, or the tar of a root file system, each plain or\n"
      "compressed by gzip or zstd; \"-\" is standard input. The flags below but --data-dir are for root file systems.");
  flags.add("data-dir", &data_dir, "where Estiba keeps its data");
  flags.add("cmd", &cmd, "default command: a JSON array of words, or a line for /bin/sh -c");
  flags.add("entrypoint", &entrypoint, "program that runs the command, likewise");
  flags.add("env,e", &options.env, "NAME=VALUE for the image's environment");
  flags.add("workdir,w", &options.working_dir, "directory in which the command starts");
  flags.add("user,u", &options.user, "user[:group] that the command runs as");
  flags.add("label,l", &labels, "KEY=VALUE");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (rest.empty() || rest.size() > 2) return fail(Code::invalid, "give an archive and, if you like, NAME:TAG");
  if (rest.size() == 2) options.name = rest[1];
  options.cmd = TRY(command_words("cmd", cmd));
  options.entrypoint = TRY(command_words("entrypoint", entrypoint));
  for (const auto& variable : options.env)
    if (variable.find('=') == std::string::npos || variable.starts_with('='))
      return fail(Code::invalid, "--env " + quoted(variable) + ": NAME=VALUE is expected");
  for (const auto& label : labels) {
    auto [key, value] = split_once(label, '=');
    options.labels.emplace(key, value.value_or(""));
  }
  auto store = TRY(image::Store::open(data_dir));
  for (const auto& record : TRY(image::import_image(*store, std::string(rest[0]), options)))
    std::printf("%s  %s\n", record.id.c_str(), join(record.tags, " ").c_str());
  TRY(store->collect());  // what the name meant before, if nothing else has it
  return 0;
}

}  // namespace estiba::cli
