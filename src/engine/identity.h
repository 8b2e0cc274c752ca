// Who a container runs as: user and group names are those of the image's own /etc/passwd and /etc/group.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/spec.h"

namespace estiba::engine {

struct Identity {
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;  ///< supplementary, sorted, without duplicates
  std::string home = "/";
};

/// `image_user` is the configuration's User; `passwd` and `group` are the contents of the image's files, or empty. Fails with
/// reason CreateContainerConfigError for unknown names and broken rules.
Result<Identity> resolve_user(const User& user, std::string_view image_user, std::string_view passwd, std::string_view group);

}  // namespace estiba::engine
