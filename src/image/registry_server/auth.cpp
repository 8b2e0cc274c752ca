#include "image/registry_server/auth.h"

#include <crypt.h>

#include <memory>

#include "base/strings.h"
#include "image/digest.h"

namespace estiba::image {
namespace {

/// Without telling by its duration where two texts begin to differ.
bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

bool matches(const std::string& password, const std::string& hash) {
  auto data = std::make_unique<crypt_data>();
  const char* out = ::crypt_r(password.c_str(), hash.c_str(), data.get());
  return out && same(out, hash);
}

}  // namespace

Result<Htpasswd> Htpasswd::parse(std::string_view text) {
  Htpasswd out;
  out.salt_ = random_bytes(16);
  size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    line = trim(line);
    if (line.empty() || line.starts_with('#')) continue;
    auto [user, hash] = split_once(line, ':');
    if (!hash || user.empty()) return fail(Code::malformed, "line " + std::to_string(number) + ": USER:HASH is expected");
    if (!hash->starts_with("$2y$") && !hash->starts_with("$2b$") && !hash->starts_with("$2a$"))
      return fail(Code::malformed, "line " + std::to_string(number) + ": the hash of user " + quoted(user) +
                                       " is not bcrypt; make it with 'htpasswd -B' or 'mkpasswd -m bcrypt'");
    if (hash->size() != 60)
      return fail(Code::malformed, "line " + std::to_string(number) + ": the hash of user " + quoted(user) + " is cut");
    out.users_[std::string(user)] = *hash;
  }
  if (out.users_.empty()) return fail(Code::malformed, "it names no user; add one with 'htpasswd -B'");
  return out;
}

bool Htpasswd::allows(std::string_view authorization) {
  auto [scheme, coded] = split_once(authorization, ' ');
  if (!equals_ignore_case(scheme, "Basic") || !coded) return false;
  auto decoded = base64_decode(trim(*coded));
  if (!decoded) return false;
  auto [user, password] = split_once(*decoded, ':');
  if (!password || password->find('\0') != password->npos) return false;
  auto it = users_.find(user);
  if (it == users_.end()) {
    // As slow as for a user that exists, so that names cannot be told by the time.
    (void)matches(std::string(*password), users_.begin()->second);
    return false;
  }
  const std::string digest = digest_of(salt_ + std::string(*password));
  {
    std::lock_guard lock(mutex_);
    if (auto found = known_.find(it->first); found != known_.end() && same(found->second, digest)) return true;
  }
  if (!matches(std::string(*password), it->second)) return false;
  std::lock_guard lock(mutex_);
  known_[it->first] = digest;
  return true;
}

}  // namespace estiba::image
