#include <limits.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.h"
#include "cli/docker/container_options.h"

namespace estiba::cli::docker {

namespace {

// An absolute path without "." and "..", of one that may be relative to the working directory.
std::string absolute(std::string_view path) {
  std::string whole(path);
  char here[PATH_MAX];
  if (!path.starts_with('/') && getcwd(here, sizeof here)) whole = std::string(here) + "/" + whole;
  std::vector<std::string> parts;
  for (std::string_view part : split(whole, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.emplace_back(part);
    }
  }
  return "/" + join(parts, "/");
}

// The fields of a line of comma-separated values with double quotes.
Result<std::vector<std::string>> split_csv(std::string_view text) {
  std::vector<std::string> out(1);
  bool quoted_field = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted_field) {
      if (text[i] != '"') out.back() += text[i];
      else if (i + 1 < text.size() && text[i + 1] == '"') out.back() += text[i++];
      else quoted_field = false;
    } else if (text[i] == '"' && out.back().empty()) {
      quoted_field = true;
    } else if (text[i] == ',') {
      out.emplace_back();
    } else {
      out.back() += text[i];
    }
  }
  if (quoted_field) return fail(Code::invalid, "parse error: extraneous or missing \" in quoted-field");
  return out;
}

Result<bool> truth(std::string_view key, std::optional<std::string_view> value) {
  if (!value) return true;
  auto out = parse_bool(*value);
  if (!out) return fail(Code::invalid, "invalid value for " + std::string(key) + ": " + std::string(*value));
  return out;
}

Result<void> add_mount_option(Object mount, const std::string& key, std::optional<std::string_view> value, std::string_view field) {
  const std::string_view text = value.value_or("");
  if (key == "readonly" || key == "ro") {
    mount.set("ReadOnly", TRY(truth(key, value)));
    return {};
  }
  if (key == "volume-nocopy") {
    mount.object("VolumeOptions").set("NoCopy", TRY(truth(key, value)));
    return {};
  }
  if (key == "bind-nonrecursive") {
    mount.object("BindOptions").set("NonRecursive", TRY(truth(key, value)));
    return {};
  }
  if (!value) return fail(Code::invalid, "invalid field '" + std::string(field) + "' must be a key=value pair");
  if (key == "type") {
    mount.set("Type", to_lower(text));
  } else if (key == "source" || key == "src") {
    mount.set("Source", text.starts_with('.') ? absolute(text) : std::string(text));
  } else if (key == "target" || key == "dst" || key == "destination") {
    mount.set("Target", text);
  } else if (key == "consistency") {
    mount.set("Consistency", to_lower(text));
  } else if (key == "bind-propagation") {
    mount.object("BindOptions").set("Propagation", to_lower(text));
  } else if (key == "bind-recursive") {
    Object bind = mount.object("BindOptions");
    if (text == "disabled") bind.set("NonRecursive", true);
    else if (text == "writable") bind.set("ReadOnlyNonRecursive", true);
    else if (text == "readonly") bind.set("ReadOnlyForceRecursive", true);
    else if (text != "enabled")
      return fail(Code::invalid, "invalid value for bind-recursive: " + std::string(text) +
                                     " (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")");
  } else if (key == "volume-subpath") {
    mount.object("VolumeOptions").set("Subpath", text);
  } else if (key == "image-subpath") {
    mount.object("ImageOptions").set("Subpath", text);
  } else if (key == "volume-label") {
    auto [name, label] = split_once(text, '=');
    mount.object("VolumeOptions").object("Labels").set(name, label.value_or(""));
  } else if (key == "volume-driver") {
    mount.object("VolumeOptions").object("DriverConfig").set("Name", text);
  } else if (key == "volume-opt") {
    auto [name, option] = split_once(text, '=');
    mount.object("VolumeOptions").object("DriverConfig").object("Options").set(name, option.value_or(""));
  } else if (key == "tmpfs-size") {
    auto bytes = parse_bytes(text);
    if (!bytes) return fail(Code::invalid, "invalid value for " + key + ": " + std::string(text));
    mount.object("TmpfsOptions").set("SizeBytes", *bytes);
  } else if (key == "tmpfs-mode") {
    auto mode = parse_number<uint32_t>(text, 8);
    if (!mode) return fail(Code::invalid, "invalid value for " + key + ": " + std::string(text));
    mount.object("TmpfsOptions").set("Mode", *mode);
  } else {
    return fail(Code::invalid, "unknown option '" + key + "' in '" + std::string(field) + "'");
  }
  return {};
}

}  // namespace

Result<void> add_mount(std::string_view spec, Object host) {
  Object mount = host.append("Mounts");
  for (const std::string& field : TRY(split_csv(spec))) {
    auto [name, value] = split_once(field, '=');
    TRY(add_mount_option(mount, to_lower(name), value, field));
  }
  const json::Node& made = mount.node();
  if (made.string_at("Type").empty()) mount.set("Type", "volume");
  if (made.string_at("Target").empty())
    return fail(Code::invalid, "invalid argument " + quoted(spec) + " for \"--mount\" flag: target is required");
  const std::string type(made.string_at("Type"));
  auto only = [&](const char* options, const char* wanted) -> Result<void> {
    if (made.find(options) && type != wanted)
      return fail(Code::invalid, "cannot mix '" + std::string(wanted) + "-*' options with mount type '" + type + "'");
    return {};
  };
  TRY(only("VolumeOptions", "volume"));
  TRY(only("BindOptions", "bind"));
  return only("TmpfsOptions", "tmpfs");
}

Result<void> add_volume(std::string_view spec, Object config, Object host) {
  if (spec.empty()) return fail(Code::invalid, "invalid empty volume spec");
  auto [source, rest] = split_once(spec, ':');
  if (!rest) {
    config.object("Volumes").object(spec);
    return {};
  }
  if (rest->empty() || source.empty()) return fail(Code::invalid, "invalid volume specification: '" + std::string(spec) + "'");
  std::string bind(spec);
  if (source.starts_with('.')) bind = absolute(source) + ":" + std::string(*rest);
  host.append("Binds", bind);
  return {};
}

}  // namespace estiba::cli::docker
