#include "os/credentials.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/capabilities.h"
#include "base/strings.h"
#include "os/file.h"
#include "os/syscall.h"

namespace estiba::os {

std::optional<int> capability_by_name(std::string_view name) {
  for (size_t i = 0; i < capability_names.size(); i++) {
    if (equals_ignore_case(capability_names[i], name)) return int(i);
  }
  return std::nullopt;
}

std::string_view capability_name(int number) {
  return number >= 0 && size_t(number) < capability_names.size() ? capability_names[size_t(number)] : std::string_view{};
}

int last_capability() {
  auto text = read_file("/proc/sys/kernel/cap_last_cap");
  if (!text) return int(capability_names.size()) - 1;
  return parse_number<int>(trim(*text)).value_or(int(capability_names.size()) - 1);
}

Result<void> limit_bounding_set(uint64_t keep) {
  for (int i = 0; i < 64; i++) {
    if (keep >> i & 1) continue;
    int has = prctl(PR_CAPBSET_READ, i);
    if (has < 0) break;  // EINVAL: beyond the last one
    if (has && prctl(PR_CAPBSET_DROP, i) < 0) return fail_call("prctl PR_CAPBSET_DROP", capability_name(i));
  }
  return {};
}

Result<void> set_capabilities(const Capabilities& wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++) {
    data[i].effective = uint32_t(wanted.effective >> (32 * i));
    data[i].permitted = uint32_t(wanted.permitted >> (32 * i));
    data[i].inheritable = uint32_t(wanted.inheritable >> (32 * i));
  }
  if (syscall(SYS_capset, &header, data) < 0) return fail_errno("capset");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return fail_errno("prctl PR_CAP_AMBIENT_CLEAR_ALL");
  for (int i = 0; i < 64; i++) {
    if (!(wanted.ambient >> i & 1)) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0) return fail_call("prctl PR_CAP_AMBIENT_RAISE", capability_name(i));
  }
  return {};
}

Result<Capabilities> current_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) return fail_errno("capget");
  Capabilities out;
  for (int i = 0; i < 2; i++) {
    out.effective |= uint64_t(data[i].effective) << (32 * i);
    out.permitted |= uint64_t(data[i].permitted) << (32 * i);
    out.inheritable |= uint64_t(data[i].inheritable) << (32 * i);
  }
  for (int i = 0; i < 64; i++) {
    int has = prctl(PR_CAPBSET_READ, i);
    if (has < 0) break;
    if (has) out.bounding |= 1ULL << i;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) out.ambient |= 1ULL << i;
  }
  return out;
}

Result<void> keep_capabilities(bool on) {
  if (prctl(PR_SET_KEEPCAPS, on ? 1 : 0, 0, 0, 0) < 0) return fail_errno("prctl PR_SET_KEEPCAPS");
  return {};
}

// The raw calls: glibc's wrappers signal every thread, which is wrong (and pointless) after clone.
Result<void> set_groups(const std::vector<gid_t>& groups) {
  if (syscall(SYS_setgroups, groups.size(), groups.data()) < 0) return fail_errno("setgroups");
  return {};
}

Result<void> set_gid(gid_t gid) {
  if (syscall(SYS_setresgid, gid, gid, gid) < 0) return fail_call("setresgid", std::to_string(gid));
  return {};
}

Result<void> set_uid(uid_t uid) {
  if (syscall(SYS_setresuid, uid, uid, uid) < 0) return fail_call("setresuid", std::to_string(uid));
  return {};
}

}  // namespace estiba::os
