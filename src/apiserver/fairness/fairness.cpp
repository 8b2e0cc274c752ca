#include "apiserver/fairness/fairness.h"

#include <algorithm>

#include "apiserver/api_errors.h"
#include "apiserver/bell.h"
#include "apiserver/edit.h"
#include "apiserver/fairness/bootstrap.h"
#include "apiserver/kept.h"
#include "apiserver/own_action.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "observe/metrics.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view group = "flowcontrol.apiserver.k8s.io", auto_update = "apf.kubernetes.io/autoupdate-spec";
constexpr Duration patience = 15s, retry_interval = 30s, settle_time = 50ms;

const Resource& row(std::string_view resource) { return *model::schema::find_resource(group, "v1", resource); }

Action make(Verb verb, std::string_view resource, std::string name) {
  Action action = own_action(verb, row(resource), {}, std::move(name));
  action.write.user_agent = "api-priority-and-fairness-config-producer-v1";
  return action;
}

std::vector<json::Document> read_all(const Cluster& cluster, std::string_view resource) {
  std::vector<json::Document> out;
  auto objects = cluster.all(group, resource);
  if (!objects) return out;
  for (const model::ObjectRef& object : *objects)
    if (auto doc = json::Document::parse(object.object->json())) out.push_back(std::move(*doc));
  return out;
}

// The mandatory objects count whether they are stored (yet) or not.
void add_missing(std::vector<json::Document>& docs, std::string_view resource) {
  for (const FairnessObject& one : fairness_objects()) {
    if (one.resource != resource || !one.mandatory) continue;
    const bool there = std::any_of(docs.begin(), docs.end(),
                                   [&](const json::Document& doc) { return doc.root().string_at("metadata", "name") == one.name; });
    if (!there) docs.push_back(std::move(*json::Document::parse(one.json())));
  }
}

observe::Counter& counter(std::string_view what, const Fairness::Class& found) {
  static auto& family = observe::metrics().counters("apiserver_flowcontrol_requests_total",
                                                    "Requests that waited or were refused, by priority level and flow schema.",
                                                    {"outcome", "priority_level", "flow_schema"});
  return family.with({std::string(what), found.level->name(), found.schema.name});
}

}  // namespace

const Fairness::Class* Fairness::Rules::find(const User& user, const Attributes& asked) const {
  for (const Class& one : classes)
    if (one.schema.matches(user, asked)) return &one;
  return nullptr;
}

const Fairness::Class* Fairness::Rules::catch_all() const {
  auto found = std::find_if(classes.begin(), classes.end(), [](const Class& one) { return one.schema.name == "catch-all"; });
  return found == classes.end() ? nullptr : &*found;
}

Fairness::Fairness(Registry& registry, int seats) : registry_(registry), seats_(seats) { reload(); }

Fairness::RulesPtr Fairness::rules() const {
  std::lock_guard lock(mutex_);
  return rules_;
}

Fairness::Pass Fairness::classify(const User& user, const Attributes& asked, io::Response& response) const {
  Pass out{rules(), nullptr};
  out.found = out.rules->find(user, asked);
  // "catch-all" matches everybody who is known or unknown; who is neither goes with it.
  if (!out.found) out.found = out.rules->catch_all();
  if (!out.found || out.found->schema.uid.empty()) return out;
  response.always("X-Kubernetes-PF-FlowSchema-UID", out.found->schema.uid);
  response.always("X-Kubernetes-PF-PriorityLevel-UID", out.found->level_uid);
  return out;
}

bool Fairness::try_enter(const Pass& pass, Seat& seat) {
  if (!pass.found || pass.found->level->exempt()) return true;
  seat = pass.found->level->try_enter();
  return bool(seat);
}

Task<bool> Fairness::enter(Pass pass, uint64_t flow, Seat* seat) {
  counter("waited", *pass.found).add();
  *seat = co_await pass.found->level->enter(flow, patience);
  if (!*seat) counter("refused", *pass.found).add();
  co_return bool(*seat);
}

void Fairness::reload() {
  std::lock_guard reloading(reload_mutex_);
  auto level_docs = read_all(registry_.cluster(), "prioritylevelconfigurations");
  auto schema_docs = read_all(registry_.cluster(), "flowschemas");
  add_missing(level_docs, "prioritylevelconfigurations");
  add_missing(schema_docs, "flowschemas");
  std::vector<LevelConfig> configs;
  for (const json::Document& doc : level_docs) configs.push_back(read_level(doc.root()));
  divide_seats(configs, seats_);
  std::map<std::string, std::shared_ptr<Level>, std::less<>> levels;
  std::map<std::string, std::string, std::less<>> uids;
  std::vector<std::shared_ptr<Level>> all;
  for (const LevelConfig& config : configs) {
    // A level keeps its seats and queues whatever becomes of its configuration.
    auto old = levels_.find(config.name);
    auto level = old != levels_.end() ? old->second : std::make_shared<Level>(config.name, lending_);
    level->reshape(config.shape);
    all.push_back(level);
    uids[config.name] = config.uid;
    levels[config.name] = std::move(level);
  }
  auto made = std::make_shared<Rules>();
  for (const json::Document& doc : schema_docs) {
    FlowSchema schema = read_flow_schema(doc.root());
    auto level = levels.find(schema.level_name);
    // One that dangles matches nothing.
    if (level != levels.end()) made->classes.push_back({std::move(schema), level->second, uids[level->first]});
  }
  std::sort(made->classes.begin(), made->classes.end(), [](const Class& a, const Class& b) {
    return a.schema.precedence != b.schema.precedence ? a.schema.precedence < b.schema.precedence : a.schema.name < b.schema.name;
  });
  levels_ = std::move(levels);
  lending_->set(std::move(all));
  std::lock_guard lock(mutex_);
  rules_ = std::move(made);
}

