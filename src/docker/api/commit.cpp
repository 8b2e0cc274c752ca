// /commit: an image of what a container has become.
#include "image/commit.h"
#include "base/strings.h"
#include "base/time.h"
#include "docker/api/routes.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/json_writer.h"
#include "docker/lives.h"
#include "engine/engine.h"
#include "image/changes.h"
#include "image/digest.h"
#include "image/reference.h"
#include "image/store.h"
#include "io/loop.h"
#include "io/pool.h"

namespace estiba::docker {

namespace {

struct CommitRequest {
  image::Config config;  // of the new image, but for its layers
  image::Record base;
  std::vector<std::string> chains;
  std::string upper, tag;
};

/// Holds a running container still while its files are copied.
class Pause {
 public:
  static Task<Result<std::unique_ptr<Pause>>> of(Daemon* daemon, ContainerRef container, bool wanted) {
    auto pause = std::make_unique<Pause>();
    if (!wanted || container->status != Status::running) co_return pause;
    if (auto paused = co_await daemon->engine().pause(container->id); !paused && container->running())
      co_return std::unexpected(paused.error());
    pause->daemon_ = daemon;
    pause->id_ = container->id;
    co_return pause;
  }
  ~Pause() {
    if (daemon_) daemon_->tasks().start(resume(daemon_, id_));
  }

 private:
  static Task<void> resume(Daemon* daemon, std::string id) { (void)co_await daemon->engine().unpause(std::move(id)); }
  Daemon* daemon_ = nullptr;
  std::string id_;
};

Result<std::string> tag_of(const ApiRequest& request) {
  std::string name(request.query("repo"));
  if (name.empty()) return std::string();
  if (const std::string_view tag = request.query("tag"); !tag.empty()) (name += ":") += tag;
  auto reference = image::parse_reference(name);
  if (!reference || !reference->digest.empty()) return fail(Code::invalid, "invalid reference format: " + quoted(name));
  return reference->key();
}

Result<CommitRequest> prepare(Daemon& daemon, const ApiRequest& request, const Container& container, const json::Node& body) {
  CommitRequest out;
  out.tag = TRY(tag_of(request));
  out.upper = daemon.engine().upper_dir(container.id);
  auto base = TRY(daemon.images()->find(container.image_id));
  if (!base) return fail(Code::not_found, "No such image: " + container.image_id + ", of which container " + container.name + " was made");
  out.base = std::move(*base);
  auto config = TRY(daemon.images()->config(out.base.id));
  out.config = *config;
  for (const std::string& diff : config->diff_ids) out.chains.push_back(image::chain_id(out.chains.empty() ? "" : out.chains.back(), diff));
  image::read_settings(container.config.root(), out.config);
  // The container's own name for itself is no business of the image.
  out.config.hostname = config->hostname;
  out.config.domainname = config->domainname;
  if (body.is_object()) image::read_settings(body, out.config);
  for (const std::string& changes : request.http.query.all("changes"))
    for (std::string_view change : split(changes, '\n'))
      if (!trim(change).empty()) TRY(image::apply_change(out.config, trim(change)));
  out.config.created = format_rfc3339_nano(daemon.loop().wall_now());
  out.config.author = request.query("author");
  out.config.comment = request.query("comment");
  const json::Node* command = container.config.root().find("Cmd");
  std::vector<std::string> words;
  if (command && command->is_array())
    for (const json::Node& word : *command) words.emplace_back(word.as_string());
  out.config.history.push_back({out.config.created, join(words, " "), out.config.author, out.config.comment, false});
  return out;
}

Result<image::Record> make(image::Store& store, CommitRequest request) {
  Fd adding = TRY(store.adding());
  auto layer = TRY(image::commit_layer(store, request.upper, request.chains, {.take = false}));
  std::vector<std::string> tags;
  if (!request.tag.empty()) tags.push_back(request.tag);
  return image::make_image(store, std::move(request.config), &request.base, {layer}, tags);
}

Task<Result<void>> commit(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.query("container")));
  json::Document body = CO_TRY(co_await request.json_body());
  CommitRequest wanted = CO_TRY(prepare(daemon, request, *container, body.root()));
  const std::string tag = wanted.tag;
  Result<image::Record> record;
  {
    auto pause = CO_TRY(co_await Pause::of(&daemon, container, request.flag("pause", true)));
    record = co_await daemon.pool().run(
        [store = daemon.images(), wanted = std::move(wanted)]() mutable { return make(*store, std::move(wanted)); });
  }
  if (!record) co_return std::unexpected(std::move(record.error()).context("commit container " + container->name));
  daemon.lives().tell(*container, "commit",
                      {{"comment", std::string(request.query("comment"))}, {"imageID", record->id}, {"imageRef", tag}});
  JsonWriter json;
  json.object().put("Id", record->id).end();
  send_json(response, 201, json.take());
  co_return {};
}

}  // namespace

void add_commit_routes(Router& router) { router.post("/commit", commit); }

}  // namespace estiba::docker
