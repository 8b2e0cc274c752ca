#include "engine/identity.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "engine/errors.h"

namespace estiba::engine {
namespace {

struct PasswdLine {
  std::string_view name;
  uint32_t uid = 0, gid = 0;
  std::string_view home;
};

struct GroupLine {
  std::string_view name;
  uint32_t gid = 0;
  std::string_view members;
};

std::vector<PasswdLine> parse_passwd(std::string_view text) {
  std::vector<PasswdLine> out;
  for (std::string_view line : split(text, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() < 6) continue;
    auto uid = parse_number<uint32_t>(fields[2]), gid = parse_number<uint32_t>(fields[3]);
    if (uid && gid) out.push_back({fields[0], *uid, *gid, fields[5]});
  }
  return out;
}

std::vector<GroupLine> parse_group(std::string_view text) {
  std::vector<GroupLine> out;
  for (std::string_view line : split(text, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() < 3) continue;
    if (auto gid = parse_number<uint32_t>(fields[2])) out.push_back({fields[0], *gid, fields.size() > 3 ? fields[3] : std::string_view()});
  }
  return out;
}

std::unexpected<Error> config_error(std::string message) {
  return failed(reason::create_container_config, Code::invalid, std::move(message));
}

Result<uint32_t> id_of(int64_t value, std::string_view what) {
  if (value < 0 || value > INT32_MAX) return config_error(std::string(what) + " " + std::to_string(value) + " is out of range");
  return uint32_t(value);
}

}  // namespace

Result<Identity> resolve_user(const User& user, std::string_view image_user, std::string_view passwd_text, std::string_view group_text) {
  const auto passwd = parse_passwd(passwd_text);
  const auto group = parse_group(group_text);
  std::string wanted(user.uid ? "" : user.user.empty() ? image_user : std::string_view(user.user));
  if (user.uid) wanted = std::to_string(TRY(id_of(*user.uid, "user id")));
  auto [name, group_name] = split_once(wanted, ':');

  Identity out;
  std::string_view login;
  auto numeric = parse_number<uint32_t>(name);
  auto entry = std::find_if(passwd.begin(), passwd.end(), [&](const PasswdLine& line) { return !name.empty() && line.name == name; });
  if (name.empty()) numeric = 0;
  if (entry == passwd.end() && numeric)
    entry = std::find_if(passwd.begin(), passwd.end(), [&](const PasswdLine& line) { return line.uid == *numeric; });
  if (entry != passwd.end()) {
    out.uid = entry->uid;
    out.gid = entry->gid;
    login = entry->name;
    if (!entry->home.empty()) out.home = entry->home;
  } else if (numeric) {
    out.uid = *numeric;
  } else if (!name.empty()) {
    return config_error("unable to find user " + std::string(name) + ": no matching entries in passwd file");
  }
  if (group_name && !group_name->empty()) {
    auto line = std::find_if(group.begin(), group.end(), [&](const GroupLine& g) { return g.name == *group_name; });
    auto number = parse_number<uint32_t>(*group_name);
    if (line != group.end()) out.gid = line->gid;
    else if (number) out.gid = *number;
    else return config_error("unable to find group " + std::string(*group_name) + ": no matching entries in group file");
  }
  if (user.gid) out.gid = TRY(id_of(*user.gid, "group id"));
  if (user.must_not_be_root && out.uid == 0) {
    return config_error(user.uid ? "container's runAsUser breaks non-root policy"
                                 : "container has runAsNonRoot and image will run as root");
  }
  if (user.groups_from_image && !login.empty()) {
    for (const auto& line : group) {
      auto members = split(line.members, ',');
      if (std::find(members.begin(), members.end(), login) != members.end()) out.groups.push_back(line.gid);
    }
  }
  for (int64_t gid : user.groups) out.groups.push_back(TRY(id_of(gid, "supplementary group id")));
  // With the primary group: whoever loses it by setgid(2) must not lose what is denied to it (CVE-2022-36109).
  out.groups.push_back(out.gid);
  std::sort(out.groups.begin(), out.groups.end());
  out.groups.erase(std::unique(out.groups.begin(), out.groups.end()), out.groups.end());
  return out;
}

}  // namespace estiba::engine
