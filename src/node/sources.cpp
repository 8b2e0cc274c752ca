#include "node/sources.h"

#include <unistd.h>

#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "model/json.h"
#include "model/quantity.h"

namespace estiba::node {

using namespace model::core_v1;

Task<Result<Data>> read_object(const Context& context, bool secret, std::string ns, std::string name) {
  auto object = co_await context.client.get(secret ? client::secrets : client::configmaps, ns, name);
  if (!object) {
    if (object.error().code == Code::not_found)
      co_return fail(Code::not_found, (secret ? "secret " : "configmap ") + quoted(name) + " not found");
    co_return std::unexpected(std::move(object.error()));
  }
  if (secret) co_return object->as<Secret>().data;
  const ConfigMap& map = object->as<ConfigMap>();
  Data data = map.data;
  data.insert(map.binaryData.begin(), map.binaryData.end());
  co_return data;
}

static Result<Data> look_up(const std::map<std::string, Result<Data>, std::less<>>& objects, std::string_view name) {
  auto found = objects.find(name);
  if (found == objects.end()) return fail(Code::not_found, quoted(name) + " was not read");
  return found->second;
}

Result<Data> ObjectData::config_map(std::string_view name) const { return look_up(config_maps, name); }
Result<Data> ObjectData::secret(std::string_view name) const { return look_up(secrets, name); }

Task<ObjectData> read_referenced(const Context& context, std::string ns, const Container& container) {
  std::set<std::string> maps, secrets;
  for (const EnvFromSource& from : container.envFrom) {
    if (from.configMapRef) maps.insert(from.configMapRef->name);
    if (from.secretRef) secrets.insert(from.secretRef->name);
  }
  for (const EnvVar& variable : container.env) {
    if (!variable.valueFrom) continue;
    if (variable.valueFrom->configMapKeyRef) maps.insert(variable.valueFrom->configMapKeyRef->name);
    if (variable.valueFrom->secretKeyRef) secrets.insert(variable.valueFrom->secretKeyRef->name);
  }
  ObjectData out;
  for (const std::string& name : maps) out.config_maps.emplace(name, co_await read_object(context, false, ns, name));
  for (const std::string& name : secrets) out.secrets.emplace(name, co_await read_object(context, true, ns, name));
  co_return out;
}

// The entries of a .dockerconfigjson secret.
static void add_credentials(const Data& data, std::vector<engine::Credentials>& out) {
  auto found = data.find(".dockerconfigjson");
  if (found == data.end()) return;
  auto document = json::Document::parse(found->second);
  if (!document) return;
  const json::Node* auths = document->root().find("auths");
  if (!auths || !auths->is_object()) return;
  for (const json::Node& entry : *auths) {
    engine::Credentials credentials;
    credentials.username = entry.string_at("username");
    credentials.password = entry.string_at("password");
    credentials.identity_token = entry.string_at("identitytoken");
    if (auto decoded = base64_decode(entry.string_at("auth")); decoded && credentials.username.empty()) {
      auto [user, password] = split_once(*decoded, ':');
      credentials.username = user;
      credentials.password = password.value_or("");
    }
    out.push_back(std::move(credentials));
  }
}

Task<std::vector<engine::Credentials>> pull_credentials(const Context& context, model::ObjectRef pod) {
  std::vector<engine::Credentials> out;
  for (const LocalObjectReference& reference : pod.as<Pod>().spec.imagePullSecrets) {
    auto data = co_await read_object(context, true, pod.meta().ns, reference.name);
    if (data) add_credentials(*data, out);
    else log::warn("node", "image pull secret not readable", {{"pod", client::key_of(pod)}, {"error", data.error()}});
  }
  co_return out;
}

// metadata.labels['key'] → key; nullopt for other forms.
static std::optional<std::string_view> subscript(std::string_view path, std::string_view map) {
  if (!path.starts_with(map) || !path.ends_with("']") || path.substr(map.size(), 2) != "['") return std::nullopt;
  path.remove_prefix(map.size() + 2);
  path.remove_suffix(2);
  return path;
}

static std::string lines(const std::map<std::string, std::string>& map) {
  std::string out;
  for (const auto& [key, value] : map) {
    if (!out.empty()) out += '\n';
    out += key + "=" + quoted(value);
  }
  return out;
}

Result<std::string> field_value(const Pod& pod, const std::string& path, const std::vector<std::string>& ips,
                                const std::vector<std::string>& host_ips) {
  auto in_map = [](const std::map<std::string, std::string>& map, std::string_view key) {
    auto found = map.find(std::string(key));
    return found == map.end() ? std::string() : found->second;
  };
  if (auto key = subscript(path, "metadata.labels")) return in_map(pod.metadata.labels, *key);
  if (auto key = subscript(path, "metadata.annotations")) return in_map(pod.metadata.annotations, *key);
  if (path == "metadata.name") return pod.metadata.name;
  if (path == "metadata.namespace") return pod.metadata.namespace_;
  if (path == "metadata.uid") return pod.metadata.uid;
  if (path == "metadata.labels") return lines(pod.metadata.labels);
  if (path == "metadata.annotations") return lines(pod.metadata.annotations);
  if (path == "spec.nodeName") return pod.spec.nodeName;
  if (path == "spec.serviceAccountName") return pod.spec.serviceAccountName;
  if (path == "status.podIP") return ips.empty() ? "" : ips.front();
  if (path == "status.podIPs") return join(ips, ",");
  if (path == "status.hostIP") return host_ips.empty() ? "" : host_ips.front();
  if (path == "status.hostIPs") return join(host_ips, ",");
  return fail(Code::invalid, "fieldRef: field " + quoted(path) + " is not one that a pod can read");
}

Result<std::string> resource_value(const Pod& pod, const std::string& name, const std::string& resource, const std::string& divisor_text,
                                   const Data& node_allocatable) {
  const Container* container = nullptr;
  for (const auto* list : {&pod.spec.containers, &pod.spec.initContainers})
    for (const Container& candidate : *list)
      if (candidate.name == name) container = &candidate;
  if (!container) return fail(Code::invalid, "resourceFieldRef: the pod has no container " + quoted(name));
  auto [kind, which] = split_once(resource, '.');
  if (!which || (kind != "limits" && kind != "requests"))
    return fail(Code::invalid, "resourceFieldRef: " + quoted(resource) + " is not limits.… or requests.…");
  const std::string key(*which);
  std::string text;
  auto from = [&](const std::map<std::string, std::string>& map) {
    auto found = map.find(key);
    if (text.empty() && found != map.end()) text = found->second;
  };
  if (container->resources) from(kind == "limits" ? container->resources->limits : container->resources->requests);
  if (text.empty() && kind == "limits") from(node_allocatable);
  if (text.empty() && kind == "limits" && key == "cpu") text = std::to_string(sysconf(_SC_NPROCESSORS_ONLN));
  if (text.empty() && kind == "limits" && key == "memory") text = std::to_string(int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE));
  if (text.empty()) text = "0";
  const bool milli = key == "cpu";
  const auto value = TRY(model::Quantity::parse(text)),
             divisor = TRY(model::Quantity::parse(divisor_text.empty() || divisor_text == "0" ? "1" : divisor_text));
  const int64_t a = milli ? value.to_milli() : value.to_int64(), b = std::max<int64_t>(milli ? divisor.to_milli() : divisor.to_int64(), 1);
  return std::to_string((a + b - 1) / b);
}

}  // namespace estiba::node
