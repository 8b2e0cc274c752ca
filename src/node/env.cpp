#include "node/env.h"

#include "base/strings.h"
#include "node/env_file.h"

namespace estiba::node {

using namespace model::core_v1;

std::string expand(std::string_view text, const std::function<const std::string*(std::string_view)>& lookup) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[i + 1] == '$') {
      out += '$';
      ++i;
    } else if (const size_t end = text[i + 1] == '(' ? text.find(')', i + 2) : std::string_view::npos; end != std::string_view::npos) {
      const std::string* value = lookup(text.substr(i + 2, end - i - 2));
      out += value ? std::string_view(*value) : text.substr(i, end - i + 1);
      i = end;
    } else {
      out += '$';
    }
  }
  return out;
}

static const std::string* find(const Environment& environment, std::string_view name) {
  for (const auto& [key, value] : environment)
    if (key == name) return &value;
  return nullptr;
}

static void put(Environment& environment, std::string_view name, std::string value) {
  for (auto& [key, old] : environment)
    if (key == name) {
      old = std::move(value);
      return;
    }
  environment.emplace_back(name, std::move(value));
}

std::string expand(std::string_view text, const Environment& environment) {
  return expand(text, [&](std::string_view name) { return find(environment, name); });
}

namespace {

// One key of a ConfigMap or Secret; nullopt when it is not there and need not be.
Result<std::optional<std::string>> value_of_key(const std::function<Result<std::map<std::string, std::string>>(std::string_view)>& read,
                                                std::string_view kind, const std::string& name, const std::string& key, bool optional) {
  auto data = read(name);
  if (!data) {
    if (optional && data.error().code == Code::not_found) return std::nullopt;
    return std::unexpected(data.error());
  }
  auto found = data->find(key);
  if (found != data->end()) return found->second;
  if (optional) return std::nullopt;
  return fail(Code::not_found, "couldn't find key " + key + " in " + std::string(kind) + " " + name);
}

Result<std::optional<std::string>> value_from(const EnvVarSource& source, const EnvSources& sources) {
  if (source.fieldRef) return TRY(sources.field(*source.fieldRef));
  if (source.resourceFieldRef) return TRY(sources.resource(*source.resourceFieldRef));
  if (source.configMapKeyRef)
    return value_of_key(sources.config_map, "ConfigMap", source.configMapKeyRef->name, source.configMapKeyRef->key,
                        source.configMapKeyRef->optional.value_or(false));
  if (source.secretKeyRef)
    return value_of_key(sources.secret, "Secret", source.secretKeyRef->name, source.secretKeyRef->key,
                        source.secretKeyRef->optional.value_or(false));
  if (source.fileKeyRef) {
    const FileKeySelector& ref = *source.fileKeyRef;
    const std::string about = "file " + quoted(ref.path) + " of volume " + quoted(ref.volumeName);
    const std::string text = TRY_AS("couldn't read " + about, sources.file(ref));
    auto value = TRY_AS("couldn't parse " + about, env_file_value(text, ref.key));
    if (!value && !ref.optional.value_or(false))
      return fail(Code::not_found, "environment variable key " + quoted(ref.key) + " not found in " + about);
    return value;
  }
  return fail(Code::unsupported, "its valueFrom names no source that this node knows");
}

Result<void> add_all(Environment& out, const EnvFromSource& from, const EnvSources& sources) {
  const bool is_map = bool(from.configMapRef);
  if (!is_map && !from.secretRef) return {};
  const std::string& name = is_map ? from.configMapRef->name : from.secretRef->name;
  const bool optional = (is_map ? from.configMapRef->optional : from.secretRef->optional).value_or(false);
  auto data = is_map ? sources.config_map(name) : sources.secret(name);
  if (!data) {
    if (optional && data.error().code == Code::not_found) return {};
    return std::unexpected(data.error());
  }
  for (auto& [key, value] : *data) put(out, from.prefix + key, std::move(value));
  return {};
}

}  // namespace

Result<Environment> make_environment(const Container& container, const Environment& services, const EnvSources& sources) {
  Environment out = services;
  for (const EnvFromSource& from : container.envFrom) TRY(add_all(out, from, sources));
  for (const EnvVar& variable : container.env) {
    if (!variable.valueFrom) {
      put(out, variable.name, expand(variable.value, out));
      continue;
    }
    auto value = value_from(*variable.valueFrom, sources);
    if (!value) return std::unexpected(value.error());
    if (*value) put(out, variable.name, std::move(**value));
  }
  return out;
}

Environment service_environment(const std::vector<const Service*>& services) {
  Environment out;
  for (const Service* service : services) {
    const std::string& ip = service->spec.clusterIP;
    if (ip.empty() || ip == "None" || service->spec.ports.empty()) continue;
    std::string name = service->metadata.name;
    for (char& c : name) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? char(c - 32) : c;
    const auto& ports = service->spec.ports;
    out.emplace_back(name + "_SERVICE_HOST", ip);
    out.emplace_back(name + "_SERVICE_PORT", std::to_string(ports[0].port));
    for (const ServicePort& port : ports) {
      if (port.name.empty()) continue;
      std::string upper = port.name;
      for (char& c : upper) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? char(c - 32) : c;
      out.emplace_back(name + "_SERVICE_PORT_" + upper, std::to_string(port.port));
    }
    for (size_t i = 0; i < ports.size(); ++i) {
      const std::string protocol = ports[i].protocol.empty() ? "tcp" : to_lower(ports[i].protocol);
      const std::string number = std::to_string(ports[i].port), host = ip.contains(':') ? "[" + ip + "]" : ip;
      const std::string url = protocol + "://" + host + ":" + number;
      std::string upper = protocol;
      for (char& c : upper) c = char(c - 32);
      const std::string prefix = name + "_PORT_" + number + "_" + upper;
      if (i == 0) out.emplace_back(name + "_PORT", url);
      out.emplace_back(prefix, url);
      out.emplace_back(prefix + "_PROTO", protocol);
      out.emplace_back(prefix + "_PORT", number);
      out.emplace_back(prefix + "_ADDR", ip);
    }
  }
  return out;
}

}  // namespace estiba::node
