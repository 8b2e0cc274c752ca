#include "image/registry_server/shared_images.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "image/reference.h"

namespace estiba::image {
namespace {

/// Adds the tags that `record` has in repository `name` ("localhost:5000/team/app").
void collect_tags(const Record& record, const std::string& name, std::vector<std::string>& out) {
  for (const auto& tag : record.tags) {
    auto ref = parse_reference(tag);
    if (ref && ref->name() == name && std::find(out.begin(), out.end(), ref->tag) == out.end()) out.push_back(ref->tag);
  }
}

/// docker.io/library/nginx for "nginx".
std::optional<std::string> hub_name(std::string_view repository) {
  auto ref = parse_reference("docker.io/" + std::string(repository));
  if (!ref) return std::nullopt;
  return ref->name();
}

bool loopback(std::string_view host) {
  return host == "localhost" || host == "[::1]" || (host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos);
}

}  // namespace

std::vector<std::string> SharedImages::hosts(std::string_view header) const {
  std::vector<std::string> out;
  const std::string port = ":" + std::to_string(port_);
  if (header.ends_with(port) && loopback(header.substr(0, header.size() - port.size()))) out.emplace_back(header);
  for (const auto& name : names_)
    if (name != header || out.empty()) out.push_back(name);
  return out;
}

Result<std::optional<std::string>> SharedImages::manifest(const std::vector<std::string>& hosts, std::string_view ns,
                                                          std::string_view repository, std::string_view tag) {
  std::vector<std::string> names;
  for (const auto& host : hosts) names.push_back(host + "/" + std::string(repository));
  if (!ns.empty()) names.push_back(std::string(ns) + "/" + std::string(repository));
  else if (auto hub = hub_name(repository)) names.push_back(*hub);
  for (const auto& name : names) {
    auto ref = parse_reference(name + ":" + std::string(tag));
    if (!ref) continue;
    if (auto record = TRY(store_.find(ref->key()))) return record->manifest;
  }
  return std::nullopt;
}

Result<std::vector<std::string>> SharedImages::tags(const std::vector<std::string>& hosts, std::string_view repository) {
  std::vector<std::string> out;
  for (const auto& record : TRY(store_.list())) {
    for (const auto& host : hosts) collect_tags(record, host + "/" + std::string(repository), out);
    if (auto hub = hub_name(repository)) collect_tags(record, *hub, out);
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::vector<std::string>> SharedImages::repositories(const std::vector<std::string>& hosts) {
  std::set<std::string> out;
  for (const auto& record : TRY(store_.list())) {
    for (const auto& tag : record.tags) {
      auto ref = parse_reference(tag);
      if (!ref) continue;
      std::string name = ref->repository;
      if (ref->registry == "docker.io") {
        if (name.starts_with("library/")) name.erase(0, 8);
      } else if (std::find(hosts.begin(), hosts.end(), ref->registry) == hosts.end()) {
        continue;
      }
      out.insert(name);
    }
  }
  return std::vector<std::string>(out.begin(), out.end());
}

Result<std::optional<SharedImages::Usable>> SharedImages::usable(std::string_view pushed) {
  std::string digest(pushed);
  std::string text = TRY(store_.read_blob(digest));
  if (is_index(text)) {
    const Index index = TRY(parse_index(text));
    const Descriptor* ours = index.choose(host_platform());
    if (!ours || !store_.has_blob(ours->digest)) return std::nullopt;
    digest = ours->digest;
    text = TRY(store_.read_blob(digest));
  }
  Manifest manifest = TRY(parse_manifest(text));
  if (manifest.config.media_type != media::oci_config && manifest.config.media_type != "application/vnd.docker.container.image.v1+json")
    return std::nullopt;
  auto config = TRY(store_.config(manifest.config.digest));
  const Platform here = host_platform();
  if (config->platform.os != here.os || config->platform.architecture != here.architecture) return std::nullopt;
  return Usable{std::move(digest), std::move(manifest), std::move(config)};
}

Result<uint64_t> SharedImages::packed_bytes(std::string_view pushed) {
  auto image = TRY(usable(pushed));
  if (!image) return 0;
  uint64_t out = 0;
  std::string chain;
  for (size_t i = 0; i < image->manifest.layers.size() && i < image->config->diff_ids.size(); ++i) {
    chain = chain_id(chain, image->config->diff_ids[i]);
    if (!store_.has_layer(chain)) out += image->manifest.layers[i].size;
  }
  return out;
}

Result<void> SharedImages::enter(const std::vector<std::string>& hosts, std::string_view repository, std::string_view tag,
                                 std::string_view pushed, const std::function<bool()>& wanted) {
  auto image = TRY(usable(pushed));
  if (!image) return {};
  TRY(store_.unpack_layers(image->manifest, *image->config));
  std::lock_guard lock(naming_);
  if (!wanted()) return {};
  for (const auto& host : hosts) {
    const std::string name = host + "/" + std::string(repository);
    TRY(store_.add_image(image->digest, name + ":" + std::string(tag), name + "@" + std::string(pushed)));
  }
  return {};
}

Result<bool> SharedImages::leave(const std::vector<std::string>& hosts, std::string_view repository, std::string_view tag,
                                 std::string_view manifest) {
  bool any = false;
  std::lock_guard lock(naming_);
  for (const auto& host : hosts) {
    std::string name = host + "/" + std::string(repository);
    name += tag.empty() ? "@" + std::string(manifest) : ":" + std::string(tag);
    auto record = TRY(store_.find(name));
    if (!record || (!tag.empty() && !manifest.empty() && record->manifest != manifest)) continue;
    TRY(store_.remove(name));
    any = true;
  }
  return any;
}

Result<std::vector<std::string>> SharedImages::tags_of(const std::vector<std::string>& hosts, std::string_view repository,
                                                       std::string_view manifest) {
  std::vector<std::string> out;
  for (const auto& record : TRY(store_.list()))
    if (record.manifest == manifest)
      for (const auto& host : hosts) collect_tags(record, host + "/" + std::string(repository), out);
  return out;
}

}  // namespace estiba::image
