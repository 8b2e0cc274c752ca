// Who asks the node's API, and whether he may. A caller is known by a client certificate of the cluster's CA or by a bearer token, for
// which the API server is asked (TokenReview); what he may do on this node the API server says, too (SubjectAccessReview), as for the
// kubelet: the path decides which subresource of the Node he needs (node_subresources()).
//
// Answers are remembered: a token's for two minutes, a permission for five, a refusal for half a minute.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/task.h"
#include "client/client.h"
#include "io/stream.h"

namespace estiba::node {

/// The subresources of a Node of which one at least must be allowed for a request to `path`: "pods" and "proxy" for "/pods", "stats" for
/// "/stats/summary", "metrics", "log", "configz", "healthz" likewise, and "proxy" for all else.
std::vector<std::string_view> node_subresources(std::string_view path);

class Callers {
 public:
  /// Both outlive it; on the executor's thread.
  Callers(client::Client& client, Executor& executor, std::string node_name)
      : client_(client), executor_(executor), node_name_(std::move(node_name)) {}

  /// Whether a request may pass. `bearer` is its token, or empty. Errors: unauthorized (nobody, or a token that does not hold), forbidden
  /// (names user, verb and subresources), or what kept the API server from answering.
  Task<Result<void>> admit(io::Peer peer, std::string bearer, std::string method, std::string path);

 private:
  struct User {
    std::string name, uid;
    std::vector<std::string> groups;
    std::map<std::string, std::vector<std::string>> extra;
  };
  struct KnownToken {
    User user;  ///< nameless: the token does not hold
    Instant until{};
  };
  struct Decision {
    bool allowed = false;
    Instant until{};
  };
  Task<Result<User>> user_of(io::Peer peer, std::string bearer);
  Task<Result<bool>> may(User user, std::string verb, std::string subresource);

  client::Client& client_;
  Executor& executor_;
  const std::string node_name_;
  std::map<std::string, KnownToken, std::less<>> tokens_;
  std::map<std::string, Decision, std::less<>> decisions_;
};

}  // namespace estiba::node
