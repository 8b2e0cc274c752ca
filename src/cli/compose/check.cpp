#include "cli/compose/check.h"

#include <algorithm>

#include "base/strings.h"
#include "cli/flags.h"
#include "os/file.h"

namespace estiba::cli::compose {
namespace {

using json::Document;
using json::Node;

std::string near_in(std::string_view word, const Node* among) {
  std::vector<std::string_view> names;
  if (among)
    for (const Node& each : *among) names.push_back(each.key());
  const std::string_view near = nearest(word, names);
  return near.empty() ? "" : "; did you mean " + quoted(near) + "?";
}

std::unexpected<Error> invalid(std::string what, std::string hint = "") {
  return fail(Code::invalid, std::move(what) + ": invalid compose project" + hint);
}

class Completion {
 public:
  Completion(Document& document, const Project& project, const Environment& environment)
      : document_(document), root_(document.root()), project_(project), environment_(environment) {}

  Result<void> run() {
    Node& services = *root_.find("services");
    for (Node& service : services) {
      TRY(networks(service));
      implied_dependencies(service);
      TRY(environment(service));
    }
    TRY(resources());
    for (Node& service : services) TRY(check(service, services));
    return cycles(services);
  }

 private:
  Result<void> networks(Node& service) {
    Node* attached = service.find("networks");
    const std::string_view mode = service.string_at("network_mode");
    if (!mode.empty()) {
      if (attached && attached->size() > 0)
        return invalid("service " + std::string(service.key()) + " declares mutually exclusive `network_mode` and `networks`");
      return {};
    }
    if (!attached || attached->empty()) {
      Node& made = document_.make_object();
      document_.set(made, "default", document_.make_null());
      document_.set(service, "networks", made);
      attached = &made;
    }
    if (attached->find("default")) {
      Node& all = document_.ensure_object(root_, "networks");
      if (!all.find("default")) document_.set(all, "default", document_.make_object());
    }
    return {};
  }

  void depend(Node& service, std::string_view on) {
    Node& depends = document_.ensure_object(service, "depends_on");
    if (on == service.key() || depends.find(on)) return;
    Node& entry = document_.make_object();
    document_.set(entry, "condition", "service_started");
    document_.set(entry, "required", document_.make_bool(true));
    document_.set(depends, on, entry);
  }

  void implied_dependencies(Node& service) {
    for (const char* key : {"network_mode", "pid", "ipc"})
      if (const std::string_view value = service.string_at(key); value.starts_with("service:"))
        depend(service, std::string(value.substr(8)));
    if (const Node* links = service.find("links"))
      for (const Node& link : *links) depend(service, split_once(link.as_string(), ':').first);
    if (const Node* from = service.find("volumes_from"))
      for (const Node& each : *from)
        if (!each.as_string().starts_with("container:")) depend(service, split_once(each.as_string(), ':').first);
  }

  Result<void> environment(Node& service) {
    Environment all;
    if (const Node* files = service.find("env_file"))
      for (const Node& file : *files) {
        const std::string path(file.string_at("path"));
        const Node* required = file.find("required");
        if (!os::exists(path)) {
          if (required && !required->as_bool(true)) continue;
          return fail(Code::not_found, "env file " + path + " not found: service " + quoted(service.key()) +
                                           " names it in env_file; make it, or say required: false");
        }
        for (auto& [name, value] :
             TRY_AS("service " + std::string(service.key()) + ": " + path, parse_env_file(TRY(os::read_file(path)), environment_)))
          all[name] = value;
      }
    Node& out = document_.make_object();
    for (const auto& [name, value] : all) document_.set(out, name, value);
    if (const Node* given = service.find("environment"))
      for (const Node& each : *given) {
        auto it = environment_.find(each.key());
        if (!each.is_null()) document_.set(out, each.key(), document_.copy(each));
        else if (it != environment_.end()) document_.set(out, each.key(), it->second);
        else if (!out.find(each.key())) document_.set(out, each.key(), document_.make_null());
      }
    if (!out.empty()) document_.set(service, "environment", out);
    return {};
  }

  Result<void> resources() {
    for (std::string_view kind : {"networks", "volumes", "secrets", "configs"}) {
      Node* map = root_.find(kind);
      if (!map || !map->is_object()) continue;
      for (Node& each : *map) {
        if (each.is_null()) document_.assign(each, document_.make_object());
        TRY(resource(kind, each));
      }
    }
    return {};
  }

  Result<void> resource(std::string_view kind, Node& node) {
    std::string name(node.string_at("name"));
    Node* external = node.find("external");
    bool is_external = external && external->as_bool();
    if (external && external->is_object()) {
      is_external = true;
      if (name.empty()) name = external->string_at("name");
    }
    if (external) document_.set(node, "external", document_.make_bool(is_external));
    if (name.empty()) name = is_external ? std::string(node.key()) : project_.name + "_" + std::string(node.key());
    document_.set(node, "name", name);
    if (kind != "secrets" && kind != "configs") return {};
    const std::string what = std::string(kind == "secrets" ? "secret " : "config ") + quoted(node.key());
    if (is_external) return fail(Code::unsupported, what + " is external, which only a swarm has; give it a file, environment or content");
    const int sources = int(node.find("file") != nullptr) + int(node.find("environment") != nullptr) + int(node.find("content") != nullptr);
    if (sources != 1) return invalid(what + " must have one of file, environment and content");
    if (const std::string variable(node.string_at("environment")); !variable.empty()) {
      auto it = environment_.find(variable);
      if (it == environment_.end())
        return fail(Code::invalid, what + ": environment variable " + quoted(variable) + " is required by it, but it is not set");
      document_.set(node, "content", it->second);
    }
    return {};
  }

