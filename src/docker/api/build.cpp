// POST /build as the classic builder's clients speak it, /build/prune and /build/cancel.
#include "base/strings.h"
#include "build/dockerfile/instruction.h"
#include "build/solve/builder.h"
#include "docker/api/build_context.h"
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/filters.h"
#include "docker/json_writer.h"
#include "docker/times.h"
#include "image/digest.h"
#include "image/reference.h"
#include "io/loop.h"
#include "io/pool.h"
#include "os/file.h"

namespace estiba::docker {
namespace {

/// A build's output on its way to the client.
struct Stream final : build::BuildOutput {
  std::string waiting;  // JSON objects, one a line
  Event news;
  bool quiet = false;
  std::optional<Result<build::BuildResult>> result;

  void text(std::string text) override {
    if (!quiet) line("stream", text);
  }
  void line(std::string_view key, std::string_view value) {
    JsonWriter json;
    json.object().put(key, value).end();
    waiting += json.text() + "\r\n";
    news.set();
  }
  void raw(std::string_view json) {
    waiting.append(json).append("\r\n");
    news.set();
  }
};

/// Removes what a request has put on disk, in whatever way it ends.
struct Scratch {
  build::Builder& builder;
  std::string path;
  ~Scratch() {
    if (!path.empty()) builder.remove_scratch(path);
  }
};

/// JSON objects of strings in the query: buildargs, labels. A null value is left out, as a --build-arg without a value is.
Result<std::map<std::string, std::string, std::less<>>> map_of(const ApiRequest& request, std::string_view name) {
  std::map<std::string, std::string, std::less<>> out;
  std::string_view text = request.query(name);
  if (text.empty()) return out;
  auto parsed = json::Document::parse(text);
  if (!parsed || !parsed->root().is_object())
    return fail(Code::invalid, "error reading " + std::string(name) + ": a JSON object is expected");
  for (const auto& member : parsed->root())
    if (member.is_string()) out.insert_or_assign(std::string(member.key()), std::string(member.as_string()));
  return out;
}

std::string registry_of(std::string_view key) {
  if (key.find("index.docker.io") != key.npos || key.find("registry-1.docker.io") != key.npos) return "docker.io";
  for (std::string_view scheme : {"https://", "http://"})
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  return std::string(key.substr(0, key.find('/')));
}

/// X-Registry-Config: base64 of {"registry": {"username": …, "password": …}}.
void credentials(const io::Request& http, build::BuildRequest& out) {
  std::string_view header = http.headers.get("X-Registry-Config");
  auto text = base64url_decode(header);
  if (!text) text = base64_decode(header);
  if (!text || text->empty()) return;
  auto parsed = json::Document::parse(*text);
  if (!parsed) return;
  for (const auto& entry : parsed->root()) {
    engine::Credentials login{std::string(entry.string_at("username")), std::string(entry.string_at("password")),
                              std::string(entry.string_at("identitytoken"))};
    if (!login.username.empty() || !login.identity_token.empty()) out.credentials[registry_of(entry.key())] = std::move(login);
  }
}

Result<void> limits(const ApiRequest& request, build::BuildRequest& out) {
  auto& r = out.resources;
  if (auto memory = TRY(request.number("memory")); memory && *memory > 0) r.memory_bytes = *memory;
  if (auto swap = TRY(request.number("memswap")); swap && *swap != 0) r.memory_swap_bytes = *swap;
  if (auto shares = TRY(request.number("cpushares")); shares && *shares > 0) r.cpu_shares = uint64_t(*shares);
  if (auto period = TRY(request.number("cpuperiod")); period && *period > 0) r.cpu_period_us = uint64_t(*period);
  if (auto quota = TRY(request.number("cpuquota")); quota && *quota > 0) r.cpu_quota_us = *quota;
  r.cpuset_cpus = request.query("cpusetcpus");
  r.cpuset_mems = request.query("cpusetmems");
  if (auto shm = TRY(request.number("shmsize")); shm && *shm > 0) out.shm_bytes = uint64_t(*shm);
  if (std::string_view text = request.query("ulimits"); !text.empty()) {
    auto parsed = json::Document::parse(text);
    if (!parsed) return fail(Code::invalid, "error reading ulimits: " + parsed.error().message);
    for (const auto& item : parsed->root()) {
      const json::Node *soft = item.find("Soft"), *hard = item.find("Hard");
      out.ulimits.push_back(
          {std::string(item.string_at("Name")), soft ? soft->as_int().value_or(0) : 0, hard ? hard->as_int().value_or(0) : 0});
    }
  }
  return {};
}

Result<build::BuildRequest> read_query(const ApiRequest& request) {
  build::BuildRequest out;
  if (request.query("version") == "2" || request.query("remote") == "client-session")
    return fail(Code::invalid,
                "BuildKit's protocol is not offered by this engine: build with the classic builder, DOCKER_BUILDKIT=0 docker build …");
  if (request.flag("squash"))
    return fail(Code::invalid, "squash is not offered: name what belongs together in one RUN, or use a second stage");
  if (!request.query("outputs").empty() && request.query("outputs") != "[]" && request.query("outputs") != "null")
    return fail(Code::invalid, "outputs are not offered: the result is an image (docker save writes it to a file)");
  if (std::string_view name = request.query("dockerfile"); !name.empty()) out.dockerfile = name;
  for (std::string_view tag : request.http.query.all("t"))
    if (!tag.empty()) out.tags.emplace_back(tag);
  out.arguments = TRY(map_of(request, "buildargs"));
  for (auto& [name, value] : TRY(map_of(request, "labels"))) out.labels.emplace(name, value);
  out.target = request.query("target");
  out.platform = to_lower(request.query("platform"));
  out.no_cache = request.flag("nocache");
  out.pull = request.flag("pull");
  out.quiet = request.flag("q");
  if (std::string_view mode = request.query("networkmode"); !mode.empty()) out.network = mode;
  if (std::string_view parent = request.query("cgroupparent"); !parent.empty()) out.cgroup_parent = parent;
  for (std::string_view host : request.http.query.all("extrahosts")) {
    auto parsed = host.starts_with('[') ? json::Document::parse(host) : Result<json::Document>(fail(Code::malformed, ""));
    if (!parsed) {
      if (!host.empty()) out.extra_hosts.emplace_back(host);
      continue;
    }
    for (const auto& item : parsed->root()) out.extra_hosts.emplace_back(item.as_string());
  }
  TRY(limits(request, out));
  credentials(request.http, out);
  return out;
}

Task<void> build_job(build::Builder* builder, build::BuildRequest request, Stream* stream) {
  stream->result = co_await builder->build(std::move(request), *stream);
  stream->news.set();
}

void report_failure(Stream& stream, const Error& error) {
  JsonWriter json;
  json.object().object("errorDetail");
  if (int code = build::exit_code_of(error)) json.put("code", code);
  json.put("message", error.message).end().put("error", error.message).end();
  stream.raw(json.text());
}

void report_success(Daemon& daemon, Stream& stream, const std::vector<std::string>& tags, const std::string& dockerfile) {
  const build::BuildResult& result = **stream.result;
  if (!stream.quiet)
    for (const build::Warning& warning : result.warnings)
      stream.line("stream",
                  "[Warning] " + dockerfile + ":" + std::to_string(warning.line) + ": " + warning.rule + ": " + warning.message + "\n");
  stream.raw("{\"aux\":{\"ID\":\"" + result.image_id + "\"}}");
  if (stream.quiet) stream.line("stream", result.image_id + "\n");
  else stream.line("stream", "Successfully built " + image::short_digest(result.image_id) + "\n");
  for (const std::string& tag : tags) {
    auto reference = image::parse_reference(tag);
    if (!reference) continue;
    if (!stream.quiet) stream.line("stream", "Successfully tagged " + reference->familiar() + "\n");
    daemon.events().publish("image", "tag", result.image_id, {{"name", reference->familiar()}});
  }
}

Task<Result<void>> build_image(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto wanted = CO_TRY(read_query(request));
  build::Builder& builder = daemon.builder();
  Scratch scratch{builder, CO_TRY(builder.make_scratch())};
  CO_TRY(co_await read_build_context(daemon, request, response, scratch.path, wanted));
  const auto tags = wanted.tags;
  const std::string dockerfile = wanted.dockerfile;
  Stream stream;
  stream.quiet = wanted.quiet;
  Job job(build_job(&builder, std::move(wanted), &stream));
  while (true) {
    co_await stream.news.wait();
    stream.news.reset();
    const bool ended = stream.result.has_value();
    if (ended) {
      if (!*stream.result && !response.started() && stream.waiting.empty() && build::exit_code_of(stream.result->error()) == 0)
        co_return std::unexpected(stream.result->error());
      if (*stream.result) report_success(daemon, stream, tags, dockerfile);
      else report_failure(stream, stream.result->error());
    }
    if (!response.started()) CO_TRY(co_await response.start(200, {{"Content-Type", "application/json"}}));
    if (!stream.waiting.empty()) CO_TRY(co_await response.write(std::exchange(stream.waiting, {})));
    if (ended) co_return Result<void>();
  }
}

Task<Result<void>> prune(Daemon& daemon, ApiRequest& request, io::Response& response) {
  const Filters filters = CO_TRY(Filters::parse(request.query("filters"), {"until", "unused-for", "id", "type"}));
  build::PruneRequest wanted{.all = request.flag("all"), .ids = filters.get("id"), .types = filters.get("type")};
  for (const char* name : {"until", "unused-for"}) {
    for (const std::string& value : filters.get(name)) {
      auto time = parse_time(value, daemon.loop().wall_now());
      if (!time) co_return fail(Code::invalid, "invalid " + std::string(name) + " filter " + quoted(value) + ": " + time.error().message);
      wanted.before = std::chrono::duration_cast<std::chrono::seconds>(time->time_since_epoch()).count();
    }
  }
  for (const char* name : {"keep-storage", "reserved-space"})
    if (auto bytes = CO_TRY(request.number(name)); bytes && *bytes > 0) wanted.keep_bytes = uint64_t(*bytes);
  auto pruned = CO_TRY(co_await daemon.builder().prune(std::move(wanted)));
  JsonWriter json;
  json.object().put_list("CachesDeleted", pruned.keys).put("SpaceReclaimed", pruned.bytes).end();
  send_json(response, 200, json.take());
  co_return Result<void>();
}

Task<Result<void>> cancel(Daemon&, ApiRequest& request, io::Response&) {
  co_return fail(Code::not_found, "no such build: " + std::string(request.query("id")) + ": a build ends when its client goes away");
}

}  // namespace

void add_build_routes(Router& router) {
  router.post("/build", build_image);
  router.post("/build/prune", prune);
  router.post("/build/cancel", cancel);
}

}  // namespace estiba::docker
