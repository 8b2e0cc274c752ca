// Users, groups and capabilities(7) of this process.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::os {

/// Bit sets of capability numbers.
struct Capabilities {
  uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

/// "CAP_NET_ADMIN" → 12; unknown names are nullopt.
std::optional<int> capability_by_name(std::string_view name);
std::string_view capability_name(int number);
/// The highest capability that this kernel knows (/proc/sys/kernel/cap_last_cap).
int last_capability();

/// Drops from the bounding set what is not in `keep`.
Result<void> limit_bounding_set(uint64_t keep);
/// Sets effective, permitted and inheritable, then ambient (raised where the first three allow it).
Result<void> set_capabilities(const Capabilities& wanted);
Result<Capabilities> current_capabilities();
/// Keeps permitted capabilities over the next change of user (PR_SET_KEEPCAPS).
Result<void> keep_capabilities(bool on);

Result<void> set_groups(const std::vector<gid_t>& groups);
Result<void> set_gid(gid_t gid);  ///< real, effective and saved
Result<void> set_uid(uid_t uid);

}  // namespace estiba::os
