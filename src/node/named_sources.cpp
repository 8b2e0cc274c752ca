#include "node/named_sources.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

template <class C>
void add_environment(const std::string& ns, const std::vector<C>& containers, std::set<SourceName>& out) {
  for (const auto& container : containers) {
    for (const EnvFromSource& from : container.envFrom) {
      if (from.configMapRef) out.insert({false, ns, from.configMapRef->name});
      if (from.secretRef) out.insert({true, ns, from.secretRef->name});
    }
    for (const EnvVar& variable : container.env) {
      if (!variable.valueFrom) continue;
      if (variable.valueFrom->configMapKeyRef) out.insert({false, ns, variable.valueFrom->configMapKeyRef->name});
      if (variable.valueFrom->secretKeyRef) out.insert({true, ns, variable.valueFrom->secretKeyRef->name});
    }
  }
}

}  // namespace

std::set<SourceName> sources_of(const std::string& ns, const PodSpec& spec) {
  std::set<SourceName> out;
  for (const Volume& volume : spec.volumes) {
    if (volume.configMap) out.insert({false, ns, volume.configMap->name});
    if (volume.secret) out.insert({true, ns, volume.secret->secretName});
    if (!volume.projected) continue;
    for (const auto& source : volume.projected->sources) {
      if (source.configMap) out.insert({false, ns, source.configMap->name});
      if (source.secret) out.insert({true, ns, source.secret->name});
    }
  }
  add_environment(ns, spec.initContainers, out);
  add_environment(ns, spec.containers, out);
  add_environment(ns, spec.ephemeralContainers, out);
  return out;
}

void NamedSources::set(const std::string& uid, const std::set<SourceName>& names) {
  std::set<SourceName>& before = by_pod_[uid];
  for (const SourceName& name : names) {
    Watch& watch = watches_[name];
    watch.pods.insert(uid);
    if (watch.informer) continue;
    watch.informer = std::make_unique<client::Informer>(client_, name.secret ? client::secrets : client::configmaps, name.ns,
                                                        client::ListOptions{.field_selector = "metadata.name=" + name.name});
    watch.informer->on_change(
        [this, secret = name.secret](const model::ObjectRef& was, const model::ObjectRef& is) { changed_(secret, is ? is : was); });
  }
  for (const SourceName& name : before) {
    if (names.contains(name)) continue;
    auto found = watches_.find(name);
    found->second.pods.erase(uid);
    if (found->second.pods.empty()) watches_.erase(found);
  }
  before = names;
  if (names.empty()) by_pod_.erase(uid);
}

}  // namespace estiba::node