  std::unexpected<Error> undefined(const Node& service, std::string_view what, std::string_view name, std::string_view section) {
    return invalid("service " + quoted(service.key()) + " refers to undefined " + std::string(what) + " " + std::string(name),
                   near_in(name, root_.find(section)));
  }

  Result<void> check(Node& service, Node& services) {
    const std::string name(service.key());
    if (!service.find("image") && !service.find("build"))
      return invalid("service " + quoted(name) + " has neither an image nor a build context specified");
    for (const char* key : {"provider", "models", "credential_spec", "use_api_socket"})
      if (const Node* node = service.find(key); node && !node->is_null() && !(node->is_bool() && !node->as_bool()))
        return fail(Code::unsupported, "service " + quoted(name) + ": " + key + " is not supported; remove it");
    if (const Node* networks = service.find("networks"))
      for (const Node& each : *networks)
        if (!root_.at("networks", each.key())) return undefined(service, "network", each.key(), "networks");
    if (const Node* mounts = service.find("volumes"))
      for (const Node& mount : *mounts) {
        const std::string_view source = mount.string_at("source");
        if (mount.string_at("type") == "volume" && !source.empty() && !root_.at("volumes", source))
          return undefined(service, "volume", source, "volumes");
      }
    for (std::string_view kind : {"secrets", "configs"})
      if (const Node* grants = service.find(kind))
        for (const Node& grant : *grants)
          if (!root_.at(kind, grant.string_at("source")))
            return undefined(service, kind == "secrets" ? "secret" : "config", grant.string_at("source"), kind);
    TRY(dependencies(service, services));
    return values(service);
  }

  Result<void> dependencies(Node& service, Node& services) {
    Node* depends = service.find("depends_on");
    if (!depends) return {};
    std::vector<std::string> absent;
    for (const Node& each : *depends) {
      const std::string_view condition = each.string_at("condition");
      if (condition != "service_started" && condition != "service_healthy" && condition != "service_completed_successfully")
        return invalid("service " + quoted(service.key()) + ": depends_on." + std::string(each.key()) + ".condition is " +
                       quoted(condition) + "; service_started, service_healthy or service_completed_successfully is expected");
      if (services.find(each.key())) continue;
      const Node* required = each.find("required");
      if (required && !required->as_bool(true)) {
        absent.emplace_back(each.key());
        continue;
      }
      const bool off = std::find(project_.disabled.begin(), project_.disabled.end(), each.key()) != project_.disabled.end();
      return invalid("service " + quoted(service.key()) + " depends on undefined service " + quoted(each.key()),
                     off ? "; it is in a profile that is not active: name it with --profile" : near_in(each.key(), &services));
    }
    for (const auto& each : absent) document_.remove(*depends, each);
    if (depends->empty()) document_.remove(service, "depends_on");
    return {};
  }

  Result<void> values(Node& service) {
    const std::string name(service.key());
    auto one_of = [&](const char* key, std::initializer_list<std::string_view> allowed) -> Result<void> {
      const std::string_view value = service.string_at(key);
      if (value.empty()) return {};
      for (std::string_view each : allowed)
        if (value == each || (each.ends_with(':') && value.starts_with(each))) return {};
      std::string list;
      for (std::string_view each : allowed) list += (list.empty() ? "" : ", ") + std::string(each);
      return invalid("service " + quoted(name) + ": " + key + " is " + quoted(value) + "; one of " + list + " is expected");
    };
    TRY(one_of("restart", {"no", "always", "on-failure", "on-failure:", "unless-stopped"}));
    TRY(one_of("pull_policy", {"always", "never", "missing", "if_not_present", "build", "daily", "weekly", "every_"}));
    const Node* replicas = service.at("deploy", "replicas");
    const Node* scale = service.find("scale");
    if (replicas && scale && !json::equal(*replicas, *scale))
      return invalid("service " + quoted(name) + " sets scale and deploy.replicas to different numbers; keep one");
    const Node* count = scale ? scale : replicas;
    if (count && count->as_int().value_or(1) < 0) return invalid("service " + quoted(name) + ": a negative number of containers");
    return {};
  }

  Result<void> cycles(const Node& services) {
    std::vector<std::string> done;
    for (const Node& service : services) TRY(follow(services, std::string(service.key()), {}, done));
    return {};
  }
  Result<void> follow(const Node& services, std::string name, std::vector<std::string> trail, std::vector<std::string>& done) {
    if (std::find(done.begin(), done.end(), name) != done.end()) return {};
    const bool again = std::find(trail.begin(), trail.end(), name) != trail.end();
    trail.push_back(name);
    if (again) return fail(Code::invalid, "dependency cycle detected: " + join(trail, " -> "));
    const Node* service = services.find(name);
    if (const Node* depends = service ? service->find("depends_on") : nullptr)
      for (const Node& each : *depends) TRY(follow(services, std::string(each.key()), trail, done));
    done.push_back(name);
    return {};
  }

  Document& document_;
  Node& root_;
  const Project& project_;
  const Environment& environment_;
};

}  // namespace

Result<void> complete(Document& document, const Project& project, const Environment& environment) {
  return Completion(document, project, environment).run();
}

}  // namespace estiba::cli::compose
