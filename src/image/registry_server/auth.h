// Who may use the registry: the users of an htpasswd file with bcrypt hashes, as `htpasswd -B` makes them and as Docker's
// registry reads them.
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::image {

class Htpasswd {
 public:
  /// Lines "user:$2y$…"; empty ones and those that begin with '#' are skipped. A line that is something else, also a hash
  /// of another kind, is an error that names the line.
  static Result<Htpasswd> parse(std::string_view text);
  Htpasswd(Htpasswd&& other) noexcept : users_(std::move(other.users_)), salt_(std::move(other.salt_)) {}

  /// Whether the value of an Authorization header names a user with the right password. Blocks for as long as bcrypt takes, the
  /// first time that a password is seen. Any thread.
  bool allows(std::string_view authorization);
  size_t size() const { return users_.size(); }

 private:
  Htpasswd() = default;
  std::map<std::string, std::string, std::less<>> users_;  // name → hash
  std::string salt_;
  std::mutex mutex_;
  std::map<std::string, std::string> known_;  // name → digest of salt and a password that was right; guarded by mutex_
};

}  // namespace estiba::image
