#include "apiserver/aggregation/aggregator.h"

#include "apiserver/api_errors.h"
#include "apiserver/bell.h"
#include "apiserver/edit.h"
#include "apiserver/kept.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "io/reverse_proxy.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

constexpr Duration check_interval = 30s, discovery_interval = 60s, first_retry = 500ms, settle_time = 50ms;

const Resource& api_services() { return *model::schema::find_resource("apiregistration.k8s.io", "v1", "apiservices"); }

void send_text(io::Response& response, int status, std::string text) {
  response.send(status, {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}}, std::move(text));
}

// The condition as it becomes: its time changes with its status alone.
Result<json::Document> with_condition(const json::Node& old, const Availability& now, WallTime time) {
  json::Document doc;
  doc.set_root(doc.copy(old));
  json::Node& conditions = ensure_array(doc, doc.ensure_object(doc.root(), "status"), "conditions");
  json::Node* condition = nullptr;
  for (size_t i = 0; i < conditions.size() && !condition; ++i)
    if (conditions[i].string_at("type") == "Available") condition = &conditions[i];
  if (!condition) {
    condition = &doc.append(conditions, doc.make_object());
    doc.set(*condition, "type", "Available");
  }
  if (condition->string_at("status") != now.status) doc.set(*condition, "lastTransitionTime", format_rfc3339(time));
  doc.set(*condition, "status", now.status);
  doc.set(*condition, "reason", now.reason);
  doc.set(*condition, "message", now.message);
  return doc;
}

Availability told_by(const json::Node& object) {
  const json::Node* conditions = object.at("status", "conditions");
  for (size_t i = 0; present(conditions) && i < conditions->size(); ++i) {
    const json::Node& one = (*conditions)[i];
    if (one.string_at("type") == "Available")
      return {std::string(one.string_at("status")), std::string(one.string_at("reason")), std::string(one.string_at("message"))};
  }
  return {};
}

}  // namespace

struct Aggregator::Worker {
  RemotePtr remote;
  Availability told;  // as its object says
  RemoteVersion serves;
  Instant asked;  // when `serves` was asked for
  std::shared_ptr<Event> wake = std::make_shared<Event>();
  Job job;
};

Aggregator::Aggregator(Registry& registry, AggregatorOptions options)
    : registry_(registry), options_(std::move(options)), versions_(std::make_shared<const RemoteVersions>()) {}
Aggregator::~Aggregator() = default;

RemotePtr Aggregator::find(std::string_view path) const {
  constexpr std::string_view root = "/apis/";
  if (!any_.load(std::memory_order_acquire) || !path.starts_with(root)) return nullptr;
  const size_t group_end = path.find('/', root.size());
  if (group_end == path.npos) return nullptr;
  const size_t version_end = std::min(path.find('/', group_end + 1), path.size());
  std::lock_guard lock(mutex_);
  auto found = routes_.find(path.substr(0, version_end));
  return found == routes_.end() ? nullptr : found->second;
}

std::shared_ptr<const RemoteVersions> Aggregator::versions() const {
  std::lock_guard lock(mutex_);
  return versions_;
}

Task<void> Aggregator::serve(RemotePtr remote, User user, io::Request& request, io::Response& response) {
  if (!remote->available) co_return send_text(response, 503, "service unavailable\n");
  if (!remote->tls) co_return send_text(response, 500, remote->tls_error + "\n");
  auto address = remote_address(registry_.cluster(), *remote);
  if (!address) {
    log::warn("aggregator", "no way to an extension server", {{"apiservice", remote->name}, {"error", address.error()}});
    co_return send_text(response, 503, "service unavailable\n");
  }
  io::HttpClientOptions options{.tls = remote->tls, .max_idle_connections = 0};
  options.user_agent.clear();
  io::HttpClient client(std::move(options));
  io::ReverseProxyOptions how{.url = "https://" + *address + request.target, .set = identity_headers(user)};
  how.remove = {"authorization", "impersonate-*", "x-remote-*"};
  how.backend_host = true;
  how.refuse_redirects = true;
  auto passed = co_await io::reverse_proxy(request, response, client, std::move(how));
  if (!passed && !response.begun()) send_text(response, 503, "error trying to reach service: " + passed.error().message + "\n");
}

