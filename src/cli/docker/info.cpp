// docker info.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"
#include "cli/version.h"

namespace estiba::cli::docker {

namespace {

class Printer {
 public:
  explicit Printer(const json::Node& info) : info_(info) {}

  std::string print() {
    counts();
    driver();
    plugins();
    text("Swarm", info_.string_at("Swarm", "LocalNodeState"));
    runtimes();
    text("Init Binary", info_.string_at("InitBinary"));
    text("containerd version", info_.string_at("ContainerdCommit", "ID"));
    text("runc version", info_.string_at("RuncCommit", "ID"));
    text("init version", info_.string_at("InitCommit", "ID"));
    security();
    text("Kernel Version", info_.string_at("KernelVersion"));
    text("Operating System", info_.string_at("OperatingSystem"));
    text("OSType", info_.string_at("OSType"));
    text("Architecture", info_.string_at("Architecture"));
    number("CPUs", "NCPU");
    line(1, "Total Memory", binary_size(double(integer("MemTotal"))));
    text("Name", info_.string_at("Name"));
    text("ID", info_.string_at("ID"));
    text("Docker Root Dir", info_.string_at("DockerRootDir"));
    truth("Debug Mode", "Debug");
    text("HTTP Proxy", info_.string_at("HttpProxy"));
    text("HTTPS Proxy", info_.string_at("HttpsProxy"));
    text("No Proxy", info_.string_at("NoProxy"));
    labels();
    truth("Experimental", "ExperimentalBuild");
    registries();
    truth("Live Restore Enabled", "LiveRestoreEnabled");
    text("Product License", info_.string_at("ProductLicense"));
    out_ += "\n";
    return std::move(out_);
  }

 private:
  int64_t integer(std::string_view member) const {
    const json::Node* found = info_.find(member);
    return found ? found->as_int().value_or(0) : 0;
  }
  void line(size_t indent, std::string_view key, std::string_view value) {
    out_ += std::string(indent, ' ') + std::string(key) + ": " + std::string(value) + "\n";
  }
  void text(std::string_view key, std::string_view value) {
    if (!value.empty()) line(1, key, value);
  }
  void number(std::string_view key, std::string_view member, size_t indent = 1) { line(indent, key, std::to_string(integer(member))); }
  void truth(std::string_view key, std::string_view member) {
    const json::Node* found = info_.find(member);
    line(1, key, found && found->as_bool() ? "true" : "false");
  }
  static std::string words(const json::Node* list) {
    std::vector<std::string> out;
    if (list)
      for (const json::Node& each : *list) out.emplace_back(each.as_string());
    return join(out, " ");
  }

  void counts() {
    number("Containers", "Containers");
    number("Running", "ContainersRunning", 2);
    number("Paused", "ContainersPaused", 2);
    number("Stopped", "ContainersStopped", 2);
    number("Images", "Images");
    text("Server Version", info_.string_at("ServerVersion"));
  }
  void driver() {
    text("Storage Driver", info_.string_at("Driver"));
    if (const json::Node* status = info_.find("DriverStatus"))
      for (const json::Node& pair : *status)
        if (pair.size() == 2) line(2, pair[0].as_string(), pair[1].as_string());
    text("Logging Driver", info_.string_at("LoggingDriver"));
    text("Cgroup Driver", info_.string_at("CgroupDriver"));
    text("Cgroup Version", info_.string_at("CgroupVersion"));
  }
  void plugins() {
    const json::Node* plugins = info_.find("Plugins");
    if (!plugins) return;
    out_ += " Plugins:\n";
    for (const char* kind : {"Volume", "Network", "Authorization", "Log"})
      if (const json::Node* list = plugins->find(kind); list && !list->empty()) line(2, kind, words(list));
  }
  void runtimes() {
    if (const json::Node* runtimes = info_.find("Runtimes"); runtimes && !runtimes->empty()) {
      std::vector<std::string> names;
      for (const json::Node& each : *runtimes) names.emplace_back(each.key());
      std::sort(names.begin(), names.end());
      line(1, "Runtimes", join(names, " "));
    }
    text("Default Runtime", info_.string_at("DefaultRuntime"));
  }
  void security() {
    const json::Node* options = info_.find("SecurityOptions");
    if (!options || options->empty()) return;
    out_ += " Security Options:\n";
    for (const json::Node& option : *options) {
      std::string_view name;
      std::vector<std::pair<std::string_view, std::string_view>> more;
      for (std::string_view part : split(option.as_string(), ',')) {
        auto [key, value] = split_once(part, '=');
        if (key == "name") name = value.value_or("");
        else more.emplace_back(key, value.value_or(""));
      }
      out_ += "  " + std::string(name.empty() ? option.as_string() : name) + "\n";
      for (auto& [key, value] : more) line(3, key == "profile" ? "Profile" : key, value);
    }
  }
  void labels() {
    const json::Node* labels = info_.find("Labels");
    if (!labels || labels->empty()) return;
    out_ += " Labels:\n";
    for (const json::Node& each : *labels) out_ += "  " + std::string(each.as_string()) + "\n";
  }
  void registries() {
    const json::Node* config = info_.find("RegistryConfig");
    if (!config) return;
    out_ += " Insecure Registries:\n";
    if (const json::Node* list = config->find("IndexConfigs"))
      for (const json::Node& each : *list)
        if (const json::Node* secure = each.find("Secure"); secure && !secure->as_bool()) out_ += "  " + std::string(each.key()) + "\n";
    if (const json::Node* list = config->find("InsecureRegistryCIDRs"))
      for (const json::Node& each : *list) out_ += "  " + std::string(each.as_string()) + "\n";
    if (const json::Node* mirrors = config->find("Mirrors"); mirrors && !mirrors->empty()) {
      out_ += " Registry Mirrors:\n";
      for (const json::Node& each : *mirrors) out_ += "  " + std::string(each.as_string()) + "\n";
    }
  }

  const json::Node& info_;
  std::string out_;
};

}  // namespace

Result<int> info(Call& call) {
  std::string format;
  Flags flags(call);
  flags.add("format,f", &format, "Format output using a custom template: 'json' or 'TEMPLATE'");
  TRY(flags.parse());
  std::optional<Template> parsed;
  if (!format.empty()) parsed = TRY(parse_format(format));
  const std::string context = current_context(*TRY(call.cli.config()), call.cli.where);
  auto answer = TRY(call.cli.client())->call({.path = "/info"});
  if (!parsed)
    std::printf("Client:\n Version:    %s\n Context:    %s\n Debug Mode: false\n\nServer:\n", program_version().data(), context.c_str());
  if (!answer) return std::unexpected(std::move(answer.error()));
  if (!parsed) {
    std::fputs(Printer(answer->root()).print().c_str(), stdout);
    if (const json::Node* warnings = answer->root().find("Warnings"))
      for (const json::Node& warning : *warnings) complain(warning.as_string());
    return 0;
  }
  json::Document document;
  document.set_root(document.copy(answer->root()));
  Object client = Object(document, document.root()).object("ClientInfo");
  client.set("Debug", false).set("Version", program_version()).set("Context", context);
  std::printf("%s\n", TRY(format_object(*parsed, document.root())).c_str());
  return 0;
}

}  // namespace estiba::cli::docker
