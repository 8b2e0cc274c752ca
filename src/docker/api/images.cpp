// /images/*: lists, inspection, names, removal. What moves bytes is in image_transfer.cpp.
#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "docker/api/image_common.h"
#include "docker/api/routes.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/filters.h"
#include "docker/image_delete.h"
#include "docker/image_json.h"
#include "docker/times.h"
#include "io/pool.h"

namespace estiba::docker {

std::vector<ImageHolder> image_holders(const Containers& containers) {
  std::vector<ImageHolder> out;
  for (const auto& c : containers.all()) out.push_back({c->id, c->image_id, c->running()});
  return out;
}

void publish_image(Daemon& daemon, std::string action, std::string id, std::string name, const image::Config* config) {
  std::vector<std::pair<std::string, std::string>> attributes;
  if (config)
    for (const auto& [key, value] : config->labels) attributes.emplace_back(key, value);
  attributes.emplace_back("name", std::move(name));
  daemon.events().publish("image", std::move(action), std::move(id), std::move(attributes));
}

namespace {

using Records = std::vector<image::Record>;

/// path.Match of Go: '*' and '?' within a segment.
bool glob(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (size_t i = 0;; ++i) {
      if (glob(pattern.substr(1), text.substr(i))) return true;
      if (i == text.size() || text[i] == '/') return false;
    }
  }
  if (text.empty() || (pattern[0] == '?' ? text[0] == '/' : pattern[0] != text[0])) return false;
  return glob(pattern.substr(1), text.substr(1));
}

bool matches_reference(const std::vector<std::string>& patterns, const std::string& name) {
  auto ref = image::parse_reference(name);
  if (!ref) return false;
  image::Reference bare = *ref;
  bare.tag.clear();
  bare.digest.clear();
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& p) { return glob(p, ref->familiar()) || glob(p, bare.familiar()) || glob(p, ref->text()); });
}

/// The creation time of the image that a filter names.
Result<int64_t> created_of(image::Store& store, const std::string& name) {
  auto record = TRY(find_image(store, name));
  return unix_seconds(TRY(store.config(record.id))->created);
}

/// Whether the image is listed; names that do not fit are taken out of it.
Result<bool> listed(image::Store& store, image::Record& record, const ImageListQuery& q, std::optional<bool> dangling) {
  if (record.tags.empty() && record.digests.empty() && !record.kept) return false;  // on its way out, or a pod's
  auto config = TRY(store.config(record.id));
  const int64_t created = unix_seconds(config->created);
  for (const auto& name : q.filters.get("before"))
    if (created >= TRY(created_of(store, name))) return false;
  for (const auto& name : q.filters.get("since"))
    if (created <= TRY(created_of(store, name))) return false;
  for (const auto& text : q.filters.get("until"))
    if (WallTime(std::chrono::seconds(created)) > TRY(parse_time(text, q.now))) return false;
  if (!q.filters.labels(config->labels)) return false;
  if (const auto& patterns = q.filters.get("reference"); !patterns.empty()) {
    std::erase_if(record.tags, [&](const std::string& name) { return !matches_reference(patterns, name); });
    std::erase_if(record.digests, [&](const std::string& name) { return !matches_reference(patterns, name); });
    if (record.tags.empty() && record.digests.empty()) return false;
  }
  const bool nameless = record.tags.empty() && record.digests.empty();
  return !dangling || *dangling == nameless;
}

Result<std::map<std::string, int>> layer_uses(image::Store& store, const Records& all) {
  std::map<std::string, int> out;
  for (const auto& record : all) {
    std::string chain;
    for (const auto& diff : TRY(store.config(record.id))->diff_ids) ++out[chain = image::chain_id(chain, diff)];
  }
  return out;
}

}  // namespace

