// /images/*: pull and import, push, save and load. The work blocks on pool threads and tells its progress line by line.
#include <fcntl.h>

#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "docker/api/image_common.h"
#include "docker/api/registry_auth.h"
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/image_json.h"
#include "docker/progress.h"
#include "image/archive.h"
#include "image/changes.h"
#include "image/registry.h"
#include "io/loop.h"
#include "io/pool.h"
#include "os/file.h"

namespace estiba::docker {
namespace {

/// Ends a transfer when its handler is dropped: the client has gone.
struct StopWhenDropped {
  std::shared_ptr<image::TransferStop> stop = std::make_shared<image::TransferStop>();
  ~StopWhenDropped() { stop->stop(); }
};

std::function<void(const image::TransferProgress&)> teller(std::shared_ptr<ProgressLines> lines,
                                                           std::shared_ptr<image::TransferStop> stop) {
  return [lines = std::move(lines), stop = std::move(stop)](const image::TransferProgress& p) {
    const bool plain = p.total == 0 && (p.status.starts_with("Pulling from") || p.status.starts_with("Digest:"));
    if (!lines->say(plain ? status_line(p.status, p.id) : progress_line(p.status, p.id, p.current, p.total))) stop->stop();
  };
}

/// What dockerd makes of a registry's refusal.
Error pull_error(Error error, const image::Reference& reference) {
  image::Reference bare = reference;
  bare.tag.clear();
  bare.digest.clear();
  if (error.code == Code::unauthorized)
    return {Code::not_found, 0,
            "pull access denied for " + bare.familiar() + ", repository does not exist or may require 'docker login': " + error.message,
            nullptr};
  if (error.code == Code::not_found && error.message.find("manifest") != std::string::npos &&
      error.message.find("not made for") == std::string::npos)
    return {Code::not_found, 0, "manifest for " + reference.familiar() + " not found: manifest unknown: " + error.message, nullptr};
  if (error.code == Code::not_found) return error;
  error.code = Code::internal;
  return error;
}

Result<image::Platform> parse_platform(std::string_view text) {
  image::Platform out = image::host_platform();
  if (text.empty()) return out;
  auto parts = split(text, '/');
  if (parts.size() > 3 || parts[0].empty()) return fail(Code::invalid, quoted(text) + " is no platform; write OS[/ARCHITECTURE[/VARIANT]]");
  if (parts.size() == 1 && parts[0] != "linux") {
    out.architecture = parts[0];
  } else {
    out.os = parts[0];
    if (parts.size() > 1) out.architecture = parts[1];
  }
  if (out.architecture == "x86_64") out.architecture = "amd64";
  if (out.architecture == "aarch64") out.architecture = "arm64";
  out.variant = parts.size() > 2 ? std::string(parts[2]) : "";
  return out;
}

struct PullWork {
  std::shared_ptr<image::Store> store;
  std::vector<image::Reference> references;  // one, or empty with `all_tags`
  image::Reference all_tags;
  image::PullOptions options;
  std::shared_ptr<ProgressLines> lines;
  std::shared_ptr<image::TransferStop> stop;

