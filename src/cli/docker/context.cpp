// docker context VERB.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"
#include "os/file.h"

namespace estiba::cli::docker {

namespace {

constexpr std::string_view docker_help =
    "Docker endpoint config:\n\n"
    "NAME                DESCRIPTION\n"
    "from                Copy named context's Docker endpoint configuration\n"
    "host                Docker endpoint on which to connect\n"
    "ca                  Trust certs signed only by this CA\n"
    "cert                Path to TLS certificate file\n"
    "key                 Path to TLS key file\n"
    "skip-tls-verify     Skip TLS certificate validation";

struct DockerEndpoint {
  std::string host, from, ca, cert, key;
  bool skip_verify = false;
};

Result<DockerEndpoint> parse_endpoint(const std::string& text) {
  DockerEndpoint out;
  for (std::string_view field : split(text, ',')) {
    if (field.empty()) continue;
    auto [key, value] = split_once(field, '=');
    const std::string given(value.value_or(""));
    if (key == "host") out.host = given;
    else if (key == "from") out.from = given;
    else if (key == "ca") out.ca = given;
    else if (key == "cert") out.cert = given;
    else if (key == "key") out.key = given;
    else if (key == "skip-tls-verify") out.skip_verify = TRY(parse_bool(given));
    else return fail(Code::invalid, "unrecognized config key: " + std::string(key));
  }
  return out;
}

Result<void> check_name(std::string_view name) {
  if (name.empty()) return fail(Code::invalid, "context name cannot be empty");
  if (name == "default") return fail(Code::invalid, "\"default\" is a reserved context name");
  const bool first = std::isalnum(static_cast<unsigned char>(name[0]));
  if (!first || name.size() < 2 || !std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '_' || c == '.' || c == '+' || c == '-';
      }))
    return fail(Code::invalid,
                "context name " + quoted(name) + " is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\"");
  return {};
}

Result<void> write_context(const Config& config, std::string_view name, std::string_view description, const DockerEndpoint& endpoint) {
  Builder meta;
  meta.set("Name", name);
  meta.object("Metadata").maybe("Description", std::string(description));
  meta.object("Endpoints").object("docker").set("Host", endpoint.host).set("SkipTLSVerify", endpoint.skip_verify);
  const std::string id = context_id(name);
  const std::string path = config.directory() + "/contexts/meta/" + id, tls = config.directory() + "/contexts/tls/" + id + "/docker";
  std::vector<std::pair<std::string, std::string>> files;
  for (auto& [from, to] : {std::pair(endpoint.ca, "ca.pem"), {endpoint.cert, "cert.pem"}, {endpoint.key, "key.pem"}})
    if (!from.empty()) files.emplace_back(tls + "/" + to, TRY_AS("unable to create docker endpoint config", os::read_file(from)));
  TRY(os::make_dirs(path, 0700));
  if (!files.empty()) TRY(os::make_dirs(tls, 0700));
  for (auto& [file, text] : files) TRY(os::write_file_atomic(file, text, 0600, false));
  return os::write_file_atomic(path + "/meta.json", meta.text(), 0644, false);
}

Result<ContextInfo> default_context(Cli& cli) {
  ContextInfo out;
  out.name = "default";
  out.description = "Current DOCKER_HOST based configuration";
  Where where = cli.where;
  where.context = where.host.empty() ? "" : where.context;
  const Endpoint endpoint = TRY([&]() -> Result<Endpoint> {
    Config& config = *TRY(cli.config());
    if (current_context(config, where) != "default") where.host = "unix:///run/estiba/docker.sock";
    return resolve_endpoint(config, where);
  }());
  out.host = endpoint.host;
  return out;
}

std::string inspect_json(const ContextInfo& context) {
  Builder out;
  out.set("Name", context.name);
  out.object("Metadata").maybe("Description", context.name == "default" ? std::string() : context.description);
  out.object("Endpoints").object("docker").set("Host", context.host).set("SkipTLSVerify", context.skip_tls_verify);
  Object material = out.object("TLSMaterial");
  if (auto files = os::list_dir(context.tls_path + "/docker"); files && !context.tls_path.empty()) {
    std::vector<std::string> names;
    for (const os::DirEntry& file : *files) names.push_back(file.name);
    std::sort(names.begin(), names.end());
    material.set("docker", names);
  }
  out.object("Storage")
      .set("MetadataPath", context.metadata_path.empty() ? "<IN MEMORY>" : context.metadata_path)
      .set("TLSPath", context.tls_path.empty() ? "<IN MEMORY>" : context.tls_path);
  return out.text();
}

}  // namespace

Result<int> context_create(Call& call) {
  std::string description, docker, from;
  Flags flags(call);
  flags.describe(docker_help);
  flags.add("description", &description, "Description of the context");
  flags.add("docker", &docker, "set the docker endpoint", "stringToString");
  flags.add("from", &from, "create context from a named context");
  const Arguments arguments = TRY(flags.parse());
  Config& config = *TRY(call.cli.config());
  TRY(check_name(arguments[0]));
  if (find_context(config, arguments[0])) return fail(Code::already_exists, "context " + quoted(arguments[0]) + " already exists");
  DockerEndpoint endpoint = TRY(parse_endpoint(docker));
  if (endpoint.from.empty()) endpoint.from = from;
  if (endpoint.host.empty()) {
    const ContextInfo source =
        TRY(endpoint.from.empty() || endpoint.from == "default" ? default_context(call.cli) : find_context(config, endpoint.from));
    endpoint.host = source.host;
    endpoint.skip_verify = source.skip_tls_verify;
    if (description.empty() && source.name != "default") description = source.description;
    for (auto [to, name] : {std::pair(&endpoint.ca, "ca.pem"), {&endpoint.cert, "cert.pem"}, {&endpoint.key, "key.pem"}})
      if (const std::string path = source.tls_path + "/docker/" + name; !source.tls_path.empty() && os::exists(path)) *to = path;
  }
  TRY(write_context(config, arguments[0], description, endpoint));
  std::printf("%s\n", std::string(arguments[0]).c_str());
  complain("Successfully created context " + quoted(arguments[0]));
  return 0;
}

