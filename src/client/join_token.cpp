#include "client/join_token.h"

#include <algorithm>

#include "base/strings.h"
#include "client/json_writer.h"

namespace estiba::client {

namespace {

constexpr size_t id_length = 6, secret_length = 16, hash_length = 64;
constexpr std::string_view hash_prefix = "sha256:";
constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";

bool made_of(std::string_view text, size_t length, std::string_view letters) {
  return text.size() == length && text.find_first_not_of(letters) == std::string_view::npos;
}

std::string random_text(size_t length) {
  std::string out;
  while (out.size() < length)
    for (char byte : random_bytes(length))
      // 252 is the last multiple of 36 in a byte: beyond it some letters would come more often.
      if (uint8_t(byte) < 252 && out.size() < length) out += alphabet[uint8_t(byte) % alphabet.size()];
  return out;
}

}  // namespace

Result<JoinToken> parse_join_token(std::string_view text) {
  const auto [bearer, hash] = split_once(trim(text), '@');
  const auto [id, secret] = split_once(bearer, '.');
  const bool good =
      secret && made_of(id, id_length, alphabet) && made_of(*secret, secret_length, alphabet) &&
      (!hash || (hash->starts_with(hash_prefix) && made_of(hash->substr(hash_prefix.size()), hash_length, "0123456789abcdef")));
  if (!good)
    return fail(Code::malformed,
                "a token has the form abcdef.0123456789abcdef or abcdef.0123456789abcdef@sha256:HASH; `estiba token create` "
                "on a server prints one");
  return JoinToken{std::string(id), std::string(*secret), std::string(hash.value_or(""))};
}

JoinToken make_join_token(std::string ca_hash) { return {random_text(id_length), random_text(secret_length), std::move(ca_hash)}; }

std::string token_secret(const JoinToken& token, std::string_view description, std::string_view expiration) {
  JsonWriter json;
  json.object().field("apiVersion", "v1").field("kind", "Secret").field("type", "bootstrap.kubernetes.io/token");
  json.object("metadata").field("name", "bootstrap-token-" + token.id).field("namespace", "kube-system").end().object("data");
  const auto put = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) json.field(key, base64_encode(value));
  };
  put("token-id", token.id);
  put("token-secret", token.secret);
  put("description", description);
  put("expiration", expiration);
  put("usage-bootstrap-authentication", "true");
  put("usage-bootstrap-signing", "true");
  put("auth-extra-groups", joining_group);
  json.end().end();
  return json.take();
}

}  // namespace estiba::client