  Result<void> run() {
    if (!all_tags.repository.empty()) {
      auto tags = image::list_tags(all_tags, options);
      if (!tags) return std::unexpected(pull_error(std::move(tags.error()), all_tags));
      for (const auto& tag : *tags) {
        references.push_back(all_tags);
        references.back().tag = tag;
      }
    }
    for (const auto& reference : references) {
      auto before = TRY(store->find(reference.key()));
      auto record = image::pull_image(*store, reference, options, references.size() == 1 ? stop.get() : nullptr);
      if (!record) return std::unexpected(pull_error(std::move(record.error()), reference));
      const bool same = before && before->id == record->id;
      lines->say(status_line((same ? "Status: Image is up to date for " : "Status: Downloaded newer image for ") + reference.familiar()));
      if (stop->stopped()) return fail(Code::cancelled, "cancelled");
    }
    return {};
  }
};

Task<Result<void>> pull(Daemon& daemon, ApiRequest& request, io::Response& response) {
  std::string name(request.query("fromImage")), tag(request.query("tag"));
  PullWork work{.store = daemon.images()};
  if (!tag.empty()) {
    // The tag in the name is replaced by the one beside it.
    auto parsed = CO_TRY(parse_name(name));
    parsed.tag = tag.starts_with("sha256:") ? "" : tag;
    parsed.digest = tag.starts_with("sha256:") ? tag : "";
    work.references.push_back(CO_TRY(parse_name(parsed.text())));
  } else {
    auto parsed = CO_TRY(parse_name(name));
    const bool named = !parsed.digest.empty() || name.ends_with(":" + parsed.tag);
    if (named) work.references.push_back(parsed);
    else work.all_tags = parsed;
  }
  const image::Reference about = work.references.empty() ? work.all_tags : work.references[0];
  work.options.platform = CO_TRY(parse_platform(request.query("platform")));
  work.options.kept = true;
  CO_TRY(registry_options(daemon, request, work.options));
  StopWhenDropped guard;
  image::Pipe pipe;
  work.lines = std::make_shared<ProgressLines>(pipe);
  work.stop = guard.stop;
  work.options.progress = teller(work.lines, work.stop);
  auto lines = work.lines;
  daemon.pool().submit([work = std::move(work)]() mutable { work.lines->finish(work.run()); });
  CO_TRY(co_await serve_lines(pipe, response));
  if (!lines->succeeded()) co_return {};
  image::Reference bare = about;
  bare.tag.clear();
  bare.digest.clear();
  publish_image(daemon, "pull", about.familiar(), bare.familiar(), nullptr);
  co_return {};
}

/// The request's body in an unnamed file.
Task<Result<Fd>> spool_body(Daemon& daemon, ApiRequest& request) {
  image::Pipe pipe(16 << 20);
  OneShot<Result<Fd>> spooled;
  daemon.pool().submit([reader = pipe.reader(), dir = daemon.options().data_dir + "/images/tmp", sender = spooled.sender()]() mutable {
    sender.send([&]() -> Result<Fd> {
      Fd file = TRY_AS("temporary file", os::open_file(dir, O_RDWR | O_TMPFILE, 0600));
      image::FileSink sink(file.get());
      TRY(image::copy_all(*reader, &sink));
      if (::lseek(file.get(), 0, SEEK_SET) < 0) return fail_errno("lseek");
      return file;
    }());
  });
  for (;;) {
    std::string piece = CO_TRY(co_await request.http.read_body());
    if (piece.empty() || !co_await pipe.put(std::move(piece))) break;
  }
  pipe.end();
  auto file = co_await spooled;
  if (!file) co_return fail(Code::cancelled, "cancelled");
  co_return std::move(*file);
}

Task<Result<void>> import(Daemon& daemon, ApiRequest& request, io::Response& response) {
  if (request.query("fromSrc") != "-")
    co_return fail(Code::unsupported, "an import from a URL is not supported; fetch it and send it: curl URL | docker import - NAME");
  image::ImportOptions options;
  std::string repo(request.query("repo")), tag(request.query("tag"));
  if (!repo.empty()) options.name = CO_TRY(parse_name(tag.empty() ? repo : repo + ":" + tag)).text();
  options.platform = CO_TRY(parse_platform(request.query("platform")));
  for (const auto& change : request.http.query.all("changes")) CO_TRY(image::apply_change(options.settings, change));
  options.settings.comment = request.query("message").empty() ? "Imported from -" : std::string(request.query("message"));
  options.settings.created = format_rfc3339_nano(daemon.loop().wall_now());
  options.kept = true;
  Fd file = CO_TRY(co_await spool_body(daemon, request));
  auto work = [store = daemon.images(), fd = std::move(file), options]() mutable {
    return image::import_rootfs(*store, std::move(fd), options);
  };
  auto record = CO_TRY(co_await daemon.pool().run(std::move(work)));
  publish_image(daemon, "import", record.id, repo.empty() ? record.id : CO_TRY(parse_name(options.name)).familiar(), nullptr);
  response.send(200, {{"Content-Type", "application/json"}}, status_line(record.id));
  co_return {};
}

Task<Result<void>> create(Daemon& daemon, ApiRequest& request, io::Response& response) {
  if (!request.query("fromSrc").empty()) co_return co_await import(daemon, request, response);
  if (request.query("fromImage").empty()) co_return fail(Code::invalid, "fromImage or fromSrc is needed");
  co_return co_await pull(daemon, request, response);
}

struct PushWork {
  std::shared_ptr<image::Store> store;
  std::vector<image::Reference> references;
  image::PushOptions options;
  std::shared_ptr<ProgressLines> lines;
  std::shared_ptr<image::TransferStop> stop;

