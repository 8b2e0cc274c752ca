#include "client/testing/fake_client.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/strings.h"
#include "base/time.h"
#include "client/informer.h"

namespace estiba::client::testing {

using model::ObjectRef;

static std::string kind_of(Resource resource) {
  std::string kind(resource.name);
  if (!resource.group.empty()) kind.append(".").append(resource.group);
  return kind;
}

template <class T>
static T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "the fake client cannot do what the test asks: %s\n", result.error().message.c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// --- watches ---------------------------------------------------------------------------------------------------------

class FakeClient::Stream final : public WatchStream {
 public:
  Stream(FakeClient& client, std::string kind, std::string ns, std::string name, int64_t revision)
      : client_(client), kind_(std::move(kind)), ns_(std::move(ns)), name_(std::move(name)), revision_(revision) {
    at_ = client_.streams_.insert(client_.streams_.end(), this);
  }
  ~Stream() override { client_.streams_.erase(at_); }

  Task<Result<std::vector<WatchEvent>>> next() override {
    for (;;) {
      if (ended_) co_return fail(*ended_, "watch " + kind_ + ": ended by the test");
      if (!client_.held_) {
        if (revision_ < client_.compacted_) co_return fail(Code::gone, "watch " + kind_ + ": too old");
        std::vector<WatchEvent> batch;
        auto newer =
            std::ranges::upper_bound(client_.log_, revision_, {}, [](const LogEntry& entry) { return entry.event.object.revision; });
        for (const LogEntry& entry : std::ranges::subrange(newer, client_.log_.end())) {
          if (entry.kind != kind_ || (!ns_.empty() && entry.ns != ns_)) continue;
          if (name_.empty() || entry.event.object.meta().name == name_) batch.push_back(entry.event);
        }
        revision_ = std::max(revision_, client_.revision_);
        if (!batch.empty()) co_return batch;
      }
      changed.reset();
      co_await changed.wait();
    }
  }
  void end(Code code) {
    ended_ = code;
    changed.set();
  }
  Event changed;

