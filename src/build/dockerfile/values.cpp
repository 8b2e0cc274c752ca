// The small languages inside instructions: mounts, durations, sizes.
#include <array>
#include <cmath>

#include "base/strings.h"
#include "build/dockerfile/instruction.h"

namespace estiba::build {
namespace {

/// A line of CSV, as Docker's flags are: fields in double quotes may hold commas.
Result<std::vector<std::string>> csv_fields(std::string_view text) {
  std::vector<std::string> out(1);
  bool quote = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"') {
      if (quote && i + 1 < text.size() && text[i + 1] == '"') out.back() += text[i++];
      else quote = !quote;
    } else if (c == ',' && !quote) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  if (quote) return fail(Code::malformed, "a closing \" is missing in " + quoted(text));
  return out;
}

constexpr std::array<std::string_view, 5> mount_types = {"bind", "cache", "tmpfs", "secret", "ssh"};
const std::vector<std::string_view> mount_keys = {"type",     "target", "dst",  "destination", "source", "src",     "from",
                                                  "readonly", "ro",     "rw",   "readwrite",   "id",     "sharing", "mode",
                                                  "uid",      "gid",    "size", "required",    "env"};

Result<bool> truth(std::string_view key, std::optional<std::string_view> value) {
  if (!value) return true;
  std::string text = to_lower(*value);
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return fail(Code::invalid, "invalid value for " + std::string(key) + ": " + quoted(*value) + ": it is true or false");
}

Result<uint32_t> number(std::string_view key, std::string_view value, int base) {
  auto parsed = parse_number<uint32_t>(value, base);
  if (!parsed)
    return fail(Code::invalid, "invalid value " + quoted(value) + " for " + std::string(key) + ": a number" +
                                   (base == 8 ? " in octal" : "") + " is expected");
  return *parsed;
}

Result<void> set_key(RunMount& mount, const std::string& key, std::optional<std::string_view> value, std::optional<bool>& readonly) {
  if (key == "readonly" || key == "ro") {
    readonly = TRY(truth(key, value));
    return {};
  }
  if (key == "rw" || key == "readwrite") {
    readonly = !TRY(truth(key, value));
    return {};
  }
  if (key == "required") {
    mount.required = TRY(truth(key, value));
    return {};
  }
  if (std::find(mount_keys.begin(), mount_keys.end(), key) == mount_keys.end())
    return fail(Code::invalid, "unexpected key '" + key + "'" + did_you_mean(key, mount_keys));
  if (!value) return fail(Code::invalid, "invalid field '" + key + "' must be a key=value pair");
  std::string text(*value);
  if (key == "type") return {};
  if (key == "target" || key == "dst" || key == "destination") mount.target = text;
  if (key == "source" || key == "src") mount.source = text;
  if (key == "from") mount.from = text;
  if (key == "id") mount.id = text;
  if (key == "env") mount.env = text;
  if (key == "mode") mount.mode = TRY(number(key, text, 8));
  if (key == "uid") mount.uid = TRY(number(key, text, 10));
  if (key == "gid") mount.gid = TRY(number(key, text, 10));
  if (key == "size") mount.size = TRY(parse_byte_size(text));
  if (key == "sharing") {
    if (text == "shared") mount.sharing = RunMount::Sharing::shared;
    else if (text == "private") mount.sharing = RunMount::Sharing::exclusive;
    else if (text == "locked") mount.sharing = RunMount::Sharing::locked;
    else return fail(Code::invalid, "unsupported sharing value " + quoted(text) + ": it is shared, private or locked");
  }
  return {};
}

Result<void> check_mount(RunMount& mount, std::optional<bool> readonly) {
  using Type = RunMount::Type;
  const std::string type(mount_types[size_t(mount.type)]);
  mount.readonly = readonly.value_or(mount.type == Type::bind || mount.type == Type::secret);
  if (mount.mode && *mount.mode > 07777) return fail(Code::invalid, "invalid mode: at most 7777 is allowed");
  if (mount.target.find('\0') != std::string::npos) return fail(Code::invalid, "the target has a NUL byte");
  if (mount.target.empty() && (mount.type == Type::bind || mount.type == Type::cache || mount.type == Type::tmpfs))
    return fail(Code::invalid, "target is required for a mount of type " + type);
  if (mount.size != 0 && mount.type != Type::tmpfs) return fail(Code::invalid, "size is for mounts of type tmpfs");
  if (!mount.env.empty() && mount.type != Type::secret) return fail(Code::invalid, "env is for mounts of type secret");
  if (mount.required && mount.type != Type::secret && mount.type != Type::ssh)
    return fail(Code::invalid, "required is for mounts of type secret and ssh");
  if (!mount.from.empty() && mount.type != Type::bind && mount.type != Type::cache)
    return fail(Code::invalid, "from is for mounts of type bind and cache");
  if (mount.type == Type::secret && mount.id.empty() && mount.source.empty() && mount.target.empty())
    return fail(Code::invalid, "a secret mount needs id= or target=");
  return {};
}

}  // namespace

Result<RunMount> parse_run_mount(std::string_view value) {
  RunMount out;
  auto fields = TRY(csv_fields(value));
  std::optional<bool> readonly;
  for (const std::string& field : fields) {
    auto [key, text] = split_once(field, '=');
    if (to_lower(key) != "type") continue;
    std::string type = to_lower(text.value_or(""));
    auto it = std::find(mount_types.begin(), mount_types.end(), type);
    if (it == mount_types.end())
      return fail(Code::invalid, "unsupported mount type " + quoted(type) + did_you_mean(type, {mount_types.begin(), mount_types.end()}));
    out.type = RunMount::Type(it - mount_types.begin());
  }
  for (const std::string& field : fields) {
    auto [key, text] = split_once(field, '=');
    TRY(set_key(out, to_lower(key), text, readonly));
  }
  TRY(check_mount(out, readonly));
  return out;
}

Result<uint64_t> parse_byte_size(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && ((text[digits] >= '0' && text[digits] <= '9') || text[digits] == '.')) ++digits;
  std::string unit = to_lower(trim(text.substr(digits)));
  if (unit.ends_with("ib")) unit.resize(unit.size() - 2);
  else if (unit.size() > 1 && unit.ends_with('b')) unit.pop_back();
  static constexpr std::string_view units = "bkmgtp";
  size_t power = unit.empty() ? 0 : unit.size() == 1 ? units.find(unit[0]) : units.npos;
  if (digits == 0 || digits > 18 || power == units.npos)
    return fail(Code::invalid, "invalid size: " + quoted(text) + ": a number with b, k, m or g is expected");
  long double number = std::strtold(std::string(text.substr(0, digits)).c_str(), nullptr) * std::pow(1024.0L, (long double)(power));
  if (number > 9e18L) return fail(Code::invalid, "invalid size: " + quoted(text) + " is too large");
  return uint64_t(number);
}

}  // namespace estiba::build