  Result<void> run() {
    image::Reference bare = references[0];
    bare.tag.clear();
    lines->say(status_line("The push refers to repository [" + bare.text() + "]"));
    for (const auto& reference : references) {
      auto pushed = image::push_image(*store, reference, options, references.size() == 1 ? stop.get() : nullptr);
      if (!pushed) {
        if (pushed.error().code == Code::unauthorized)
          return fail(Code::internal, "denied: requested access to the resource is denied: " + pushed.error().message);
        return std::unexpected(std::move(pushed.error()));
      }
      lines->say(status_line(reference.tag + ": digest: " + pushed->digest + " size: " + std::to_string(pushed->size)));
      JsonWriter aux;
      aux.object().put("Tag", reference.tag).put("Digest", pushed->digest).put("Size", pushed->size).end();
      std::string line = aux_line(aux.text());
      line.insert(1, "\"progressDetail\":{},");
      lines->say(line);
      if (stop->stopped()) return fail(Code::cancelled, "cancelled");
    }
    return {};
  }
};

/// The tag that is asked for, or all of the repository.
Result<std::vector<image::Reference>> to_push(image::Store& store, const std::string& name, const std::string& tag) {
  image::Reference reference = TRY(parse_name(name));
  std::vector<image::Reference> out;
  if (!tag.empty() || name.ends_with(":" + reference.tag)) {
    if (!tag.empty()) reference.tag = tag;
    out.push_back(TRY(parse_name(reference.text())));
  } else {
    for (const auto& record : TRY(store.list()))
      for (const auto& t : record.tags)
        if (auto other = image::parse_reference(t); other && other->name() == reference.name()) out.push_back(*other);
  }
  for (const auto& r : out)
    if (!TRY(store.find(r.key()))) return fail(Code::not_found, "An image does not exist locally with the tag: " + name);
  if (out.empty()) return fail(Code::not_found, "An image does not exist locally with the tag: " + name);
  return out;
}

Task<Result<void>> push(Daemon& daemon, ApiRequest& request, io::Response& response) {
  PushWork work{.store = daemon.images()};
  work.references = CO_TRY(to_push(*daemon.images(), request.param("name"), std::string(request.query("tag"))));
  CO_TRY(registry_options(daemon, request, work.options));
  const image::Reference about = work.references[0];
  StopWhenDropped guard;
  image::Pipe pipe;
  work.lines = std::make_shared<ProgressLines>(pipe);
  work.stop = guard.stop;
  work.options.progress = teller(work.lines, work.stop);
  auto lines = work.lines;
  daemon.pool().submit([work = std::move(work)]() mutable { work.lines->finish(work.run()); });
  CO_TRY(co_await serve_lines(pipe, response));
  if (!lines->succeeded()) co_return {};
  image::Reference bare = about;
  bare.tag.clear();
  publish_image(daemon, "push", about.familiar(), bare.familiar(), nullptr);
  co_return {};
}

/// Names as they are asked for; a repository without a tag means all its tags.
Result<std::vector<std::string>> to_save(image::Store& store, const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const auto& name : names) {
    auto reference = image::parse_reference(name);
    const bool bare = reference && reference->digest.empty() && !name.ends_with(":" + reference->tag);
    const size_t before = out.size();
    if (bare)
      for (const auto& record : TRY(store.list()))
        for (const auto& tag : record.tags)
          if (auto other = image::parse_reference(tag); other && other->name() == reference->name()) out.push_back(tag);
    if (out.size() > before) continue;
    auto record = TRY(find_image(store, name));
    // By its id when it is not asked for by a name.
    auto known = store.find(name);
    out.push_back(known && *known ? name : record.id);
  }
  return out;
}

Task<Result<void>> save(Daemon* daemon, std::vector<std::string> names, io::Response* response) {
  if (names.empty()) co_return fail(Code::invalid, "no images to be saved; give names");
  auto list = CO_TRY(co_await daemon->pool().run([store = daemon->images(), names] { return to_save(*store, names); }));
  image::Pipe pipe;
  daemon->pool().submit([store = daemon->images(), list, writer = pipe.writer()]() mutable {
    auto done = image::export_images(*store, list, image::ExportFormat::oci, *writer);
    writer->finish(done ? std::nullopt : std::optional(std::move(done.error())));
  });
  for (bool started = false;; started = true) {
    std::string piece = CO_TRY(co_await pipe.take());
    if (!started) CO_TRY(co_await response->start(200, {{"Content-Type", "application/x-tar"}}));
    if (piece.empty()) break;
    CO_TRY(co_await response->write(std::move(piece)));
  }
  for (const auto& name : list)
    if (auto record = find_image(*daemon->images(), name)) publish_image(*daemon, "save", record->id, record->id, nullptr);
  co_return {};
}

Task<Result<void>> save_one(Daemon& daemon, ApiRequest& request, io::Response& response) {
  co_return co_await save(&daemon, {request.param("name")}, &response);
}
Task<Result<void>> save_several(Daemon& daemon, ApiRequest& request, io::Response& response) {
  co_return co_await save(&daemon, request.http.query.all("names"), &response);
}

Result<void> load_images(image::Store& store, Fd file, bool quiet, ProgressLines& lines, std::vector<std::string>& ids) {
  image::ImportOptions options;
  options.kept = options.nameless = true;
  if (!quiet)
    options.progress = [&](std::string_view layer, uint64_t current, uint64_t total) {
      lines.say(progress_line("Loading layer", image::short_digest(layer), current, total));
    };
  auto records = TRY(image::load_archive(store, std::move(file), options));
  for (const auto& loaded : records) {
    ids.push_back(loaded.record.id);
    if (loaded.names.empty()) lines.say(stream_line("Loaded image ID: " + loaded.record.id + "\n"));
    for (const auto& name : loaded.names)
      if (auto reference = image::parse_reference(name)) lines.say(stream_line("Loaded image: " + reference->familiar() + "\n"));
  }
  return {};
}

Task<Result<void>> load(Daemon& daemon, ApiRequest& request, io::Response& response) {
  Fd file = CO_TRY(co_await spool_body(daemon, request));
  image::Pipe pipe;
  auto lines = std::make_shared<ProgressLines>(pipe);
  auto ids = std::make_shared<std::vector<std::string>>();
  daemon.pool().submit([store = daemon.images(), fd = std::move(file), quiet = request.flag("quiet"), lines, ids]() mutable {
    lines->finish(load_images(*store, std::move(fd), quiet, *lines, *ids));
  });
  CO_TRY(co_await serve_lines(pipe, response));
  for (const auto& id : *ids) publish_image(daemon, "load", id, id, nullptr);
  co_return {};
}

}  // namespace

void add_image_transfer_routes(Router& router) {
  router.post("/images/create", create);
  router.post("/images/load", load);
  router.get("/images/get", save_several);
  router.get("/images/{name...}/get", save_one);
  router.post("/images/{name...}/push", push);
}

}  // namespace estiba::docker
