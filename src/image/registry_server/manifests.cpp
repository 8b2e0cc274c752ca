// Manifests and indexes, by tag and by digest.
#include "base/strings.h"
#include "image/registry_server/manifest_facts.h"
#include "image/registry_server/server.h"

namespace estiba::image {
namespace {

constexpr size_t manifest_limit = 4 << 20;

}  // namespace

/// A manifest that somebody pushes.
struct RegistryServer::Pushed {
  std::vector<std::string> hosts;
  std::string repository, reference, content_type, text;
  ManifestFacts facts{};
  std::string digest{};
};

Result<std::optional<RegistryServer::Found>> RegistryServer::find_manifest(const std::vector<std::string>& hosts, std::string_view ns,
                                                                           std::string_view repository, std::string_view reference) {
  Found out;
  if (valid_digest(reference)) {
    out.digest = reference;
  } else if (auto tagged = ns.empty() ? repositories_.tag(repository, reference) : std::nullopt) {
    out.digest = *tagged;
  } else if (options_.images) {
    auto shared = TRY(images_.manifest(hosts, ns, repository, reference));
    if (!shared) return std::nullopt;
    out.digest = *shared;
  } else {
    return std::nullopt;
  }
  auto type = repositories_.manifest_type(repository, out.digest);
  if (!store_->has_blob(out.digest) || (!type && !options_.images)) return std::nullopt;
  auto text = store_->read_blob(out.digest, manifest_limit);
  // A layer asked for as a manifest.
  if (!text && !type && text.error().code == Code::too_large) return std::nullopt;
  out.text = TRY(std::move(text));
  if (!type) {
    auto facts = read_manifest_facts(out.text, "");
    if (!facts) return std::nullopt;
    type = facts->media_type;
  }
  out.type = *type;
  return out;
}

Task<void> RegistryServer::get_manifest(Call call) {
  auto found =
      co_await pool_.run([this, hosts = call.hosts, ns = std::string(call.request.query.get("ns")), repository = call.route.repository,
                          reference = call.route.last] { return find_manifest(hosts, ns, repository, reference); });
  if (!found) co_return co_await refuse(call.response, std::move(found.error()));
  if (!*found)
    co_return send(call.response, {404, "MANIFEST_UNKNOWN", "repository " + call.route.repository + " has no manifest " + call.route.last});
  Found& manifest = **found;
  io::Headers headers{{"Content-Type", manifest.type}, {"Docker-Content-Digest", manifest.digest}, {"ETag", "\"" + manifest.digest + "\""}};
  if (call.request.headers.has_token("If-None-Match", "\"" + manifest.digest + "\"")) co_return call.response.send(304, std::move(headers));
  headers.add("Content-Length", std::to_string(manifest.text.size()));
  call.response.send(200, std::move(headers), call.request.method == "HEAD" ? std::string() : std::move(manifest.text));
}

Task<void> RegistryServer::put_manifest(Call call) {
  auto body = co_await call.request.body(manifest_limit);
  if (!body && body.error().code == Code::too_large)
    co_return send(call.response, {413, "MANIFEST_INVALID", "the manifest is larger than " + std::to_string(manifest_limit) + " bytes"});
  if (!body) co_return co_await refuse(call.response, std::move(body.error()));
  auto pushed =
      std::make_shared<Pushed>(Pushed{call.hosts, call.route.repository, call.route.last,
                                      std::string(split_once(call.request.headers.get("Content-Type"), ';').first), std::move(*body)});
  auto facts = read_manifest_facts(pushed->text, pushed->content_type);
  if (!facts) co_return send(call.response, {400, "MANIFEST_INVALID", facts.error().message});
  pushed->facts = std::move(*facts);
  pushed->digest = digest_of(pushed->text);
  if (valid_digest(pushed->reference) && pushed->reference != pushed->digest)
    co_return send(call.response, {400, "DIGEST_INVALID",
                                   "digest mismatch: the manifest has " + pushed->digest + ", but it was sent as " + pushed->reference});
  auto refusal = co_await pool_.run([this, pushed] { return store_manifest(*pushed); });
  if (!refusal) co_return co_await refuse(call.response, std::move(refusal.error()));
  if (refusal->status) co_return send(call.response, *refusal);
  io::Headers headers{{"Location", "/v2/" + pushed->repository + "/manifests/" + pushed->digest},
                      {"Docker-Content-Digest", pushed->digest}};
  if (!pushed->facts.subject.empty()) headers.add("OCI-Subject", pushed->facts.subject);
  call.response.send(201, std::move(headers));
}

Result<Refusal> RegistryServer::check_content(const Pushed& pushed) {
  for (const auto& blob : pushed.facts.blobs) {
    if (!has_blob(pushed.repository, blob.digest)) {
      if (blob.elsewhere) continue;
      return Refusal{400, "MANIFEST_BLOB_UNKNOWN",
                     "repository " + pushed.repository + " has no blob " + blob.digest + "; push it before the manifest"};
    }
    const uint64_t size = TRY(store_->blob_size(blob.digest));
    if (size != blob.size)
      return Refusal{400, "MANIFEST_INVALID",
                     "the manifest says that blob " + blob.digest + " has " + std::to_string(blob.size) + " bytes, but it has " +
                         std::to_string(size)};
  }
  return Refusal{};
}

Result<Refusal> RegistryServer::store_manifest(const Pushed& pushed) {
  const bool by_tag = !valid_digest(pushed.reference);
  {
    Fd keep = TRY(store_->adding());
    Refusal refusal = TRY(check_content(pushed));
    if (refusal.status) return refusal;
    for (const auto& blob : pushed.facts.blobs)
      if (store_->has_blob(blob.digest)) TRY(repositories_.link_blob(pushed.repository, blob.digest));
    TRY(store_->add_blob(pushed.text));
    TRY(repositories_.add_manifest(pushed.repository, pushed.digest, pushed.facts.media_type, pushed.facts.subject));
    if (by_tag) TRY(repositories_.set_tag(pushed.repository, pushed.reference, pushed.digest));
    if (by_tag && options_.images) entering_.enter(pushed.hosts, pushed.repository, pushed.reference, pushed.digest);
  }
  return Refusal{};
}

Task<void> RegistryServer::delete_manifest(Call call) {
  auto removed = co_await pool_.run([this, hosts = call.hosts, repository = call.route.repository, reference = call.route.last] {
    return remove_reference(hosts, repository, reference);
  });
  if (!removed) co_return co_await refuse(call.response, std::move(removed.error()));
  if (*removed) co_return call.response.send(202);
  auto elsewhere = co_await pool_.run(
      [this, repository = call.route.repository, reference = call.route.last] { return find_manifest({}, "", repository, reference); });
  if (elsewhere && *elsewhere)
    co_return send(call.response,
                   {405, "UNSUPPORTED", "the image " + call.route.repository + " is the engine's; remove it with 'estiba rmi'"});
  send(call.response, {404, "MANIFEST_UNKNOWN", "repository " + call.route.repository + " has no manifest " + call.route.last});
}

Result<bool> RegistryServer::remove_reference(const std::vector<std::string>& hosts, const std::string& repository,
                                              const std::string& reference) {
  bool any = false;
  if (!valid_digest(reference)) {
    any = TRY(repositories_.remove_tag(repository, reference));
    if (options_.images && TRY(images_.leave(hosts, repository, reference, ""))) any = true;
  } else {
    std::vector<std::string> tags;
    if (repositories_.manifest_type(repository, reference)) {
      std::string subject;
      if (auto text = store_->read_blob(reference))
        if (auto facts = read_manifest_facts(*text, "")) subject = facts->subject;
      tags = TRY(repositories_.remove_manifest(repository, reference, subject));
      any = true;
    }
    if (options_.images) {
      // An index's name in the store means the manifest for this machine, so a name that was pushed goes whatever it means.
      for (const auto& tag : tags) TRY(images_.leave(hosts, repository, tag, ""));
      for (const auto& tag : TRY(images_.tags_of(hosts, repository, reference)))
        if (TRY(images_.leave(hosts, repository, tag, reference))) any = true;
      if (TRY(images_.leave(hosts, repository, "", reference))) any = true;
    }
  }
  if (any) TRY(tidy(repository));
  if (any) TRY(store_->collect());
  return any;
}

Result<void> RegistryServer::tidy(const std::string& repository) {
  std::set<std::string, std::less<>> needed;
  for (const auto& digest : TRY(repositories_.manifests(repository))) {
    auto text = store_->read_blob(digest, manifest_limit);
    auto facts = text ? read_manifest_facts(*text, "") : std::unexpected(text.error());
    // Nothing is forgotten on the ground of what cannot be read.
    if (!facts) return {};
    for (const auto& blob : facts->blobs) needed.insert(blob.digest);
  }
  return repositories_.tidy(repository, needed, options_.grace);
}

}  // namespace estiba::image