Result<int> context_update(Call& call) {
  std::string description, docker;
  Flags flags(call);
  flags.describe(docker_help);
  flags.add("description", &description, "Description of the context");
  flags.add("docker", &docker, "set the docker endpoint", "stringToString");
  const Arguments arguments = TRY(flags.parse());
  Config& config = *TRY(call.cli.config());
  TRY(check_name(arguments[0]));
  const ContextInfo old = TRY(find_context(config, arguments[0]));
  DockerEndpoint endpoint = TRY(parse_endpoint(docker));
  if (endpoint.host.empty()) endpoint.host = old.host;
  TRY(write_context(config, arguments[0], flags.given("description") ? description : old.description, endpoint));
  std::printf("%s\n", std::string(arguments[0]).c_str());
  complain("Successfully updated context " + quoted(arguments[0]));
  return 0;
}

Result<int> context_inspect(Call& call) {
  std::string format;
  Flags flags(call);
  flags.add("format,f", &format, "Format output using a custom template: 'json' or 'TEMPLATE'");
  const Arguments arguments = TRY(flags.parse());
  Config& config = *TRY(call.cli.config());
  std::vector<std::string> names(arguments.begin(), arguments.end());
  if (names.empty()) names.push_back(current_context(config, call.cli.where));
  std::vector<std::string> objects;
  std::string out;
  for (const std::string& name : names) {
    const std::string text = inspect_json(TRY(name == "default" ? default_context(call.cli) : find_context(config, name)));
    if (format.empty()) objects.push_back(text);
    else out += TRY(format_object(TRY(parse_format(format)), TRY(json::Document::parse(text)).root())) + "\n";
  }
  std::fputs(format.empty() ? print_list(objects).c_str() : out.c_str(), stdout);
  return 0;
}

Result<int> context_ls(Call& call) {
  std::string format;
  bool quiet = false;
  Flags flags(call);
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("quiet,q", &quiet, "Only show context names");
  TRY(flags.parse());
  Config& config = *TRY(call.cli.config());
  Listing listing("*formatter.clientContextContext",
                  {{"Name", "NAME"}, {"Description", "DESCRIPTION"}, {"DockerEndpoint", "DOCKER ENDPOINT"}, {"Error", "ERROR"}});
  TRY(listing.start(format, quiet, "{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}", "{{.Name}}"));
  std::vector<ContextInfo> all = list_contexts(config);
  all.push_back(TRY(default_context(call.cli)));
  const std::string current = current_context(config, call.cli.where);
  std::sort(all.begin(), all.end(), [](const ContextInfo& a, const ContextInfo& b) { return a.name < b.name; });
  for (const ContextInfo& context : all) {
    json::Node& row = listing.row();
    listing.document().add(row, "Current", listing.document().make_bool(context.name == current));
    listing.set(row, "Description", context.description);
    listing.set(row, "DockerEndpoint", context.host);
    listing.set(row, "Error", context.error);
    listing.set(row, "Name", context.name);
    TRY(listing.add(row));
  }
  std::fputs(TRY(listing.finish()).c_str(), stdout);
  if (const char* host = std::getenv("DOCKER_HOST"); host && *host && !quiet)
    complain(
        "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context flag, "
        "or unset DOCKER_HOST environment variable.");
  return 0;
}

Result<int> context_rm(Call& call) {
  bool force = false;
  Flags flags(call);
  flags.add("force,f", &force, "Force the removal of a context in use");
  const Arguments names = TRY(flags.parse());
  Config& config = *TRY(call.cli.config());
  return for_each(names, [&](std::string_view name) -> Result<void> {
    if (name == "default") return fail(Code::invalid, "context \"default\" cannot be removed");
    const ContextInfo context = TRY(find_context(config, name));
    if (config.text("currentContext") == name) {
      if (!force) return fail(Code::conflict, "context " + quoted(name) + " is in use, set -f flag to force remove");
      TRY(config.set_text("currentContext", ""));
    }
    TRY(os::remove_all(context.metadata_path));
    TRY(os::remove_all(context.tls_path));
    std::printf("%.*s\n", int(name.size()), name.data());
    return {};
  });
}

Result<int> context_show(Call& call) {
  Flags flags(call);
  TRY(flags.parse());
  std::printf("%s\n", current_context(*TRY(call.cli.config()), call.cli.where).c_str());
  return 0;
}

Result<int> context_use(Call& call) {
  Flags flags(call);
  const Arguments arguments = TRY(flags.parse());
  Config& config = *TRY(call.cli.config());
  const std::string name(arguments[0]);
  if (name != "default") {
    TRY(check_name(name));
    TRY(find_context(config, name));
  }
  TRY(config.set_text("currentContext", name == "default" ? "" : name));
  std::printf("%s\n", name.c_str());
  complain("Current context is now " + quoted(name));
  if (const char* host = std::getenv("DOCKER_HOST"); host && *host)
    complain("Warning: DOCKER_HOST environment variable overrides the active context. To use " + quoted(name) +
             ", either set the global --context flag, or unset DOCKER_HOST environment variable.");
  return 0;
}

}  // namespace estiba::cli::docker
