#include "cli/compose/body.h"

#include <algorithm>

#include "base/go_duration.h"
#include "base/strings.h"
#include "cli/compose/host_config.h"
#include "cli/docker/flags.h"
#include "image/digest.h"

namespace estiba::cli::compose {

using docker::Object;
using json::Node;

std::string image_of(const Project& project, const Node& service) {
  const std::string_view image = service.string_at("image");
  return image.empty() ? project.name + "-" + std::string(service.key()) : std::string(image);
}

std::string container_name(const Project& project, const Node& service, int64_t number) {
  const std::string_view name = service.string_at("container_name");
  return name.empty() ? project.name + "-" + std::string(service.key()) + "-" + std::to_string(number) : std::string(name);
}

int64_t replicas_of(const Node& service) {
  const Node* scale = service.find("scale");
  if (!scale) scale = service.at("deploy", "replicas");
  return scale ? scale->as_int().value_or(1) : 1;
}

std::string config_hash(const Project& project, const Node& service) {
  json::Document document;
  Node& copy = document.copy(service);
  for (const char* key : {"build", "scale", "depends_on", "profiles", "pull_policy", "develop", "env_file"}) document.remove(copy, key);
  if (Node* deploy = copy.find("deploy")) document.remove(*deploy, "replicas");
  std::string text = json::print(copy);
  for (const auto& [key, name] : networks_of(project, service)) text += "\n" + name;
  for (std::string_view kind : {"secrets", "configs"})
    if (const Node* grants = service.find(kind))
      for (const Node& grant : *grants)
        if (const Node* source = project.resource(kind, grant.string_at("source"))) text += "\n" + json::print(*source);
  if (const Node* mounts = service.find("volumes"))
    for (const Node& mount : *mounts)
      if (const Node* volume = project.resource("volumes", mount.string_at("source")))
        text += "\n" + std::string(volume->string_at("name"));
  return std::string(image::hex_of(image::digest_of(text)));
}

std::vector<std::pair<std::string, std::string>> networks_of(const Project& project, const Node& service) {
  std::vector<std::pair<std::string, std::string>> out;
  const Node* networks = service.find("networks");
  if (!networks || !service.string_at("network_mode").empty()) return out;
  std::vector<std::pair<int64_t, const Node*>> order;
  for (const Node& each : *networks) {
    const Node* priority = each.find("priority");
    order.emplace_back(priority ? priority->as_int().value_or(0) : 0, &each);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [priority, each] : order) {
    const Node* network = project.resource("networks", each->key());
    out.emplace_back(each->key(), network ? network->string_at("name") : each->key());
  }
  return out;
}

void endpoint_settings(const Project& project, const Node& service, std::string_view network, const BodyOptions& options, Object out) {
  const Node* attachment = service.at("networks", network);
  if (options.use_aliases) {
    if (!options.one_off) out.append("Aliases", container_name(project, service, options.number));
    out.append("Aliases", service.key());
    if (const Node* aliases = attachment ? attachment->find("aliases") : nullptr)
      for (const Node& alias : *aliases) out.append("Aliases", alias.as_string());
  }
  if (!attachment || !attachment->is_object()) return;
  const std::string ipv4(attachment->string_at("ipv4_address")), ipv6(attachment->string_at("ipv6_address"));
  if (!ipv4.empty()) out.object("IPAMConfig").set("IPv4Address", ipv4);
  if (!ipv6.empty()) out.object("IPAMConfig").set("IPv6Address", ipv6);
  out.maybe("MacAddress", std::string(attachment->string_at("mac_address")));
  if (const Node* options_given = attachment->find("driver_opts")) out.put("DriverOpts", out.document().copy(*options_given));
}

namespace {

std::vector<std::string> list_of(const Node* node) {
  std::vector<std::string> out;
  if (node)
    for (const Node& item : *node) out.emplace_back(item.as_string());
  return out;
}

void set_environment(const Node& service, const BodyOptions& options, Object body) {
  std::vector<std::string> out;
  auto overridden = [&](std::string_view name) {
    return std::any_of(options.environment.begin(), options.environment.end(),
                       [&](const std::string& each) { return split_once(each, '=').first == name; });
  };
  if (const Node* environment = service.find("environment"))
    for (const Node& each : *environment)
      if (!each.is_null() && !overridden(each.key())) out.push_back(std::string(each.key()) + "=" + std::string(each.as_string()));
  out.insert(out.end(), options.environment.begin(), options.environment.end());
  body.maybe("Env", out);
}

void set_labels(const Project& project, const Node& service, const BodyOptions& options, Object labels) {
  if (const Node* given = service.find("labels"))
    for (const Node& each : *given) labels.set(each.key(), each.as_string());
  for (const auto& each : options.labels) {
    auto [name, value] = split_once(each, '=');
    labels.set(name, value.value_or(""));
  }
  labels.set(label::project, project.name).set(label::service, service.key()).set(label::version, compose_version);
  labels.set(label::one_off, options.one_off ? "True" : "False").set(label::number, std::to_string(options.number));
  labels.set(label::hash, config_hash(project, service)).set(label::image, options.image_id);
  labels.set(label::files, join(project.files, ",")).set(label::directory, project.directory);
  if (!options.slug.empty()) labels.set(label::slug, options.slug);
  std::vector<std::string> depends;
  if (const Node* on = service.find("depends_on"))
    for (const Node& each : *on) {
      const Node* restart = each.find("restart");
      depends.push_back(std::string(each.key()) + ":" + std::string(each.string_at("condition")) + ":" +
                        (restart && restart->as_bool() ? "true" : "false"));
    }
  labels.set(label::depends, join(depends, ","));
}

Result<void> set_healthcheck(const Node& service, Object body) {
  const Node* check = service.find("healthcheck");
  if (!check || !check->is_object()) return {};
  Object out = body.object("Healthcheck");
  if (const Node* disable = check->find("disable"); disable && disable->as_bool()) {
    out.append("Test", "NONE");
    return {};
  }
  if (const Node* test = check->find("test")) out.set("Test", list_of(test));
  struct {
    const char *key, *field;
  } times[] = {{"interval", "Interval"}, {"timeout", "Timeout"}, {"start_period", "StartPeriod"}, {"start_interval", "StartInterval"}};
  for (const auto& [key, field] : times)
    if (const std::string_view text = check->string_at(key); !text.empty())
      out.set(field, TRY_AS("service " + quoted(service.key()) + ": healthcheck." + key, parse_go_duration(text)).count());
  if (const Node* retries = check->find("retries")) out.set("Retries", retries->as_int().value_or(0));
  return {};
}

}  // namespace

Result<void> container_body(const Project& project, const Node& service, const BodyOptions& options, Object body) {
  body.set("Image", image_of(project, service));
  if (options.command) body.set("Cmd", *options.command);
  else if (const Node* command = service.find("command"); command && !command->is_null()) body.set("Cmd", list_of(command));
  if (options.entrypoint) body.set("Entrypoint", *options.entrypoint);
  else if (const Node* entrypoint = service.find("entrypoint"); entrypoint && !entrypoint->is_null())
    body.set("Entrypoint", list_of(entrypoint));
  set_environment(service, options, body);
  set_labels(project, service, options, body.object("Labels"));
  auto text = [&](const char* key, const char* field, const std::string& instead = "") {
    body.maybe(field, instead.empty() ? std::string(service.string_at(key)) : instead);
  };
  text("user", "User", options.user);
  text("working_dir", "WorkingDir", options.workdir);
  text("hostname", "Hostname");
  text("domainname", "Domainname");
  text("stop_signal", "StopSignal");
  text("mac_address", "MacAddress");
  if (const std::string_view grace = service.string_at("stop_grace_period"); !grace.empty())
    body.set("StopTimeout",
             TRY_AS("service " + quoted(service.key()) + ": stop_grace_period", parse_go_duration(grace)).count() / 1'000'000'000);
  const Node *tty = service.find("tty"), *input = service.find("stdin_open");
  body.set("Tty", options.one_off ? options.tty : tty && tty->as_bool());
  body.set("OpenStdin", options.one_off ? options.open_stdin : input && input->as_bool());
  if (options.one_off && options.open_stdin) body.set("StdinOnce", true).set("AttachStdin", true);
  if (options.one_off) body.set("AttachStdout", true).set("AttachStderr", true);
  TRY(set_healthcheck(service, body));
  TRY_AS("service " + quoted(service.key()), host_config(project, service, options, body));
  const auto networks = networks_of(project, service);
  if (!networks.empty())
    endpoint_settings(project, service, networks[0].first, options,
                      body.object("NetworkingConfig").object("EndpointsConfig").object(networks[0].second));
  return {};
}

std::vector<GrantedFile> granted_files(const Project& project, const Node& service) {
  std::vector<GrantedFile> out;
  for (std::string_view kind : {"secrets", "configs"}) {
    const Node* grants = service.find(kind);
    if (!grants) continue;
    for (const Node& grant : *grants) {
      const Node* source = project.resource(kind, grant.string_at("source"));
      const Node* content = source ? source->find("content") : nullptr;
      if (!content) continue;
      GrantedFile file{grant_target(kind, grant), std::string(content->as_string())};
      if (const Node* mode = grant.find("mode")) file.mode = mode->as_int().value_or(0444);
      file.uid = parse_number<int64_t>(grant.string_at("uid")).value_or(0);
      file.gid = parse_number<int64_t>(grant.string_at("gid")).value_or(0);
      out.push_back(std::move(file));
    }
  }
  return out;
}

}  // namespace estiba::cli::compose
