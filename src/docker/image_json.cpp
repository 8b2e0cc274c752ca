#include "docker/image_json.h"

#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "image/reference.h"

namespace estiba::docker {

std::unexpected<Error> no_such_image(std::string_view name) {
  auto parsed = image::parse_reference(name);
  return fail(Code::not_found, "No such image: " + (parsed ? parsed->familiar() : std::string(name)));
}

Result<image::Record> find_image(image::Store& store, std::string_view name) {
  auto record = store.find_short(name);
  if (!record && record.error().code != Code::invalid) return std::unexpected(std::move(record.error()));
  if (!record) return fail(Code::invalid, "invalid reference format: " + record.error().message);
  if (!*record) return no_such_image(name);
  return std::move(**record);
}

Result<image::Reference> parse_name(std::string_view text) {
  auto parsed = image::parse_reference(text);
  if (!parsed) return fail(Code::invalid, "invalid reference format: " + parsed.error().message);
  return parsed;
}

FamiliarNames familiar_names(const image::Record& record) {
  FamiliarNames out;
  auto familiar = [](const std::string& name) {
    auto parsed = image::parse_reference(name);
    return parsed ? parsed->familiar() : name;
  };
  for (const auto& tag : record.tags) out.tags.push_back(familiar(tag));
  for (const auto& digest : record.digests) out.digests.push_back(familiar(digest));
  return out;
}

int64_t unix_seconds(std::string_view rfc3339) {
  auto time = parse_rfc3339(rfc3339);
  return time ? std::chrono::duration_cast<std::chrono::seconds>(time->time_since_epoch()).count() : 0;
}

namespace {

void put_list_or_null(JsonWriter& out, std::string_view key, const std::vector<std::string>& list) {
  if (list.empty()) out.put_null(key);
  else out.put_list(key, list);
}

void put_set(JsonWriter& out, std::string_view key, const std::vector<std::string>& items) {
  out.object(key);
  for (const auto& item : items) out.object(item).end();
  out.end();
}

void put_health_check(JsonWriter& out, const image::HealthCheck& check) {
  out.object("Healthcheck").put_list("Test", check.test);
  auto number = [&](std::string_view key, int64_t value) {
    if (value) out.put(key, value);
  };
  number("Interval", check.interval);
  number("Timeout", check.timeout);
  number("StartPeriod", check.start_period);
  number("StartInterval", check.start_interval);
  number("Retries", check.retries);
  out.end();
}

}  // namespace

std::string image_config_json(const image::Config& config, int minor) {
  JsonWriter out;
  out.object();
  const bool old = minor < 50;  // fields that mean nothing for an image
  if (old) {
    out.put("Hostname", config.hostname).put("Domainname", config.domainname);
    out.put("AttachStdin", false).put("AttachStdout", false).put("AttachStderr", false);
    out.put("Tty", false).put("OpenStdin", false).put("StdinOnce", false).put("Image", "");
  }
  out.put("User", config.user);
  if (!config.exposed_ports.empty()) put_set(out, "ExposedPorts", config.exposed_ports);
  put_list_or_null(out, "Env", config.env);
  put_list_or_null(out, "Cmd", config.cmd);
  if (config.health_check) put_health_check(out, *config.health_check);
  if (config.args_escaped) out.put("ArgsEscaped", true);
  if (config.volumes.empty()) out.put_null("Volumes");
  else put_set(out, "Volumes", config.volumes);
  out.put("WorkingDir", config.working_dir);
  put_list_or_null(out, "Entrypoint", config.entrypoint);
  put_list_or_null(out, "OnBuild", config.on_build);
  if (config.labels.empty()) out.put_null("Labels");
  else out.put_map("Labels", config.labels);
  if (!config.stop_signal.empty()) out.put("StopSignal", config.stop_signal);
  if (config.stop_timeout) out.put("StopTimeout", *config.stop_timeout);
  if (!config.shell.empty()) out.put_list("Shell", config.shell);
  return out.end().take();
}

Result<std::string> inspect_image(image::Store& store, const image::Record& record, int minor) {
  auto config = TRY(store.config(record.id));
  uint64_t size = TRY(store.unpacked_size(*config));
  FamiliarNames names = familiar_names(record);
  JsonWriter out;
  out.object().put("Id", record.id).put_list("RepoTags", names.tags).put_list("RepoDigests", names.digests);
  out.put("Parent", "")
      .put("Comment", config->comment.empty() && !config->history.empty() ? config->history.back().comment : config->comment);
  if (!config->created.empty()) out.put("Created", config->created);
  const std::string settings = image_config_json(*config, minor);
  if (minor < 45) out.put("Container", "").put_raw("ContainerConfig", image_config_json({}, minor));
  out.put("DockerVersion", "").put("Author", config->author).put_raw("Config", settings);
  out.put("Architecture", config->platform.architecture);
  if (!config->platform.variant.empty()) out.put("Variant", config->platform.variant);
  out.put("Os", config->platform.os);
  if (!config->os_version.empty()) out.put("OsVersion", config->os_version);
  out.put("Size", size);
  if (minor < 44) out.put("VirtualSize", size);
  auto layers = store.layer_paths(*config);
  std::reverse(layers.begin(), layers.end());
  out.object("GraphDriver").object("Data");
  if (!layers.empty()) out.put("UpperDir", layers[0]);
  if (layers.size() > 1) out.put("LowerDir", join({layers.begin() + 1, layers.end()}, ":"));
  out.end().put("Name", "overlay2").end();
  out.object("RootFS").put("Type", "layers");
  if (!config->diff_ids.empty()) out.put_list("Layers", config->diff_ids);
  out.end();
  out.object("Metadata").put("LastTagTime", record.tagged.empty() ? "0001-01-01T00:00:00Z" : record.tagged).end();
  return out.end().take();
}

Result<std::string> image_history(image::Store& store, const image::Record& record) {
  auto config = TRY(store.config(record.id));
  struct Step {
    image::HistoryEntry entry;
    uint64_t size = 0;
  };
  std::vector<Step> steps;
  std::string chain;
  size_t layer = 0;
  auto next_layer = [&]() -> Result<uint64_t> {
    if (layer >= config->diff_ids.size()) return 0;
    return store.layer_size(chain = image::chain_id(chain, config->diff_ids[layer++]));
  };
  for (const auto& entry : config->history) {
    Step step{entry, 0};
    if (!entry.empty_layer) step.size = TRY(next_layer());
    steps.push_back(std::move(step));
  }
  // Layers that the history does not tell of (a plain root file system).
  while (layer < config->diff_ids.size()) {
    image::HistoryEntry entry{.created = config->created, .comment = config->comment};
    steps.push_back({std::move(entry), TRY(next_layer())});
  }
  FamiliarNames names = familiar_names(record);
  JsonWriter out;
  out.array();
  for (size_t i = steps.size(); i-- > 0;) {
    const bool top = i + 1 == steps.size();
    out.object().put("Id", top ? record.id : "<missing>").put("Created", unix_seconds(steps[i].entry.created));
    out.put("CreatedBy", steps[i].entry.created_by);
    if (top && !names.tags.empty()) out.put_list("Tags", names.tags);
    else out.put_null("Tags");
    out.put("Size", steps[i].size).put("Comment", steps[i].entry.comment).end();
  }
  return out.end().take();
}

Result<void> put_image_summary(JsonWriter& out, image::Store& store, const image::Record& record, int minor, int64_t containers,
                               int64_t shared) {
  auto config = TRY(store.config(record.id));
  uint64_t size = TRY(store.unpacked_size(*config));
  FamiliarNames names = familiar_names(record);
  if (minor < 43 && names.tags.empty() && names.digests.empty()) {  // what old clients know a nameless image by
    names.tags = {"<none>:<none>"};
    names.digests = {"<none>@<none>"};
  }
  out.object().put("Id", record.id).put("ParentId", "").put_list("RepoTags", names.tags).put_list("RepoDigests", names.digests);
  out.put("Created", unix_seconds(config->created)).put("Size", size).put("SharedSize", shared);
  if (minor < 44) out.put("VirtualSize", size);
  if (config->labels.empty()) out.put_null("Labels");
  else out.put_map("Labels", config->labels);
  out.put("Containers", containers).end();
  return {};
}

}  // namespace estiba::docker
