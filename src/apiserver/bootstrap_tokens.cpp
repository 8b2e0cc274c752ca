#include "apiserver/bootstrap_tokens.h"

#include "apiserver/api_errors.h"
#include "apiserver/bell.h"
#include "apiserver/edit.h"
#include "apiserver/kept.h"
#include "apiserver/own_action.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "io/hmac.h"

namespace estiba::apiserver {
namespace {

constexpr size_t id_length = 6, secret_length = 16;
constexpr std::string_view group_prefix = "system:bootstrappers:";

const Resource& secrets_row() { return *model::schema::find_resource("", "v1", "secrets"); }

bool is_plain(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_bootstrap_group(std::string_view group) {
  if (!group.starts_with(group_prefix)) return false;
  const std::string_view rest = group.substr(group_prefix.size());
  return !rest.empty() && rest.size() <= 256 && is_plain(rest.back()) &&
         std::all_of(rest.begin(), rest.end(), [](char c) { return is_plain(c) || c == ':' || c == '-'; });
}

constexpr std::string_view token_type = "bootstrap.kubernetes.io/token", token_namespace = "kube-system";

std::string value_of(const json::Node& secret, std::string_view key) { return base64_decode(secret.string_at("data", key)).value_or(""); }

// When a token's Secret says that it ends; nullopt for never.
Result<std::optional<WallTime>> expiration_of(const json::Node& secret) {
  std::string text = value_of(secret, "expiration");
  if (text.empty()) return std::nullopt;
  // Later than what a time in nanoseconds can say is late enough; 2196 is a leap year.
  constexpr std::string_view late = "2196";
  if (std::string_view(text).substr(0, late.size()) > late) text.replace(0, late.size(), late);
  return TRY(parse_rfc3339(text));
}

std::unexpected<Error> refuse(std::string_view id, std::string_view why) {
  log::debug("authn", "bootstrap token refused", {{"id", id}, {"why", why}});
  return unauthorized();
}

}  // namespace

bool is_bootstrap_token(std::string_view token) {
  if (token.size() != id_length + 1 + secret_length || token[id_length] != '.') return false;
  for (size_t i = 0; i < token.size(); ++i)
    if (i != id_length && !is_plain(token[i])) return false;
  return true;
}

Result<User> bootstrap_user(const Cluster& cluster, std::string_view token) {
  const std::string id(token.substr(0, id_length));
  const std::string_view secret = token.substr(id_length + 1);
  auto object = cluster.find("", "secrets", "kube-system", "bootstrap-token-" + id);
  if (!object) return refuse(id, "no such secret");
  auto doc = json::Document::parse(object->object->json());
  if (!doc || doc->root().string_at("type") != token_type) return refuse(id, "the secret is of another type");
  if (!object->meta().deletion_timestamp.empty()) return refuse(id, "the secret is being deleted");
  auto value = [&](std::string_view key) { return value_of(doc->root(), key); };
  if (!io::equal_in_constant_time(value("token-secret"), secret) || value("token-id") != id) return refuse(id, "another secret");
  auto expires = expiration_of(doc->root());
  if (!expires) return refuse(id, "its expiration is no time");
  if (*expires && cluster.now() > **expires) return refuse(id, "expired");
  if (value("usage-bootstrap-authentication") != "true") return refuse(id, "not for authentication");
  User user;
  user.name = "system:bootstrap:" + id;
  user.groups = {"system:bootstrappers"};
  const std::string extra = value("auth-extra-groups");
  for (std::string_view group : split(extra, ',')) {
    if (extra.empty()) break;
    if (!is_bootstrap_group(group)) return refuse(id, "a group that is none of bootstrappers'");
    if (!user.in_group(group)) user.groups.emplace_back(group);
  }
  user.groups.push_back("system:authenticated");
  return user;
}

std::vector<std::pair<std::string, std::string>> signing_tokens(const Cluster& cluster) {
  std::vector<std::pair<std::string, std::string>> out;
  auto secrets = cluster.all("", "secrets", token_namespace);
  if (!secrets) return out;
  for (const model::ObjectRef& secret : *secrets) {
    if (!secret.meta().name.starts_with("bootstrap-token-") || !secret.meta().deletion_timestamp.empty()) continue;
    auto doc = json::Document::parse(secret.object->json());
    if (!doc || doc->root().string_at("type") != token_type || value_of(doc->root(), "usage-bootstrap-signing") != "true") continue;
    auto expires = expiration_of(doc->root());
    if (!expires || (*expires && cluster.now() > **expires)) continue;
    std::string id = value_of(doc->root(), "token-id"), value = value_of(doc->root(), "token-secret");
    if (is_bootstrap_token(id + "." + value)) out.emplace_back(std::move(id), std::move(value));
  }
  return out;
}

namespace {

// Deletes what has expired; returns when the next one does.
Task<std::optional<WallTime>> delete_expired(Registry& registry) {
  Cluster& cluster = registry.cluster();
  std::optional<WallTime> next;
  auto secrets = cluster.all("", "secrets", token_namespace);
  if (!secrets) co_return next;
  for (const model::ObjectRef& secret : *secrets) {
    if (!secret.meta().name.starts_with("bootstrap-token-")) continue;
    auto doc = json::Document::parse(secret.object->json());
    if (!doc || doc->root().string_at("type") != token_type) continue;
    auto expires = expiration_of(doc->root());
    if (!expires || !*expires) continue;
    if (**expires > cluster.now()) {
      next = std::min(next.value_or(**expires), **expires);
      continue;
    }
    Action action = own_action(Verb::remove, secrets_row(), std::string(token_namespace), secret.meta().name);
    action.remove.uid = secret.meta().uid;
    auto removed = co_await registry.remove(std::move(action));
    if (removed) log::info("authn", "bootstrap token expired", {{"secret", secret.meta().name}});
  }
  co_return next;
}

}  // namespace

Task<void> clean_bootstrap_tokens(Registry& registry) {
  using namespace std::chrono_literals;
  constexpr Duration longest_wait = 1h, settle_time = 50ms;
  store::Store& store = registry.cluster().store();
  Executor& executor = *Executor::current();
  Bell secrets(store, prefix_of(secrets_row(), token_namespace));
  auto changed = std::make_shared<Event>();
  for (;;) {
    changed->reset();
    secrets.listen(changed);
    auto next = co_await delete_expired(registry);
    const Duration wait = next ? std::clamp<Duration>(*next - registry.cluster().now(), settle_time, longest_wait) : longest_wait;
    co_await changed->wait_until(executor.now() + wait);
    co_await sleep_for(settle_time);
  }
}

}  // namespace estiba::apiserver
