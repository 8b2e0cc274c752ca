// Api: answers that go on: watches, and what a pod's node serves.
#include "apiserver/admission/admission.h"
#include "apiserver/api_errors.h"
#include "apiserver/continue_token.h"
#include "apiserver/custom/converted_selection.h"
#include "apiserver/edit.h"
#include "apiserver/respond.h"
#include "apiserver/server.h"
#include "base/strings.h"
#include "base/watchdog.h"
#include "io/gzip.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

constexpr Duration bookmark_interval = 60s;
// A watcher that has taken nothing for so long, though there was something, is given up: it would hold what it was to be told.
constexpr Duration watch_patience = 60s;
// As Kubernetes does it: less is sent sooner than it is compressed.
constexpr size_t packed_above = 128 * 1024;

Task<void> serve_packed(Api& api, io::Request& request, io::Response& response) {
  co_await api.serve(request, response);
  if (io::may_compress(request, response, packed_above)) co_await io::compress_answer(response);
}

// Where a watch without timeoutSeconds ends: after half an hour to an hour, so that clients do not all come back at once.
Duration default_watch_time() {
  uint8_t random = static_cast<uint8_t>(random_bytes(1)[0]);
  return 30min + 7s * random;
}

// The objects of events in the version that is watched, all of them in one conversion.
Task<Result<void>> present_items(Registry& registry, const Action& action, std::vector<WatchItem>& items) {
  std::vector<model::ObjectRef> objects;
  for (const WatchItem& item : items)
    if (item.object) objects.push_back(item.object);
  CO_TRY(co_await registry.present(action, objects));
  auto next = objects.begin();
  for (WatchItem& item : items)
    if (item.object) item.object = std::move(*next++);
  co_return {};
}

// What matches at the revision that a watch goes on from.
Task<Result<void>> begin_from(Registry& registry, const Action& action, ConvertedSelection& selection) {
  const store::Revision start = CO_TRY(parse_resource_version(action.list.resource_version));
  if (start == 0 || action.list.send_initial_events.value_or(false)) co_return {};
  Action then = action;
  then.verb = Verb::list;
  then.list.resource_version_match = "Exact";
  auto page = co_await list_custom(registry, then);
  if (page) selection.begin(page->items);
  else if (page.error().code == Code::gone) co_return too_old_resource_version(start, registry.cluster().store().revision());
  else co_return std::unexpected(std::move(page.error()));
  co_return {};
}

// In pieces, so that who reads slowly holds no more than one of them.
Task<Result<void>> send_items(const Action& action, const std::vector<WatchItem>& items, io::Response& response) {
  constexpr size_t piece = 64 * 1024;
  std::string out;
  for (const WatchItem& item : items) {
    if (out.empty() && item.object) {
      const size_t room = item.object.object->json().size() + 128;
      out.reserve(std::min(piece + room, room * items.size()));
    }
    CO_TRY(append_event(out, action, item));
    if (out.size() < piece) continue;
    CO_TRY(co_await response.write(std::exchange(out, {})));
  }
  if (!out.empty()) CO_TRY(co_await response.write(std::move(out)));
  co_return {};
}

// The container to show when none was asked for: the annotated default, else the first.
std::string default_container(const json::Node& pod) {
  if (const json::Node* name = pod.at("metadata", "annotations", "kubectl.kubernetes.io/default-container"))
    return std::string(name->as_string());
  const json::Node* containers = pod.at("spec", "containers");
  return containers && !containers->empty() ? std::string((*containers)[0].string_at("name")) : std::string{};
}

bool has_container(const json::Node& pod, std::string_view name) {
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"}) {
    const json::Node* containers = pod.at("spec", list);
    if (!containers) continue;
    for (const json::Node& container : *containers) {
      if (container.string_at("name") == name) return true;
    }
  }
  return false;
}

std::string internal_ip(const json::Node& node) {
  const json::Node* addresses = node.at("status", "addresses");
  if (!addresses) return {};
  for (const json::Node& address : *addresses) {
    if (address.string_at("type") == "InternalIP") return std::string(address.string_at("address"));
  }
  return {};
}

// What exec, attach and portforward are asked to do, as an object that webhooks and policies can look at.
json::Document connect_options(const Action& action, const io::Request& request) {
  json::Document doc;
  json::Node& out = doc.make_object();
  doc.set_root(out);
  doc.set(out, "kind",
          action.subresource == "exec"     ? "PodExecOptions"
          : action.subresource == "attach" ? "PodAttachOptions"
                                           : "PodPortForwardOptions");
  doc.set(out, "apiVersion", "v1");
  for (const auto& [key, value] : request.query) {
    if (key == "container") doc.set(out, key, value);
    else if (key == "command" || key == "ports") doc.append(ensure_array(doc, out, key), doc.make_string(value));
    else if (key == "stdin" || key == "stdout" || key == "stderr" || key == "tty") set_bool(doc, out, key, value == "true" || value == "1");
  }
  return doc;
}

}  // namespace

