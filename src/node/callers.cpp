#include "node/callers.h"

#include <algorithm>

#include "base/strings.h"
#include "model/codec.h"
#include "model/types/authentication_v1.h"
#include "model/types/authorization_v1.h"

namespace estiba::node {

using namespace std::chrono_literals;

namespace {

constexpr client::Resource token_reviews{"authentication.k8s.io", "v1", "tokenreviews"};
constexpr client::Resource access_reviews{"authorization.k8s.io", "v1", "subjectaccessreviews"};
constexpr size_t most_remembered = 4096;  // strangers may try any number of tokens

bool below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::string verb_of(std::string_view method) {
  if (method == "POST") return "create";
  if (method == "GET") return "get";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  return method == "DELETE" ? "delete" : "";
}

template <typename Map>
void make_room(Map& map, Instant now) {
  if (map.size() < most_remembered) return;
  std::erase_if(map, [&](const auto& entry) { return entry.second.until <= now; });
  if (map.size() >= most_remembered) map.clear();
}

/// The API server itself, and those who may do everything, need no question.
bool is_master(const io::Peer& peer) {
  return peer.common_name == "kube-apiserver-kubelet-client" ||
         std::find(peer.organizations.begin(), peer.organizations.end(), "system:masters") != peer.organizations.end();
}

}  // namespace

std::vector<std::string_view> node_subresources(std::string_view path) {
  if (below(path, "/stats")) return {"stats"};
  if (below(path, "/metrics")) return {"metrics"};
  if (below(path, "/logs")) return {"log"};
  if (below(path, "/checkpoint")) return {"checkpoint"};
  if (below(path, "/pods") || below(path, "/runningpods")) return {"pods", "proxy"};
  if (below(path, "/healthz")) return {"healthz", "proxy"};
  if (below(path, "/configz")) return {"configz", "proxy"};
  return {"proxy"};
}

Task<Result<void>> Callers::admit(io::Peer peer, std::string bearer, std::string method, std::string path) {
  const bool by_certificate = peer.tls && peer.verified && !peer.common_name.empty();
  if (by_certificate && is_master(peer)) co_return {};
  const User user = CO_TRY(co_await user_of(std::move(peer), std::move(bearer)));
  const std::string verb = verb_of(method);
  const auto subresources = node_subresources(path);
  for (std::string_view subresource : subresources)
    if (CO_TRY(co_await may(user, verb, std::string(subresource)))) co_return {};
  std::string names;
  for (std::string_view subresource : subresources) names += (names.empty() ? "" : " ") + std::string(subresource);
  co_return fail(Code::forbidden, "Forbidden (user=" + user.name + ", verb=" + verb + ", resource=nodes, subresource(s)=[" + names + "])");
}

Task<Result<Callers::User>> Callers::user_of(io::Peer peer, std::string bearer) {
  if (peer.tls && peer.verified && !peer.common_name.empty()) {
    User user{peer.common_name, {}, std::move(peer.organizations), {}};
    user.groups.push_back("system:authenticated");
    co_return user;
  }
  if (bearer.empty()) co_return fail(Code::unauthorized, "Unauthorized");
  const Instant now = executor_.now();
  auto found = tokens_.find(bearer);
  if (found == tokens_.end() || found->second.until <= now) {
    model::authentication_v1::TokenReview review;
    review.spec.token = bearer;
    auto answer = CO_TRY_AS("who asks", co_await client_.create(token_reviews, "", model::encode(review)));
    const auto& status = answer.as<model::authentication_v1::TokenReview>().status;
    KnownToken known{{}, executor_.now() + 2min};
    if (status.authenticated.value_or(false) && status.user)
      known.user = {status.user->username, status.user->uid, status.user->groups, status.user->extra};
    make_room(tokens_, now);
    found = tokens_.insert_or_assign(std::move(bearer), std::move(known)).first;
  }
  if (found->second.user.name.empty()) co_return fail(Code::unauthorized, "Unauthorized");
  co_return found->second.user;
}

Task<Result<bool>> Callers::may(User user, std::string verb, std::string subresource) {
  // What a decision follows from; nothing of it has a NUL.
  std::string key = user.name + '\0' + user.uid + '\0' + verb + '\0' + subresource;
  for (const auto& group : user.groups) key += '\0' + group;
  for (const auto& [name, values] : user.extra) {
    key += '\0' + name + '=';
    for (const auto& value : values) key += value + '\0';
  }
  const Instant now = executor_.now();
  if (auto found = decisions_.find(key); found != decisions_.end() && now < found->second.until) co_return found->second.allowed;
  model::authorization_v1::SubjectAccessReview review;
  review.spec.user = user.name;
  review.spec.uid = user.uid;
  review.spec.groups = user.groups;
  review.spec.extra = user.extra;
  auto& attributes = review.spec.resourceAttributes.ensure();
  attributes.verb = verb;
  attributes.version = "v1";
  attributes.resource = "nodes";
  attributes.subresource = subresource;
  attributes.name = node_name_;
  auto answer = CO_TRY_AS("what " + user.name + " may", co_await client_.create(access_reviews, "", model::encode(review)));
  const bool allowed = answer.as<model::authorization_v1::SubjectAccessReview>().status.allowed;
  make_room(decisions_, now);
  decisions_.insert_or_assign(std::move(key), Decision{allowed, executor_.now() + (allowed ? Duration(5min) : Duration(30s))});
  co_return allowed;
}

}  // namespace estiba::node