Task<void> Aggregator::run() {
  // The workers are of this executor and end with this coroutine.
  struct Workers {
    Aggregator& self;
    ~Workers() { self.workers_.clear(); }
  } workers{*this};
  store::Store& store = registry_.cluster().store();
  if (auto done = co_await publish_authentication(registry_, options_); !done)
    log::warn("aggregator", "extension-apiserver-authentication is not written", {{"error", done.error()}});
  if (auto done = co_await register_local(registry_, true); !done)
    log::warn("aggregator", "APIServices are not all there", {{"error", done.error()}});
  auto changed = std::make_shared<Event>();
  Bell services(store, prefix_of(api_services()));
  Bell definitions(store, prefix_of(*model::schema::find_resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")));
  for (bool first = true;; first = false) {
    changed->reset();
    const bool defined = definitions.listen(changed), listed = services.listen(changed);
    if (defined && !first) {
      if (auto done = co_await register_local(registry_, false); !done)
        log::warn("aggregator", "APIServices of custom kinds are not all there", {{"error", done.error()}});
    }
    if (listed || first) co_await reload();
    co_await changed->wait();
    co_await sleep_for(settle_time);
  }
}

// Has a worker for every remote APIService that there is.
Task<void> Aggregator::reload() {
  auto all = registry_.cluster().all("apiregistration.k8s.io", "apiservices");
  if (!all) co_return;
  std::map<std::string, std::unique_ptr<Worker>, std::less<>> kept;
  for (const model::ObjectRef& object : *all) {
    auto doc = json::Document::parse(object.object->json());
    auto remote = doc ? read_remote(doc->root(), options_.front) : std::nullopt;
    if (!remote) continue;
    auto& worker = kept[remote->name];
    if (auto there = workers_.find(remote->name); there != workers_.end()) worker = std::move(there->second);
    const bool fresh = !worker;
    if (fresh) worker = std::make_unique<Worker>();
    worker->told = told_by(doc->root());
    RemoteService before = fresh ? RemoteService{} : *worker->remote;
    before.available = remote->available;
    before.tls = remote->tls;
    const bool other = !(before == *remote);
    worker->remote = std::make_shared<const RemoteService>(std::move(*remote));
    if (other) worker->asked = {};
    if (fresh) worker->job = Job(work(this, worker.get()));
    else if (other) worker->wake->set();
  }
  workers_ = std::move(kept);
  publish();
}

void Aggregator::publish() {
  std::map<std::string, RemotePtr, std::less<>> routes;
  auto versions = std::make_shared<RemoteVersions>();
  for (const auto& [name, worker] : workers_) {
    routes[worker->remote->path()] = worker->remote;
    RemoteVersion one = worker->serves;
    one.group = worker->remote->group;
    one.version = worker->remote->version;
    one.group_priority = worker->remote->group_priority;
    one.version_priority = worker->remote->version_priority;
    one.current &= worker->remote->available;
    versions->push_back(std::move(one));
  }
  std::stable_sort(versions->begin(), versions->end(), [](const RemoteVersion& a, const RemoteVersion& b) {
    if (a.group_priority != b.group_priority) return a.group_priority > b.group_priority;
    if (a.group != b.group) return a.group < b.group;
    return a.version_priority > b.version_priority;
  });
  std::lock_guard lock(mutex_);
  any_.store(!routes.empty(), std::memory_order_release);
  routes_ = std::move(routes);
  if (*versions_ != *versions) versions_ = std::move(versions);
}

Task<void> Aggregator::work(Aggregator* self, Worker* worker) {
  store::Store& store = self->registry_.cluster().store();
  Executor& executor = *Executor::current();
  const Resource& services = *model::schema::find_resource("", "v1", "services");
  const Resource& slices = *model::schema::find_resource("discovery.k8s.io", "v1", "endpointslices");
  // So that reload() has put it in its place.
  co_await yield_now();
  for (Duration retry = first_retry;;) {
    worker->wake->reset();
    const RemotePtr remote = worker->remote;
    Bell service(store, key_of(services, remote->service_namespace, remote->service_name));
    Bell endpoints(store, prefix_of(slices, remote->service_namespace));
    service.listen(worker->wake);
    endpoints.listen(worker->wake);
    co_await self->judge(*worker);
    const bool good = worker->told.status == "True";
    retry = good ? first_retry : std::min<Duration>(retry * 2, check_interval);
    co_await worker->wake->wait_until(executor.now() + (good ? check_interval : retry));
    co_await sleep_for(settle_time);
  }
}

Task<void> Aggregator::judge(Worker& worker) {
  const RemotePtr remote = worker.remote;
  Executor& executor = *Executor::current();
  auto known = check_service(registry_.cluster(), *remote);
  if (known) {
    worker.serves.current = false;
    publish();
    co_return co_await tell(worker, std::move(*known));
  }
  Result<std::string> address = remote_address(registry_.cluster(), *remote);
  Result<void> probed;
  if (address) probed = co_await probe_remote(remote, *address);
  else probed = std::unexpected(address.error());
  if (worker.remote != remote && !(*worker.remote == *remote)) co_return worker.wake->set();
  if (!probed) {
    worker.serves.current = false;
    publish();
    co_return co_await tell(worker, {"False", "FailedDiscoveryCheck", probed.error().message});
  }
  // What it serves is known by the time that it counts as available.
  const bool stale = !worker.serves.current || worker.asked + discovery_interval <= executor.now();
  if (stale) {
    auto serves = co_await discover_remote(remote, *address);
    worker.asked = executor.now();
    if (serves) worker.serves = std::move(*serves);
    else worker.serves.current = false;
    if (!serves) log::warn("aggregator", "discovery failed", {{"apiservice", remote->name}, {"error", serves.error()}});
    publish();
  }
  co_await tell(worker, {"True", "Passed", "all checks passed"});
}

Task<void> Aggregator::tell(Worker& worker, Availability now) {
  // Requests find it so before its object says it.
  if (const bool available = now.status == "True"; worker.remote->available != available) {
    RemoteService changed = *worker.remote;
    changed.available = available;
    worker.remote = std::make_shared<const RemoteService>(std::move(changed));
    publish();
  }
  if (worker.told == now) co_return;
  log::info("aggregator", "availability",
            {{"apiservice", worker.remote->name}, {"available", now.status}, {"reason", now.reason}, {"message", now.message}});
  Action action;
  action.verb = Verb::update;
  action.resource = &api_services();
  action.name = worker.remote->name;
  action.subresource = "status";
  action.user = {"system:kube-aggregator", {}, {"system:masters"}, {}};
  action.write.field_manager = "kube-aggregator";
  const WallTime time = registry_.cluster().now();
  auto written = co_await registry_.modify(std::move(action), Part::status,
                                           [now, time](const json::Node& old) { return with_condition(old, now, time); });
  if (written) {
    worker.told = std::move(now);
  } else if (written.error().code != Code::not_found) {
    log::warn("aggregator", "availability is not written", {{"apiservice", worker.remote->name}, {"error", written.error()}});
  }
}

Attributes remote_attributes(const io::Request& request) {
  auto parts = split(std::string_view(request.path).substr(1), '/');
  while (!parts.empty() && parts.back().empty()) parts.pop_back();
  Attributes out;
  const std::string& method = request.method;
  out.verb = method == "POST"                      ? "create"
             : method == "GET" || method == "HEAD" ? "get"
             : method == "PUT"                     ? "update"
             : method == "PATCH"                   ? "patch"
             : method == "DELETE"                  ? "delete"
                                                   : "";
  if (parts.size() <= 3) {
    out.verb = to_lower(method == "HEAD" ? "GET" : method);
    out.path = request.path;
    return out;
  }
  out.group = parts[1];
  out.version = parts[2];
  size_t i = 3;
  const bool old_watch = parts[i] == "watch" && parts.size() > i + 1;
  if (old_watch) ++i;
  if (parts[i] == "namespaces" && parts.size() > i + 1) {
    out.ns = parts[i + 1];
    if (parts.size() > i + 2) i += 2;
  }
  out.resource = parts[i];
  if (parts.size() > i + 1) out.name = parts[i + 1];
  if (parts.size() > i + 2) out.subresource = parts[i + 2];
  if (old_watch) out.verb = "watch";
  else if (out.name.empty() && out.verb == "get") out.verb = request.query.flag("watch") ? "watch" : "list";
  else if (out.name.empty() && out.verb == "delete") out.verb = "deletecollection";
  return out;
}

}  // namespace estiba::apiserver
