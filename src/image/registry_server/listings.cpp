// Lists: repositories, tags, referrers.
#include <algorithm>

#include "base/strings.h"
#include "image/registry_server/manifest_facts.h"
#include "image/registry_server/server.h"
#include "model/json.h"

namespace estiba::image {
namespace {

struct Page {
  size_t count = SIZE_MAX;
  std::string last;
  bool invalid = false;
};

Page page_of(const io::Query& query) {
  Page out;
  out.last = query.get("last");
  if (!query.has("n")) return out;
  auto count = parse_number<uint32_t>(query.get("n"));
  out.invalid = !count;
  out.count = count.value_or(0);
  return out;
}

/// Keeps the page of a sorted list; whether more follow.
bool cut(std::vector<std::string>& list, const Page& page) {
  if (!page.last.empty()) list.erase(list.begin(), std::upper_bound(list.begin(), list.end(), page.last));
  if (list.size() <= page.count) return false;
  list.resize(page.count);
  return true;
}

void send_list(io::Response& response, std::string_view head, std::string_view path, std::vector<std::string> list, const Page& page) {
  if (page.invalid) return send(response, {400, "PAGINATION_NUMBER_INVALID", "n: a number that is not negative is expected"});
  const bool more = cut(list, page);
  io::Headers headers{{"Content-Type", "application/json"}};
  if (more && !list.empty()) {
    io::Query next;
    next.add("n", std::to_string(page.count));
    next.add("last", list.back());
    headers.add("Link", "<" + std::string(path) + "?" + next.encode() + ">; rel=\"next\"");
  }
  std::string body(head);
  body += '[';
  for (size_t i = 0; i < list.size(); ++i) {
    if (i) body += ',';
    json::append_string(body, list[i]);
  }
  body += "]}\n";
  response.send(200, std::move(headers), std::move(body));
}

void merge(std::vector<std::string>& list, std::vector<std::string> more) {
  list.insert(list.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

}  // namespace

Task<void> RegistryServer::catalog(Call call) {
  auto names = co_await pool_.run([this, hosts = call.hosts]() -> Result<std::vector<std::string>> {
    auto out = TRY(repositories_.names());
    if (options_.images) merge(out, TRY(images_.repositories(hosts)));
    return out;
  });
  if (!names) co_return co_await refuse(call.response, std::move(names.error()));
  send_list(call.response, "{\"repositories\":", "/v2/_catalog", std::move(*names), page_of(call.request.query));
}

Task<void> RegistryServer::tags(Call call) {
  const std::string& repository = call.route.repository;
  auto list = co_await pool_.run([this, hosts = call.hosts, repository]() -> Result<std::optional<std::vector<std::string>>> {
    auto out = TRY(repositories_.tags(repository));
    if (options_.images) merge(out, TRY(images_.tags(hosts, repository)));
    if (out.empty() && !repositories_.exists(repository)) return std::nullopt;
    return out;
  });
  if (!list) co_return co_await refuse(call.response, std::move(list.error()));
  if (!*list) co_return send(call.response, {404, "NAME_UNKNOWN", "there is no repository " + repository});
  std::string head = "{\"name\":";
  json::append_string(head, repository);
  head += ",\"tags\":";
  send_list(call.response, head, "/v2/" + repository + "/tags/list", std::move(**list), page_of(call.request.query));
}

namespace {

json::Node& referrer(json::Document& doc, const std::string& digest, size_t size, const ManifestFacts& facts) {
  json::Node& node = doc.make_object();
  doc.set(node, "mediaType", facts.media_type);
  doc.set(node, "digest", digest);
  doc.set(node, "size", doc.make_int(int64_t(size)));
  if (!facts.artifact_type.empty()) doc.set(node, "artifactType", facts.artifact_type);
  if (!facts.annotations.empty()) {
    json::Node& annotations = doc.set(node, "annotations", doc.make_object());
    for (const auto& [key, value] : facts.annotations) doc.set(annotations, key, value);
  }
  return node;
}

bool listed(const json::Node& list, std::string_view digest) {
  for (const auto& node : list)
    if (node.string_at("digest") == digest) return true;
  return false;
}

/// The index of what refers to `subject`. Clients that found no referrers API here kept such an index under a tag
/// ("Referrers Tag Schema"); what it lists and is still here counts as well.
Result<std::string> referrers_index(Store& store, const Repositories& repositories, const std::string& repository,
                                    const std::string& subject, const std::string& type) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "schemaVersion", doc.make_int(2));
  doc.set(root, "mediaType", media::oci_index);
  json::Node& list = doc.set(root, "manifests", doc.make_array());
  auto wanted = [&](std::string_view kind) { return type.empty() || kind == type; };
  for (const auto& digest : TRY(repositories.referrers(repository, subject))) {
    if (!repositories.manifest_type(repository, digest)) continue;
    auto text = store.read_blob(digest);
    auto facts = text ? read_manifest_facts(*text, "") : std::unexpected(text.error());
    if (facts && wanted(facts->artifact_type)) doc.append(list, referrer(doc, digest, text->size(), *facts));
  }
  auto tagged = repositories.tag(repository, "sha256-" + std::string(hex_of(subject)));
  auto text = tagged ? store.read_blob(*tagged) : std::unexpected(Error{});
  auto old = text ? json::Document::parse(*text, {.max_depth = 64}) : std::unexpected(Error{});
  if (old) {
    if (const json::Node* manifests = old->root().find("manifests"))
      for (const auto& node : *manifests) {
        std::string_view digest = node.string_at("digest");
        if (wanted(node.string_at("artifactType")) && valid_digest(digest) && !listed(list, digest) &&
            repositories.manifest_type(repository, digest))
          doc.append(list, doc.copy(node));
      }
  }
  return json::print(root);
}

}  // namespace

Task<void> RegistryServer::referrers(Call call) {
  const std::string type(call.request.query.get("artifactType"));
  auto body = co_await pool_.run([this, repository = call.route.repository, subject = call.route.last, type] {
    return referrers_index(*store_, repositories_, repository, subject, type);
  });
  if (!body) co_return co_await refuse(call.response, std::move(body.error()));
  io::Headers headers{{"Content-Type", std::string(media::oci_index)}};
  if (!type.empty()) headers.add("OCI-Filters-Applied", "artifactType");
  call.response.send(200, std::move(headers), std::move(*body));
}

}  // namespace estiba::image
