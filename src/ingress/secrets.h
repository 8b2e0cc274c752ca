// The Secrets with certificates, as one thread watches them: all of the cluster, where one may (the server), or each by itself from when it
// is named on (a node, to which the Node authorizer gives no more).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "client/informer.h"

namespace estiba::ingress {

class Secrets {
 public:
  /// `client` outlives it.
  Secrets(client::Client& client, bool reads_all);
  ~Secrets();
  Secrets(const Secrets&) = delete;

  /// Called with the key of each Secret that comes, changes or goes, or of which it is known from now on that there is none. Set once,
  /// before watch().
  void on_change(std::function<void(const std::string& key)> changed);
  /// These, by key "ns/name", and no others. Without effect where all are watched.
  void watch(const std::set<std::string, std::less<>>& keys);
  /// At once where each is watched by itself.
  Task<void> wait_synced();

  /// Null: there is none, or it is not known.
  model::ObjectRef get(std::string_view key) const;
  /// Whether get() says what there is.
  bool known(std::string_view key) const;
  size_t watched() const { return named_.size(); }

 private:
  struct Named;
  client::Client& client_;
  std::function<void(const std::string&)> changed_;
  std::unique_ptr<client::Informer> all_;
  std::map<std::string, std::unique_ptr<Named>, std::less<>> named_;
};

}  // namespace estiba::ingress
