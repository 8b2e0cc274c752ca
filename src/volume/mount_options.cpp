#include "volume/mount_options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/mount.h>

#include "base/strings.h"

namespace estiba::volume {

namespace {

struct Flag {
  const char* name;
  bool clear;
  unsigned long flag;
};
// mount(8), FILESYSTEM-INDEPENDENT MOUNT OPTIONS.
constexpr Flag kFlags[] = {
    {"defaults", false, 0},
    {"ro", false, MS_RDONLY},
    {"rw", true, MS_RDONLY},
    {"nosuid", false, MS_NOSUID},
    {"suid", true, MS_NOSUID},
    {"nodev", false, MS_NODEV},
    {"dev", true, MS_NODEV},
    {"noexec", false, MS_NOEXEC},
    {"exec", true, MS_NOEXEC},
    {"sync", false, MS_SYNCHRONOUS},
    {"async", true, MS_SYNCHRONOUS},
    {"dirsync", false, MS_DIRSYNC},
    {"remount", false, MS_REMOUNT},
    {"mand", false, MS_MANDLOCK},
    {"nomand", true, MS_MANDLOCK},
    {"noatime", false, MS_NOATIME},
    {"atime", true, MS_NOATIME},
    {"nodiratime", false, MS_NODIRATIME},
    {"diratime", true, MS_NODIRATIME},
    {"relatime", false, MS_RELATIME},
    {"norelatime", true, MS_RELATIME},
    {"strictatime", false, MS_STRICTATIME},
    {"nostrictatime", true, MS_STRICTATIME},
    {"bind", false, MS_BIND},
    {"rbind", false, MS_BIND | MS_REC},
};
constexpr Flag kPropagation[] = {
    {"private", false, MS_PRIVATE}, {"rprivate", false, MS_PRIVATE | MS_REC},
    {"shared", false, MS_SHARED},   {"rshared", false, MS_SHARED | MS_REC},
    {"slave", false, MS_SLAVE},     {"rslave", false, MS_SLAVE | MS_REC},
};

const Flag* find(std::span<const Flag> table, std::string_view name) {
  for (const Flag& flag : table)
    if (flag.name == name) return &flag;
  return nullptr;
}

}  // namespace

Result<MountOptions> parse_mount_options(const std::map<std::string, std::string>& options) {
  MountOptions out;
  std::string words;
  for (const auto& [key, value] : options) {
    if (key == "type") out.type = value;
    else if (key == "device") out.device = value;
    else if (key == "o") words = value;
    else if (key == "size") return fail(Code::invalid, "quota size requested but no quota support: use type=tmpfs with o=size=" + value);
    else return fail(Code::invalid, "invalid option: " + quoted(key));
  }
  if (options.empty()) return out;
  if (out.type.empty()) return fail(Code::invalid, "missing required option: \"type\"");
  if (out.device.empty()) return fail(Code::invalid, "missing required option: \"device\"");
  std::vector<std::string> rest;
  for (std::string_view word : split(words, ',')) {
    if (word.empty()) continue;
    if (const Flag* flag = find(kFlags, word)) out.flags = flag->clear ? out.flags & ~flag->flag : out.flags | flag->flag;
    else if (const Flag* kind = find(kPropagation, word)) out.propagation = kind->flag;
    else rest.emplace_back(word);
  }
  out.data = join(rest, ",");
  return out;
}

Result<std::string> resolve_address(std::string data) {
  std::vector<std::string> words;
  for (std::string_view word : split(data, ',')) words.emplace_back(word);
  for (std::string& word : words) {
    if (!word.starts_with("addr=")) continue;
    std::string host = word.substr(5);
    addrinfo hints{}, *found = nullptr;
    if (int error = getaddrinfo(host.c_str(), nullptr, &hints, &found))
      return fail(Code::not_found, "look up " + host + ": " + gai_strerror(error));
    char text[NI_MAXHOST];
    int named = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    if (named == 0) word = std::string("addr=") + text;
  }
  return join(words, ",");
}

}  // namespace estiba::volume