 private:
  friend class FakeClient;
  FakeClient& client_;
  const std::string kind_, ns_, name_;
  int64_t revision_;
  std::optional<Code> ended_;
  std::list<Stream*>::iterator at_;
};

void FakeClient::wake() {
  for (Stream* stream : streams_) stream->changed.set();
}
void FakeClient::hold_watches(bool held) {
  held_ = held;
  if (!held) wake();
}
void FakeClient::end_watches(Code code) {
  for (Stream* stream : streams_) stream->end(code);
}
void FakeClient::compact() {
  compacted_ = revision_;
  log_.clear();
}

void FakeClient::shed() {
  for (auto& [kind, table] : tables_)
    for (auto& [key, ref] : table) ref.object = model::Object::lighter(ref.object);
  for (LogEntry& entry : log_)
    if (entry.event.object) entry.event.object.object = model::Object::lighter(entry.event.object.object);
  shed_decoded();
}

// --- storage ---------------------------------------------------------------------------------------------------------

ObjectRef FakeClient::find(Resource resource, std::string_view ns, std::string_view name) const {
  auto table = tables_.find(kind_of(resource));
  if (table == tables_.end()) return {};
  auto it = table->second.find(key_of(ns, name));
  return it == table->second.end() ? ObjectRef{} : it->second;
}

std::vector<ObjectRef> FakeClient::all(Resource resource, std::string_view ns) const {
  std::vector<ObjectRef> out;
  if (auto table = tables_.find(kind_of(resource)); table != tables_.end())
    for (const auto& [key, object] : table->second)
      if (ns.empty() || object.meta().ns == ns) out.push_back(object);
  return out;
}

Result<ObjectRef> FakeClient::require(Resource resource, std::string_view ns, std::string_view name) const {
  ObjectRef object = find(resource, ns, name);
  if (!object) return fail(Code::not_found, std::string(resource.name) + " \"" + std::string(name) + "\" not found");
  return object;
}

ObjectRef FakeClient::commit(Resource resource, const std::string& key, model::ObjectPtr object, WatchEvent::Kind kind) {
  ObjectRef ref{std::move(object), ++revision_};
  Table& table = tables_[kind_of(resource)];
  if (kind == WatchEvent::Kind::removed) table.erase(key);
  else table[key] = ref;
  log_.push_back({kind_of(resource), ref.meta().ns, {kind, ref}});
  wake();
  return ref;
}

static json::Node& metadata_of(json::Document& document) { return document.ensure_object(document.root(), "metadata"); }

Result<ObjectRef> FakeClient::do_create(Resource resource, std::string_view ns, std::string_view body) {
  json::Document document = TRY(json::Document::parse(body));
  json::Node& metadata = metadata_of(document);
  if (!ns.empty()) document.set(metadata, "namespace", ns);
  std::string name(metadata.string_at("name"));
  if (name.empty()) {
    const std::string prefix(metadata.string_at("generateName"));
    if (prefix.empty()) return fail(Code::invalid, "metadata.name is missing");
    char number[24];
    std::snprintf(number, sizeof number, "%05llu", static_cast<unsigned long long>(++names_));
    name = prefix + safe_encode(number);
    document.set(metadata, "name", name);
  }
  const std::string key = key_of(ns, name);
  if (find(resource, ns, name)) return fail(Code::already_exists, std::string(resource.name) + " \"" + name + "\" already exists");
  if (metadata.string_at("uid").empty()) document.set(metadata, "uid", "uid-" + std::to_string(revision_ + 1));
  if (metadata.string_at("creationTimestamp").empty()) document.set(metadata, "creationTimestamp", format_rfc3339(executor_.wall_now()));
  document.set(metadata, "generation", document.make_int(1));
  if (resource == namespaces) {
    json::Node& spec = document.ensure_object(document.root(), "spec");
    if (!spec.find("finalizers"))
      document.append(document.set(spec, "finalizers", document.make_array()), document.make_string("kubernetes"));
  }
  return commit(resource, key, TRY(model::Object::make(document.root())), WatchEvent::Kind::added);
}

Result<ObjectRef> FakeClient::review_access(std::string_view body) const {
  json::Document review = TRY(json::Document::parse(body));
  const json::Node* spec = review.root().find("spec");
  json::Node& status = review.ensure_object(review.root(), "status");
  review.set(status, "allowed", review.make_bool(spec && may && may(*spec)));
  return ObjectRef{TRY(model::Object::make(review.root())), 0};
}

// As the API server refuses it; a test's own add() may.
static Result<void> require_lasting(const FakeClient& client, const std::string& ns) {
  const ObjectRef space = ns.empty() ? ObjectRef{} : client.find(namespaces, "", ns);
  if (!space || space.meta().deletion_timestamp.empty()) return {};
  Error error{.code = Code::forbidden, .message = "unable to create new content in namespace " + ns + " because it is being terminated"};
  error.details = std::make_shared<ErrorDetails>();
  error.details->causes.push_back({.reason = "NamespaceTerminating", .field = "metadata.namespace"});
  return std::unexpected(std::move(error));
}

// `next` is the whole object as it is wanted; what the subresource does not cover is taken from the present one.
Result<ObjectRef> FakeClient::do_update(Resource resource, const std::string& key, json::Document next, std::string_view subresource) {
  const ObjectRef present = tables_[kind_of(resource)].at(key);
  if (const std::string_view version = next.root().string_at("metadata", "resourceVersion");
      !version.empty() && version != present.resource_version())
    return fail(Code::conflict, std::string(resource.name) + " \"" + key + "\": the object has been modified");
  if (const std::string_view uid = next.root().string_at("metadata", "uid"); !uid.empty() && uid != present.meta().uid)
    return fail(Code::conflict, std::string(resource.name) + " \"" + key + "\": another uid");
  json::Document result = TRY(json::Document::parse(present.object->json()));
  json::Node& metadata = metadata_of(result);
  const auto take = [&](json::Node& into, const json::Node* from, std::string_view member) {
    if (const json::Node* node = from ? from->find(member) : nullptr) result.set(into, member, result.copy(*node));
    else result.remove(into, member);
  };
  if (subresource == "status" || subresource == "approval") {
    take(result.root(), &next.root(), "status");
    take(metadata, next.root().find("metadata"), "annotations");
  } else if (subresource == "finalize") {
    take(result.ensure_object(result.root(), "spec"), next.root().find("spec"), "finalizers");
  } else {
    std::vector<std::string> members;
    for (const json::Node& member : result.root()) members.emplace_back(member.key());
    for (const json::Node& member : next.root()) members.emplace_back(member.key());
    for (const std::string& member : members)
      if (member != "metadata" && member != "status") take(result.root(), &next.root(), member);
    for (std::string_view member : {"labels", "annotations", "ownerReferences", "finalizers"})
      take(metadata, next.root().find("metadata"), member);
    const json::Document before = TRY(json::Document::parse(present.object->json()));
    const json::Node *old_spec = before.root().find("spec"), *new_spec = result.root().find("spec");
    // A Deployment's annotations count, too, but for those that the status brings.
    const json::Node *old_notes = before.root().at("metadata", "annotations"), *new_notes = result.root().at("metadata", "annotations");
    const auto differ = [](const json::Node* a, const json::Node* b) { return (a || b) && !(a && b && json::equal(*a, *b)); };
    if (differ(old_spec, new_spec) || (resource == deployments && differ(old_notes, new_notes)))
      result.set(metadata, "generation", result.make_int(present.meta().generation + 1));
  }
  model::ObjectPtr object = TRY(model::Object::make(result.root()));
  if (object->json() == present.object->json()) return present;
  const json::Node* own = result.root().at("spec", "finalizers");
  const bool held =
      !object->meta().finalizers.empty() || (resource == namespaces && own && !own->empty()) || object->meta().deletion_grace_seconds > 0;
  const bool goes = !object->meta().deletion_timestamp.empty() && !held;
  return commit(resource, key, std::move(object), goes ? WatchEvent::Kind::removed : WatchEvent::Kind::modified);
}

// RFC 7386.
static void merge_into(json::Document& document, json::Node& target, const json::Node& patch) {
  for (const json::Node& member : patch) {
    if (member.is_null()) {
      document.remove(target, member.key());
    } else if (member.is_object()) {
      json::Node* child = target.find(member.key());
      if (!child || !child->is_object()) child = &document.set(target, member.key(), document.make_object());
      merge_into(document, *child, member);
    } else {
      document.set(target, member.key(), document.copy(member));
    }
  }
}

Result<ObjectRef> FakeClient::do_patch(Resource resource, std::string_view ns, std::string_view name, std::string_view body,
                                       std::string_view subresource) {
  const ObjectRef present = TRY(require(resource, ns, name));
  const json::Document patch = TRY(json::Document::parse(body));
  json::Document next = TRY(json::Document::parse(present.object->json()));
  merge_into(next, next.root(), patch.root());
  return do_update(resource, key_of(ns, name), std::move(next), subresource);
}

Result<void> FakeClient::do_remove(Resource resource, std::string_view ns, std::string_view name, const DeleteOptions& options) {
  const ObjectRef present = TRY(require(resource, ns, name));
  if (!options.uid.empty() && options.uid != present.meta().uid) return fail(Code::conflict, "another uid");
  if (!options.resource_version.empty() && options.resource_version != present.resource_version())
    return fail(Code::conflict, "another resourceVersion");
  json::Document next = TRY(json::Document::parse(present.object->json()));
  json::Node& metadata = metadata_of(next);
  bool held = !present.meta().finalizers.empty();
  const std::string_view finalizer = options.propagation == "Foreground" ? "foregroundDeletion"
                                     : options.propagation == "Orphan"   ? "orphan"
                                                                         : "";
  if (!finalizer.empty()) {
    json::Node* list = metadata.find("finalizers");
    if (!list || !list->is_array()) list = &next.set(metadata, "finalizers", next.make_array());
    const auto& present_ones = present.meta().finalizers;
    if (std::find(present_ones.begin(), present_ones.end(), finalizer) == present_ones.end())
      next.append(*list, next.make_string(finalizer));
    held = true;
  }
  int64_t grace = 0;
  if (resource == pods) {
    const json::Node* wanted = next.root().at("spec", "terminationGracePeriodSeconds");
    grace = options.grace_seconds.value_or(wanted ? wanted->as_int().value_or(30) : 30);
    const std::string_view phase = next.root().string_at("status", "phase");
    if (next.root().string_at("spec", "nodeName").empty() || phase == "Failed" || phase == "Succeeded") grace = 0;
    held |= grace > 0;
  }
  if (resource == namespaces) {
    const json::Node* own = next.root().at("spec", "finalizers");
    held |= own && !own->empty();
    next.set(next.ensure_object(next.root(), "status"), "phase", "Terminating");
  }
  if (!held) {
    commit(resource, key_of(ns, name), present.object, WatchEvent::Kind::removed);
    return {};
  }
  if (present.meta().deletion_timestamp.empty())
    next.set(metadata, "deletionTimestamp", format_rfc3339(executor_.wall_now() + std::chrono::seconds(grace)));
  next.set(metadata, "deletionGracePeriodSeconds", next.make_int(grace));
  model::ObjectPtr object = TRY(model::Object::make(next.root()));
  if (object->json() != present.object->json()) commit(resource, key_of(ns, name), std::move(object), WatchEvent::Kind::modified);
  return {};
}

Result<void> FakeClient::do_bind(std::string_view ns, std::string_view name, std::string_view body) {
  const ObjectRef present = TRY(require(pods, ns, name));
  const json::Document binding = TRY(json::Document::parse(body));
  json::Document next = TRY(json::Document::parse(present.object->json()));
  json::Node& spec = next.ensure_object(next.root(), "spec");
  if (!spec.string_at("nodeName").empty()) return fail(Code::conflict, "pod \"" + std::string(name) + "\" is already assigned to a node");
  next.set(spec, "nodeName", binding.root().string_at("target", "name"));
  commit(pods, key_of(ns, name), TRY(model::Object::make(next.root())), WatchEvent::Kind::modified);
  return {};
}

// --- what a test does ------------------------------------------------------------------------------------------------

ObjectRef FakeClient::add(Resource resource, std::string_view ns, std::string_view body) {
  ObjectRef made = must(do_create(resource, ns, body));
  return made;
}
ObjectRef FakeClient::merge(Resource resource, std::string_view ns, std::string_view name, std::string_view patch,
                            std::string_view subresource) {
  return must(do_patch(resource, ns, name, patch, subresource));
}
void FakeClient::erase(Resource resource, std::string_view ns, std::string_view name, DeleteOptions options) {
  must(do_remove(resource, ns, name, options));
}

// The patch with the present conditions that it does not name: what a strategic patch means by a list of them.
static Result<std::string> with_conditions(const ObjectRef& present, std::string_view body) {
  json::Document patch = TRY(json::Document::parse(body));
  const json::Document there = TRY(json::Document::parse(present.object->json()));
  json::Node* status = patch.root().find("status");
  json::Node* given = status ? status->find("conditions") : nullptr;
  const json::Node* old = there.root().at("status", "conditions");
  if (!given || !old) return std::string(body);
  for (const json::Node& condition : *old) {
    const auto same = [&](const json::Node& other) { return other.string_at("type") == condition.string_at("type"); };
    if (std::none_of(given->begin(), given->end(), same)) patch.append(*given, patch.copy(condition));
  }
  return json::print(patch.root());
}

// --- what the code under test calls ----------------------------------------------------------------------------------

// A call takes a turn of the executor to arrive, as with the real one.
Task<Result<void>> FakeClient::arrive(std::string_view verb, Resource resource, std::string_view name) {
  co_await yield_now();
  ++calls[std::string(verb) + " " + std::string(resource.name)];
  if (before_call) co_return before_call(verb, resource, name);
  co_return {};
}

Task<void> FakeClient::answer() {
  if (answer_late)
    for (int turn = 0; turn < 3; ++turn) co_await yield_now();
}

Task<Result<ObjectRef>> FakeClient::get(Resource resource, std::string ns, std::string name) {
  CO_TRY(co_await arrive("get", resource, name));
  co_return require(resource, ns, name);
}

// One object by its name is the only selector there is.
static Result<std::string> selected_name(const ListOptions& options) {
  constexpr std::string_view field = "metadata.name=";
  if (options.label_selector.empty() && options.field_selector.empty()) return std::string();
  if (options.label_selector.empty() && options.field_selector.starts_with(field)) return options.field_selector.substr(field.size());
  return fail(Code::unsupported, "the fake client selects by metadata.name only");
}

Task<Result<List>> FakeClient::list(Resource resource, std::string ns, ListOptions options) {
  CO_TRY(co_await arrive("list", resource, {}));
  const std::string name = CO_TRY(selected_name(options));
  List list{all(resource, ns), revision_};
  if (!name.empty()) std::erase_if(list.items, [&](const ObjectRef& item) { return item.meta().name != name; });
  co_return list;
}

Task<Result<std::unique_ptr<WatchStream>>> FakeClient::watch(Resource resource, std::string ns, int64_t revision, ListOptions options) {
  CO_TRY(co_await arrive("watch", resource, {}));
  std::string name = CO_TRY(selected_name(options));
  if (revision < compacted_) co_return fail(Code::gone, "watch " + kind_of(resource) + ": too old");
  co_return std::make_unique<Stream>(*this, kind_of(resource), std::move(ns), std::move(name), revision);
}

Task<Result<ObjectRef>> FakeClient::create(Resource resource, std::string ns, std::string body, WriteOptions) {
  CO_TRY(co_await arrive("create", resource, {}));
  if (resource.name == "subjectaccessreviews") co_return review_access(body);
  CO_TRY(require_lasting(*this, ns));
  auto made = do_create(resource, ns, body);
  co_await answer();
  co_return made;
}

Task<Result<ObjectRef>> FakeClient::update(Resource resource, std::string ns, std::string name, std::string body, WriteOptions options) {
  CO_TRY(co_await arrive("update", resource, name));
  CO_TRY(require(resource, ns, name));
  auto written = do_update(resource, key_of(ns, name), CO_TRY(json::Document::parse(body)), options.subresource);
  co_await answer();
  co_return written;
}

Task<Result<ObjectRef>> FakeClient::patch(Resource resource, std::string ns, std::string name, PatchType type, std::string body,
                                          WriteOptions options) {
  CO_TRY(co_await arrive("patch", resource, name));
  if (type == PatchType::json) co_return fail(Code::unsupported, "the fake client knows no JSON patches");
  if (type == PatchType::strategic) body = CO_TRY(with_conditions(CO_TRY(require(resource, ns, name)), body));
  auto written = do_patch(resource, ns, name, body, options.subresource);
  co_await answer();
  co_return written;
}

Task<Result<void>> FakeClient::remove(Resource resource, std::string ns, std::string name, DeleteOptions options) {
  CO_TRY(co_await arrive("remove", resource, name));
  auto removed = do_remove(resource, ns, name, options);
  co_await answer();
  co_return removed;
}

Task<Result<std::string>> FakeClient::call(Resource resource, std::string ns, std::string name, std::string subresource, std::string body) {
  CO_TRY(co_await arrive("call", resource, name));
  if (resource != pods || (subresource != "binding" && subresource != "eviction"))
    co_return fail(Code::unsupported, "the fake client knows pods/binding and pods/eviction only");
  if (subresource == "eviction") CO_TRY(do_remove(resource, ns, name, {}));  // it knows of no budgets: before_call may refuse
  else CO_TRY(do_bind(ns, name, body));
  co_await answer();
  co_return std::string("{}");
}

}  // namespace estiba::client::testing
