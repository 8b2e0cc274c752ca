#include "network/cni/config.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/strings.h"
#include "model/json.h"
#include "os/file.h"

namespace estiba::network::cni {

namespace {

// Oldest first; "1.1.0" is the latest of the specification.
constexpr std::array<std::string_view, 7> versions = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

size_t place_of(std::string_view version) { return size_t(std::ranges::find(versions, version) - versions.begin()); }

// CNI specification 1.1, section 1: what a network's name must be like.
bool is_name(std::string_view text) {
  if (text.empty() || !std::isalnum(static_cast<unsigned char>(text[0]))) return false;
  return std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '-'; });
}

Result<std::string> version_of(const json::Node& root) {
  std::string version(root.string_at("cniVersion"));
  // Of several (1.1) the latest that is known; who knows of them leaves cniVersion to those who don't.
  if (const json::Node* several = root.find("cniVersions"))
    for (const json::Node& other : *several)
      if (place_of(other.as_string()) < versions.size() &&
          (version.empty() || place_of(version) == versions.size() || place_of(other.as_string()) > place_of(version)))
        version = other.as_string();
  if (version.empty()) version = versions[0];
  if (place_of(version) == versions.size())
    return fail(Code::unsupported, "cniVersion " + quoted(version) + " is not supported; " + std::string(versions[0]) + " to " +
                                       std::string(versions.back()) + " are");
  return version;
}

Result<Plugin> plugin_of(const json::Node& node, const std::string& field) {
  if (!node.is_object()) return fail(Code::invalid, field + " must be an object");
  Plugin plugin{.type = std::string(node.string_at("type")), .text = json::print(node), .capabilities = {}};
  if (plugin.type.empty()) return fail(Code::invalid, field + ".type: the plugin's name is missing");
  if (plugin.type.contains('/')) return fail(Code::invalid, field + ".type must be a file's name, not the path " + quoted(plugin.type));
  if (const json::Node* capabilities = node.find("capabilities"))
    for (const json::Node& capability : *capabilities)
      if (capability.as_bool()) plugin.capabilities.emplace(capability.key());
  return plugin;
}

Result<NetworkList> list_of(std::string text) {
  const json::Document parsed = TRY(json::Document::parse(text, {.allow_duplicate_keys = true}));
  const json::Node& root = parsed.root();
  if (!root.is_object()) return fail(Code::invalid, "it must be a JSON object");
  NetworkList list;
  list.name = root.string_at("name");
  if (!is_name(list.name))
    return fail(Code::invalid,
                "name must be letters, digits, '_', '.' and '-', beginning with a letter or digit, not " + quoted(list.name));
  list.version = TRY(version_of(root));
  const auto is_off = [&](std::string_view key) {
    const json::Node* flag = root.find(key);
    return flag && (flag->as_bool() || flag->as_string() == "true");
  };
  list.check = !is_off("disableCheck") && list.speaks("0.4.0");
  list.gc = !is_off("disableGC") && list.speaks("1.1.0");
  if (const json::Node* plugins = root.find("plugins")) {
    if (!plugins->is_array() || plugins->empty()) return fail(Code::invalid, "plugins must be a list of one or more");
    for (uint32_t i = 0; i < plugins->size(); ++i)
      list.plugins.push_back(TRY(plugin_of((*plugins)[i], "plugins[" + std::to_string(i) + "]")));
  } else {
    Plugin alone = TRY(plugin_of(root, "it"));
    list.plugins.push_back(std::move(alone));
  }
  list.text = std::move(text);
  return list;
}

}  // namespace

bool NetworkList::speaks(std::string_view least) const { return place_of(version) >= place_of(least); }

bool NetworkList::has_capability(std::string_view name) const {
  return std::ranges::any_of(plugins, [&](const Plugin& plugin) { return plugin.capabilities.contains(name); });
}

Result<NetworkList> parse_list(std::string text, const std::string& file) {
  NetworkList list = TRY_AS(file, list_of(std::move(text)));
  list.file = file;
  return list;
}

Result<NetworkList> load_list(const std::string& folder) {
  std::vector<std::string> names;
  auto entries = os::list_dir(folder);
  if (!entries && entries.error().code != Code::not_found) return std::unexpected(std::move(entries.error()));
  if (entries)
    for (const os::DirEntry& entry : *entries)
      for (const std::string_view ending : {".conf", ".conflist", ".json"})
        if (entry.name.ends_with(ending)) names.push_back(entry.name);
  std::ranges::sort(names);
  std::string wrong;
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    auto text = os::read_file(path);
    auto list = text ? parse_list(std::move(*text), path) : Result<NetworkList>(std::unexpected(std::move(text.error())));
    if (list) return list;
    wrong += (wrong.empty() ? ": " : "; ") + list.error().message;
  }
  return fail(Code::unavailable, "no CNI configuration can be used in " + folder + wrong);
}

}  // namespace estiba::network::cni
