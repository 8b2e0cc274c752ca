// Tokens by which machines join as nodes: Secrets of type bootstrap.kubernetes.io/token in kube-system.
#include <chrono>
#include <cstdio>

#include "base/go_duration.h"
#include "base/strings.h"
#include "base/time.h"
#include "cli/kube_client.h"
#include "cli/verbs.h"
#include "client/join_token.h"
#include "io/loop.h"
#include "io/pki.h"
#include "model/types/core_v1.h"

namespace estiba::cli {

namespace {

constexpr std::string_view prefix = "bootstrap-token-";
const std::string token_namespace = "kube-system";

struct TokenFlags {
  std::string kubeconfig = "/etc/estiba/kubeconfig";
  std::string ttl = "24h", description;

  void declare_common(Flags& flags) { flags.add("kubeconfig", &kubeconfig, "the administrator's, which the server has written"); }
};

Task<Result<void>> create(KubeAccess* access, client::JoinToken token, std::string description, std::string expiration) {
  CO_TRY(co_await access->client->create(client::secrets, token_namespace, client::token_secret(token, description, expiration)));
  co_return {};
}

Task<Result<std::string>> list(KubeAccess* access) {
  const auto secrets =
      CO_TRY(co_await access->client->list(client::secrets, token_namespace, {.field_selector = "type=bootstrap.kubernetes.io/token"}));
  std::string out = "TOKEN ID   EXPIRES                DESCRIPTION\n";
  for (const model::ObjectRef& object : secrets.items) {
    const auto& data = object.as<model::core_v1::Secret>().data;
    const auto value = [&](const char* key) {
      const auto found = data.find(key);
      return found == data.end() ? std::string() : found->second;
    };
    std::string until = value("expiration");
    if (until.empty()) until = "never";
    std::string id = value("token-id");
    id.resize(std::max<size_t>(id.size(), 10), ' ');
    until.resize(std::max<size_t>(until.size(), 22), ' ');
    out += id + " " + until + " " + value("description") + "\n";
  }
  co_return out;
}

Task<Result<void>> remove(KubeAccess* access, std::string id) {
  auto gone = co_await access->client->remove(client::secrets, token_namespace, std::string(prefix) + id);
  if (!gone && gone.error().code == Code::not_found)
    co_return fail(Code::not_found, "there is no token " + id + "; `estiba token list` shows them");
  co_return gone;
}

// nullopt: --help was printed.
Result<std::optional<Arguments>> parse(Flags& flags, const Arguments& arguments) {
  Arguments rest = TRY(flags.parse(arguments));
  if (!flags.help_wanted()) return rest;
  std::fputs(flags.help().c_str(), stdout);
  return std::nullopt;
}

Result<std::string> expiration_after(const std::string& ttl) {
  const auto lifetime = parse_go_duration(ttl);
  if (!lifetime || *lifetime < Duration{})
    return fail(Code::invalid, "--ttl must be a duration like 24h, or 0 for a token without an end, not " + quoted(ttl));
  if (*lifetime == Duration{}) return std::string();
  return format_rfc3339(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()) + *lifetime);
}

}  // namespace

Result<int> token_create(const Arguments& arguments) {
  TokenFlags options;
  Flags flags("estiba token create [FLAGS]");
  options.declare_common(flags);
  flags.add("ttl", &options.ttl, "how long it lets machines in; 0: for ever");
  flags.add("description", &options.description, "what it is for");
  const auto rest = TRY(parse(flags, arguments));
  if (!rest) return 0;
  if (!rest->empty()) return fail(Code::invalid, "it takes flags only, not " + quoted((*rest)[0]));
  const std::string expiration = TRY(expiration_after(options.ttl));
  io::Loop loop;
  KubeAccess access = TRY(open_kubeconfig(options.kubeconfig));
  const client::JoinToken token = client::make_join_token(TRY(io::public_key_hash(access.ca_pem)));
  TRY(loop.block_on(create(&access, token, options.description, expiration)));
  std::printf("%s\n", token.text().c_str());
  return 0;
}

Result<int> token_list(const Arguments& arguments) {
  TokenFlags options;
  Flags flags("estiba token list [FLAGS]");
  options.declare_common(flags);
  const auto rest = TRY(parse(flags, arguments));
  if (!rest) return 0;
  if (!rest->empty()) return fail(Code::invalid, "it takes flags only, not " + quoted((*rest)[0]));
  io::Loop loop;
  KubeAccess access = TRY(open_kubeconfig(options.kubeconfig));
  std::fputs(TRY(loop.block_on(list(&access))).c_str(), stdout);
  return 0;
}

Result<int> token_delete(const Arguments& arguments) {
  TokenFlags options;
  Flags flags("estiba token delete ID…");
  options.declare_common(flags);
  const auto rest = TRY(parse(flags, arguments));
  if (!rest) return 0;
  if (rest->empty()) return fail(Code::invalid, "it takes the ids of tokens, as `estiba token list` shows them");
  io::Loop loop;
  KubeAccess access = TRY(open_kubeconfig(options.kubeconfig));
  // A whole token is as good as its id.
  for (std::string_view id : *rest) TRY(loop.block_on(remove(&access, std::string(split_once(id, '.').first))));
  return 0;
}

}  // namespace estiba::cli
