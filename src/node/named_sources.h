// Of a node that may not list everything: the ConfigMaps and Secrets that its pods name, each watched by itself, as the kubelet does it
// (the Node authorizer allows a node no more).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "client/informer.h"
#include "model/types/core_v1.h"

namespace estiba::node {

struct SourceName {
  bool secret = false;
  std::string ns, name;
  auto operator<=>(const SourceName&) const = default;
};

/// What the pod's volumes and environments read.
std::set<SourceName> sources_of(const std::string& ns, const model::core_v1::PodSpec& spec);

class NamedSources {
 public:
  /// `changed` is told of every change, and of each object once when it is first seen.
  NamedSources(client::Client& client, std::function<void(bool secret, const model::ObjectRef& object)> changed)
      : client_(client), changed_(std::move(changed)) {}

  /// The pod reads these from now on.
  void set(const std::string& uid, const std::set<SourceName>& names);
  void drop(const std::string& uid) { set(uid, {}); }
  size_t watched() const { return watches_.size(); }

 private:
  struct Watch {
    std::set<std::string> pods;  // by uid
    std::unique_ptr<client::Informer> informer;
  };
  client::Client& client_;
  std::function<void(bool, const model::ObjectRef&)> changed_;
  std::map<SourceName, Watch> watches_;
  std::map<std::string, std::set<SourceName>> by_pod_;
};

}  // namespace estiba::node