// Mandatory objects that are missing or differ are put right; suggested ones are made, and follow us while their annotation says so.
Task<Result<void>> Fairness::restore() {
  Result<void> result;
  for (const FairnessObject& one : fairness_objects()) {
    auto there = registry_.cluster().find(group, one.resource, "", one.name);
    if (!there && there.error().code != Code::not_found) co_return std::unexpected(std::move(there.error()));
    Action action = make(there ? Verb::patch : Verb::create, one.resource, std::string(one.name));
    if (there) {
      auto doc = json::Document::parse(there->object->json());
      auto wanted = json::Document::parse(one.spec);
      const bool follows = one.mandatory || (doc && doc->root().string_at("metadata", "annotations", auto_update) == "true");
      // Of "exempt", users may change the shares.
      const bool free = one.resource == "prioritylevelconfigurations" && one.name == "exempt";
      if (!doc || !follows || free || same(doc->root().find("spec"), &wanted->root())) continue;
      action.body_type = BodyType::json_patch;
      action.body = R"([{"op":"replace","path":"/spec","value":)" + std::string(one.spec) + "}]";
    } else {
      action.body = one.json();
    }
    auto written = there ? co_await registry_.patch(std::move(action)) : co_await registry_.create(std::move(action));
    if (!written && written.error().code != Code::already_exists && written.error().code != Code::not_found)
      result = std::unexpected(std::move(written.error()).context(std::string(one.name)));
  }
  co_return result;
}

// The condition Dangling of each FlowSchema: whether its priority level is missing.
Task<void> Fairness::tell_dangling() {
  auto schemas = read_all(registry_.cluster(), "flowschemas");
  for (const json::Document& doc : schemas) {
    const std::string name(doc.root().string_at("metadata", "name"));
    const std::string wanted(doc.root().string_at("spec", "priorityLevelConfiguration", "name"));
    const bool there = registry_.cluster().find(group, "prioritylevelconfigurations", "", wanted).has_value();
    const std::string status = there ? "False" : "True", reason = there ? "Found" : "NotFound";
    const std::string message = "This FlowSchema references the PriorityLevelConfiguration object named " + quoted(wanted) +
                                (there ? " and it exists" : " but there is no such object");
    const json::Node* conditions = doc.root().at("status", "conditions");
    bool told = false;
    for (size_t i = 0; present(conditions) && i < conditions->size(); ++i) {
      const json::Node& one = (*conditions)[i];
      told |= one.string_at("type") == "Dangling" && one.string_at("status") == status && one.string_at("message") == message;
    }
    if (told) continue;
    Action action = make(Verb::patch, "flowschemas", name);
    action.subresource = "status";
    // Conditions of other types are others' to keep.
    action.body_type = BodyType::strategic_patch;
    json::Document body;
    body.set_root(body.make_object());
    json::Node& list = ensure_array(body, body.ensure_object(body.root(), "status"), "conditions");
    json::Node& condition = body.append(list, body.make_object());
    body.set(condition, "type", "Dangling");
    body.set(condition, "status", status);
    body.set(condition, "lastTransitionTime", format_rfc3339(registry_.cluster().now()));
    body.set(condition, "reason", reason);
    body.set(condition, "message", message);
    action.body = json::print(body.root());
    auto written = co_await registry_.patch(std::move(action));
    if (!written && written.error().code != Code::not_found)
      log::warn("fairness", "a condition is not written", {{"flowschema", name}, {"error", written.error()}});
  }
}

Task<void> Fairness::run() {
  store::Store& store = registry_.cluster().store();
  Bell schemas(store, prefix_of(row("flowschemas"))), levels(store, prefix_of(row("prioritylevelconfigurations")));
  Executor& executor = *Executor::current();
  auto changed = std::make_shared<Event>();
  for (;;) {
    changed->reset();
    schemas.listen(changed);
    levels.listen(changed);
    reload();
    if (auto restored = co_await restore(); !restored)
      log::warn("fairness", "objects of priority and fairness are not all there", {{"error", restored.error()}});
    co_await tell_dangling();
    co_await changed->wait_until(executor.now() + retry_interval);
    co_await sleep_for(settle_time);
  }
}

void refuse_for_now(io::Response& response) {
  response.always("Retry-After", "1");
  response.send(429, {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}},
                "Too many requests, please try again later.\n");
}

}  // namespace estiba::apiserver