Result<std::string> list_images(image::Store& store, const ImageListQuery& query) {
  const ImageListQuery& q = query;
  std::optional<bool> dangling;
  if (q.filters.has("dangling")) dangling = TRY(q.filters.flag("dangling", false));
  const Records all = TRY(store.list());
  auto uses = q.shared_size ? TRY(layer_uses(store, all)) : std::map<std::string, int>{};
  std::vector<std::pair<int64_t, image::Record>> chosen;
  for (auto record : all)
    if (TRY(listed(store, record, q, dangling)))
      chosen.emplace_back(unix_seconds(TRY(store.config(record.id))->created), std::move(record));
  std::stable_sort(chosen.begin(), chosen.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  JsonWriter out;
  out.array();
  for (const auto& [created, record] : chosen) {
    int64_t shared = q.shared_size ? 0 : -1, containers = query.count_containers ? 0 : -1;
    if (q.shared_size) {
      std::string chain;
      for (const auto& diff : TRY(store.config(record.id))->diff_ids)
        if (uses[chain = image::chain_id(chain, diff)] > 1) shared += int64_t(TRY(store.layer_size(chain)));
    }
    if (query.count_containers)
      containers = std::count_if(query.holders.begin(), query.holders.end(), [&](const ImageHolder& h) { return h.image_id == record.id; });
    TRY(put_image_summary(out, store, record, q.minor, containers, shared));
  }
  return out.end().take();
}

namespace {

Task<Result<void>> list(Daemon& daemon, ApiRequest& request, io::Response& response) {
  ImageListQuery query{.shared_size = request.flag("shared-size"), .minor = request.minor, .now = daemon.loop().wall_now()};
  query.filters =
      CO_TRY(Filters::parse(request.query("filters"), {"dangling", "label", "label!", "before", "since", "reference", "until"}));
  // Before 1.25 the name was a parameter of its own.
  if (auto name = request.query("filter"); !name.empty()) query.filters.add("reference", std::string(name));
  std::string text = CO_TRY(co_await daemon.pool().run([store = daemon.images(), query] { return list_images(*store, query); }));
  send_json(response, 200, std::move(text));
  co_return {};
}

Task<Result<void>> inspect(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto work = [store = daemon.images(), name = request.param("name"), minor = request.minor]() -> Result<std::string> {
    return inspect_image(*store, TRY(find_image(*store, name)), minor);
  };
  std::string text = CO_TRY(co_await daemon.pool().run(std::move(work)));
  send_json(response, 200, std::move(text));
  co_return {};
}

Task<Result<void>> history(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto work = [store = daemon.images(), name = request.param("name")]() -> Result<std::string> {
    return image_history(*store, TRY(find_image(*store, name)));
  };
  std::string text = CO_TRY(co_await daemon.pool().run(std::move(work)));
  send_json(response, 200, std::move(text));
  co_return {};
}

Task<Result<void>> tag(Daemon& daemon, ApiRequest& request, io::Response& response) {
  std::string repo(request.query("repo")), tag(request.query("tag"));
  auto reference = CO_TRY(parse_name(tag.empty() ? repo : repo + ":" + tag));
  if (!reference.digest.empty()) co_return fail(Code::invalid, "refusing to create a tag with a digest reference");
  auto work = [store = daemon.images(), name = request.param("name"), key = reference.key()]() -> Result<image::Record> {
    return store->tag(TRY(find_image(*store, name)).id, key);
  };
  auto record = CO_TRY(co_await daemon.pool().run(std::move(work)));
  auto config = daemon.images()->config(record.id);
  publish_image(daemon, "tag", record.id, reference.familiar(), config ? config->get() : nullptr);
  response.send(201);
  co_return {};
}

/// Content was being added while images were removed: their disk is given back when that is over.
Task<void> collect_later(Daemon* daemon) {
  for (bool done = false; !done;) {
    co_await sleep_for(std::chrono::seconds(5));
    done = co_await daemon->pool().run([store = daemon->images()] {
      bool collected = false;
      return !store->collect(&collected) || collected;
    });
  }
}

void tell_deletion(Daemon& daemon, const ImageDeletion& deletion, JsonWriter& out) {
  for (const auto& name : deletion.untagged) {
    out.object().put("Untagged", name).end();
    publish_image(daemon, "untag", deletion.image_id, deletion.image_id, nullptr);
  }
  for (const auto& id : deletion.deleted) {
    out.object().put("Deleted", id).end();
    if (id == deletion.image_id) publish_image(daemon, "delete", id, id, nullptr);
  }
  if (!deletion.collected) daemon.tasks().start(collect_later(&daemon));
}

Task<Result<void>> remove(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto work = [store = daemon.images(), name = request.param("name"), force = request.flag("force"),
               holders = image_holders(daemon.containers())] { return delete_image(*store, name, force, holders); };
  auto deletion = CO_TRY(co_await daemon.pool().run(std::move(work)));
  JsonWriter out;
  out.array();
  tell_deletion(daemon, deletion, out);
  send_json(response, 200, out.end().take());
  co_return {};
}

Task<Result<void>> prune(Daemon& daemon, ApiRequest& request, io::Response& response) {
  Filters filters = CO_TRY(Filters::parse(request.query("filters"), {"dangling", "label", "label!", "until"}));
  const bool all = !CO_TRY(filters.flag("dangling", true));
  std::optional<WallTime> until;
  for (const auto& text : filters.get("until")) until = CO_TRY(parse_time(text, daemon.loop().wall_now()));
  auto work = [store = daemon.images(), all, filters, until, holders = image_holders(daemon.containers())] {
    return prune_images(
        *store, all,
        [&](const image::Config& config) {
          return filters.labels(config.labels) && (!until || WallTime(std::chrono::seconds(unix_seconds(config.created))) <= *until);
        },
        holders);
  };
  auto deletions = CO_TRY(co_await daemon.pool().run(std::move(work)));
  JsonWriter out;
  uint64_t freed = 0;
  out.object();
  if (deletions.empty()) {
    out.put_null("ImagesDeleted");
  } else {
    out.array("ImagesDeleted");
    for (const auto& deletion : deletions) {
      tell_deletion(daemon, deletion, out);
      freed += deletion.freed;
    }
    out.end();
  }
  daemon.events().publish("image", "prune", "", {{"reclaimed", std::to_string(freed)}});
  send_json(response, 200, out.put("SpaceReclaimed", freed).end().take());
  co_return {};
}

Task<Result<void>> search(Daemon&, ApiRequest&, io::Response&) {
  co_return fail(Code::unsupported, "searching Docker Hub is not supported; look at https://hub.docker.com/search and pull by name");
}

}  // namespace

void add_image_routes(Router& router) {
  router.get("/images/json", list);
  router.get("/images/search", search);
  router.post("/images/prune", prune);
  router.get("/images/{name...}/json", inspect);
  router.get("/images/{name...}/history", history);
  router.post("/images/{name...}/tag", tag);
  router.del("/images/{name...}", remove);
}

}  // namespace estiba::docker
