// docker version.
#include <sys/utsname.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"
#include "cli/version.h"

namespace estiba::cli::docker {

namespace {

std::string architecture() {
  utsname name{};
  uname(&name);
  const std::string_view machine = name.machine;
  return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : std::string(machine);
}

std::string line(size_t indent, std::string_view key, std::string_view value) {
  std::string out(indent, ' ');
  out += std::string(key) + ":";
  out.append(out.size() < 20 ? 20 - out.size() : 1, ' ');
  return out + std::string(value) + "\n";
}

std::string describe_client(const json::Node& client) {
  std::string out = "Client:\n";
  out += line(1, "Version", client.string_at("Version"));
  out += line(1, "API version", client.string_at("ApiVersion"));
  out += line(1, "OS/Arch", std::string(client.string_at("Os")) + "/" + std::string(client.string_at("Arch")));
  return out + line(1, "Context", client.string_at("Context"));
}

std::string describe_server(const json::Node& server) {
  std::string out = "\nServer:";
  if (const std::string_view platform = server.string_at("Platform", "Name"); !platform.empty()) out += " " + std::string(platform);
  out += "\n Engine:\n";
  out += line(2, "Version", server.string_at("Version"));
  out += line(2, "API version",
              std::string(server.string_at("ApiVersion")) + " (minimum version " + std::string(server.string_at("MinAPIVersion")) + ")");
  if (const std::string_view go = server.string_at("GoVersion"); !go.empty()) out += line(2, "Go version", go);
  if (const std::string_view commit = server.string_at("GitCommit"); !commit.empty()) out += line(2, "Git commit", commit);
  if (const std::string_view built = server.string_at("BuildTime"); !built.empty()) out += line(2, "Built", built);
  out += line(2, "OS/Arch", std::string(server.string_at("Os")) + "/" + std::string(server.string_at("Arch")));
  const json::Node* experimental = server.find("Experimental");
  out += line(2, "Experimental", experimental && experimental->as_bool() ? "true" : "false");
  if (const json::Node* components = server.find("Components"))
    for (const json::Node& each : *components) {
      if (each.string_at("Name") == "Engine") continue;
      out += " " + std::string(each.string_at("Name")) + ":\n" + line(2, "Version", each.string_at("Version"));
      if (const std::string_view commit = each.string_at("Details", "GitCommit"); !commit.empty()) out += line(2, "GitCommit", commit);
    }
  return out;
}

}  // namespace

Result<int> version(Call& call) {
  std::string format;
  Flags flags(call);
  flags.add("format,f", &format, "Format output using a custom template: 'json' or 'TEMPLATE'");
  TRY(flags.parse());
  std::optional<Template> parsed;
  if (!format.empty()) parsed = TRY(parse_format(format));
  Builder all;
  Object client = all.object("Client");
  client.object("Platform").set("Name", "Estiba");
  client.set("Version", program_version())
      .set("ApiVersion", "1.50")
      .set("DefaultAPIVersion", "1.50")
      .set("GitCommit", "")
      .set("GoVersion", "");
  client.set("Os", "linux")
      .set("Arch", architecture())
      .set("BuildTime", "")
      .set("Context", current_context(*TRY(call.cli.config()), call.cli.where));
  auto daemon = TRY(call.cli.client());
  auto server = daemon->call({.path = "/version"});
  if (server) all.put("Server", all.document().copy(server->root()));
  else all.put("Server", all.document().make_null());
  if (parsed) {
    const std::string text = TRY(format_object(*parsed, all.node()));
    std::printf("%s\n", text.c_str());
  } else {
    // Estiba's own line first: one program, whether a daemon runs or not.
    if (call.cli.program() == "estiba") std::printf("estiba %s\n\n", program_version().data());
    std::fputs(describe_client(client.node()).c_str(), stdout);
    if (server) std::fputs(describe_server(server->root()).c_str(), stdout);
  }
  if (server) return 0;
  complain(server.error().message);
  return call.cli.program() == "estiba" && !parsed ? 0 : 1;
}

}  // namespace estiba::cli::docker