Task<Result<void>> Api::stream_watch(const Action& action, io::Request& request, io::Response& response) {
  (void)request;
  auto selection = CO_TRY(ConvertedSelection::make(action));
  if (selection) CO_TRY(co_await begin_from(registry_, action, *selection));
  FanOut::Turn turn(fan_out());
  auto watcher = CO_TRY(registry_.watch(selection ? selection->wider() : action));
  response.give_up_after(std::min(watch_patience, request_timeout_));
  CO_TRY(co_await response.start(
      200, {{"Content-Type", std::string(watch_content_type(action.wanted))}, {"Cache-Control", "no-cache, private"}}));
  Executor& executor = *Executor::current();
  const Duration total = action.list.timeout_seconds ? Duration(std::chrono::seconds(*action.list.timeout_seconds)) : default_watch_time();
  const Instant end = executor.now() + total;
  Watchdog alarm([&turn] { turn.ring(); });
  store::Revision told = watcher->position();
  for (Instant quiet_since = executor.now();;) {
    auto items = watcher->poll();
    if (!items) {
      co_await response.write(render_watch_error(action, items.error()));
      co_return {};
    }
    const Instant now = executor.now();
    const bool over = now >= end || (items->empty() && watcher->ended());
    const bool bookmark = action.list.allow_bookmarks && now >= quiet_since + bookmark_interval;
    if (items->empty() && bookmark && watcher->position() > told)
      items->push_back({WatchItem::Kind::bookmark, false, {}, watcher->position()});
    if (bookmark || !items->empty()) quiet_since = now;
    if (!items->empty()) {
      if (model::custom_of(*action.resource)) CO_TRY(co_await present_items(registry_, action, *items));
      told = std::max(told, items->back().revision);
      if (selection) selection->choose(*items);
      if (auto sent = co_await send_items(action, *items, response); !sent) co_return {};
    }
    if (over) co_return {};
    alarm.until(action.list.allow_bookmarks ? std::min(end, quiet_since + bookmark_interval) : end);
    watcher->arm(turn);
    co_await turn;
  }
}

std::shared_ptr<FanOut> Api::fan_out() {
  Executor* executor = Executor::current();
  const std::lock_guard lock(fan_outs_mutex_);
  std::shared_ptr<FanOut>& slot = fan_outs_[executor];
  if (!slot) slot = std::make_shared<FanOut>(*executor);
  return slot;
}

Task<Result<void>> Api::forward_to_node(const Action& action, io::Request& request, io::Response& response) {
  if (action.subresource != "log" && admission::has_extensions(*cluster_)) {
    json::Document options = connect_options(action, request);
    std::vector<std::string> warnings;
    CO_TRY(co_await admission::admit_act(*cluster_, action, admission::Operation::connect, options, warnings));
    add_warnings(response, warnings);
  }
  auto object = registry_.get(action);
  if (!object) co_return std::unexpected(std::move(object.error()));
  json::Document pod = CO_TRY(json::Document::parse(object->object->json()));
  NodeTarget target;
  target.node = pod.root().string_at("spec", "nodeName");
  if (target.node.empty()) {
    co_return bad_request("pod " + action.name + " does not have a host assigned");
  }
  target.ns = action.ns;
  target.pod = action.name;
  target.uid = object->meta().uid;
  target.subresource = action.subresource;
  if (action.subresource != "portforward") {
    target.container = request.query.get("container");
    if (target.container.empty()) target.container = default_container(pod.root());
    if (!has_container(pod.root(), target.container))
      co_return bad_request("container " + target.container + " is not valid for pod " + action.name);
  }
  auto node = cluster_->find("", "nodes", "", target.node);
  if (node) {
    json::Document doc = CO_TRY(json::Document::parse(node->object->json()));
    target.address = internal_ip(doc.root());
    const json::Node* port = doc.root().at("status", "daemonEndpoints", "kubeletEndpoint", "Port");
    if (port) target.port = static_cast<uint16_t>(port->as_int().value_or(10250));
  }
  if (!node_proxy_) co_return fail(Code::unavailable, "this server has no way to reach node " + target.node);
  co_return co_await node_proxy_->forward(std::move(target), request, response);
}

Result<std::unique_ptr<ApiServer>> ApiServer::make(store::Store& store, std::vector<io::Loop*> loops, const ServerOptions& options) {
  std::unique_ptr<ApiServer> out(new ApiServer());
  out->options_ = options;
  out->api_ = TRY(Api::make(store, options));
  Api* api = out->api_.get();
  io::HttpServerOptions http;
  http.header_timeout = std::min(http.header_timeout, options.request_timeout);
  out->http_ = std::make_unique<io::HttpServer>(
      std::move(loops), http, [api](io::Request& request, io::Response& response) { return serve_packed(*api, request, response); });
  return out;
}

Result<void> ApiServer::listen() {
  auto tls = TRY(io::make_tls_server(
      {.certificate_pem = options_.certificate_pem, .key_pem = options_.key_pem, .client_ca_pem = options_.client_ca_pem}));
  return http_->listen_tcp(options_.listen_host, options_.listen_port, tls);
}

}  // namespace estiba::apiserver
