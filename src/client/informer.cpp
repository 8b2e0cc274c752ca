#include "client/informer.h"

#include <mutex>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "client/backoff.h"

namespace estiba::client {

std::string key_of(std::string_view ns, std::string_view name) {
  std::string key;
  key.reserve(ns.size() + 1 + name.size());
  if (!ns.empty()) key.append(ns).push_back('/');
  key.append(name);
  return key;
}

std::string key_of(const model::Meta& meta) { return key_of(meta.ns, meta.name); }

std::pair<std::string, std::string> split_key(std::string_view key) {
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return {std::string(), std::string(key)};
  return {std::string(key.substr(0, slash)), std::string(key.substr(slash + 1))};
}

namespace {

/// The informers of all threads.
struct Everybody {
  std::mutex mutex;
  std::unordered_set<Informer*> informers;
};
Everybody& everybody() {
  static Everybody one;
  return one;
}

constexpr size_t shed_at_once = 512;  // buckets, each of about one object

}  // namespace

Informer::Informer(Client& client, Resource resource, std::string ns, ListOptions options)
    : client_(client),
      resource_(resource),
      ns_(std::move(ns)),
      options_(std::move(options)),
      self_(std::make_shared<Informer*>(this)),
      executor_(*Executor::current()) {
  job_ = Job(run());
  std::lock_guard lock(everybody().mutex);
  everybody().informers.insert(this);
}

Informer::~Informer() {
  *self_ = nullptr;
  std::lock_guard lock(everybody().mutex);
  everybody().informers.erase(this);
}

void shed_decoded() {
  std::lock_guard lock(everybody().mutex);
  for (Informer* informer : everybody().informers)
    informer->executor_.post([self = informer->self_] {
      if (*self) (*self)->shedding_ = Job((*self)->shed());
    });
}

// --- reading ---------------------------------------------------------------------------------------------------------

Task<void> Informer::wait_synced() { co_await synced_.wait(); }

model::ObjectRef Informer::get(std::string_view key) const {
  auto it = objects_.find(key);
  return it == objects_.end() ? model::ObjectRef{} : it->second;
}

model::ObjectRef Informer::get(std::string_view ns, std::string_view name) const { return get(key_of(ns, name)); }

std::vector<model::ObjectRef> Informer::list() const {
  std::vector<model::ObjectRef> out;
  out.reserve(objects_.size());
  for (const auto& [key, object] : objects_) out.push_back(object);
  return out;
}

std::vector<model::ObjectRef> Informer::in_namespace(std::string_view ns) { return find(namespace_index(), ns); }

const Informer::Bucket* Informer::bucket_of(Index index, std::string_view value) const {
  const auto& buckets = indexes_[index.id]->buckets;
  auto it = buckets.find(value);
  return it == buckets.end() ? nullptr : &it->second;
}

std::vector<model::ObjectRef> Informer::find(Index index, std::string_view value) const {
  std::vector<model::ObjectRef> out;
  if (const Bucket* bucket = bucket_of(index, value)) {
    out.reserve(bucket->size());
    for (const model::ObjectRef* object : *bucket) out.push_back(*object);
  }
  return out;
}

size_t Informer::count(Index index, std::string_view value) const {
  const Bucket* bucket = bucket_of(index, value);
  return bucket ? bucket->size() : 0;
}

// --- indexes and handlers --------------------------------------------------------------------------------------------

void Informer::on_change(Handler handler) {
  handlers_.push_back(std::make_unique<Handler>(std::move(handler)));
  Handler& added = *handlers_.back();
  for (const model::ObjectRef& object : list()) added({}, object);
}

void Informer::on_lighter(UniqueFunction<void(const model::ObjectRef& object)> handler) { keepers_.push_back(std::move(handler)); }

// By buckets, since the map may change between two turns: objects that move to other buckets meanwhile may be left out.
Task<void> Informer::shed() {
  for (size_t bucket = 0; bucket < objects_.bucket_count(); ++bucket) {
    if (bucket % shed_at_once == shed_at_once - 1) {
      co_await yield_now();
      if (bucket >= objects_.bucket_count()) break;
    }
    for (auto it = objects_.begin(bucket); it != objects_.end(bucket); ++it) {
      model::ObjectPtr lighter = model::Object::lighter(it->second.object);
      if (lighter == it->second.object) continue;
      it->second.object = std::move(lighter);
      for (auto& keeper : keepers_) keeper(it->second);
    }
  }
}

Informer::Index Informer::add_index(IndexFunction function) {
  indexes_.push_back(std::make_unique<IndexData>(IndexData{std::move(function), {}}));
  for (const auto& [key, object] : objects_) link(*indexes_.back(), &object);
  return {indexes_.size() - 1};
}

Informer::Index Informer::shared_index(std::string_view name, IndexFunction function) {
  auto it = shared_indexes_.find(name);
  if (it == shared_indexes_.end()) it = shared_indexes_.emplace(std::string(name), add_index(std::move(function))).first;
  return it->second;
}

Informer::Index Informer::namespace_index() {
  return shared_index("namespace",
                      [](const model::Object& object, std::vector<std::string>& values) { values.push_back(object.meta().ns); });
}

Informer::Index Informer::owner_index() {
  return shared_index("owner", [](const model::Object& object, std::vector<std::string>& values) {
    for (const model::Owner& owner : object.meta().owners) values.push_back(owner.uid);
  });
}

void Informer::link(IndexData& index, const model::ObjectRef* object) {
  scratch_.clear();
  index.function(*object->object, scratch_);
  for (std::string& value : scratch_) {
    Bucket& bucket = index.buckets[std::move(value)];
    if (std::find(bucket.begin(), bucket.end(), object) == bucket.end()) bucket.push_back(object);
  }
}

void Informer::unlink(IndexData& index, const model::ObjectRef* object) {
  scratch_.clear();
  index.function(*object->object, scratch_);
  for (const std::string& value : scratch_) {
    auto it = index.buckets.find(value);
    if (it == index.buckets.end()) continue;
    std::erase(it->second, object);
    if (it->second.empty()) index.buckets.erase(it);
  }
}

void Informer::notify(const model::ObjectRef& before, const model::ObjectRef& after) {
  for (size_t i = 0; i < handlers_.size(); ++i) (*handlers_[i])(before, after);
}

// --- changes ---------------------------------------------------------------------------------------------------------

void Informer::put(const model::ObjectRef& object) {
  std::string key = key_of(object);
  if (auto it = objects_.find(key); it != objects_.end()) {
    if (it->second.revision >= object.revision) return;
    if (it->second.meta().uid == object.meta().uid) {
      for (auto& index : indexes_) unlink(*index, &it->second);
      const model::ObjectRef before = std::exchange(it->second, object);
      for (auto& index : indexes_) link(*index, &it->second);
      return notify(before, object);
    }
    drop(key);
  }
  auto it = objects_.emplace(std::move(key), object).first;
  for (auto& index : indexes_) link(*index, &it->second);
  notify({}, object);
}

void Informer::drop(const std::string& key) {
  auto it = objects_.find(key);
  if (it == objects_.end()) return;
  for (auto& index : indexes_) unlink(*index, &it->second);
  const model::ObjectRef before = std::move(it->second);
  objects_.erase(it);
  notify(before, {});
}

void Informer::observe(const model::ObjectRef& object) {
  // Before the first list there is nothing to be newer than; what the watch has passed it has reported, or removed again.
  if (!object || !synced() || object.revision <= revision_) return;
  put(object);
}

void Informer::observe_gone(const model::ObjectRef& object) {
  const std::string key = key_of(object);
  if (const model::ObjectRef known = get(key); known && known.meta().uid == object.meta().uid) drop(key);
}

void Informer::apply(const WatchEvent& event) {
  if (event.kind == WatchEvent::Kind::added || event.kind == WatchEvent::Kind::modified) {
    put(event.object);
  } else if (event.kind == WatchEvent::Kind::removed) {
    const std::string key = key_of(event.object);
    const model::ObjectRef known = get(key);
    // A newer object of that name, put in by observe, is not the one that went.
    if (known && (known.revision <= event.object.revision || known.meta().uid == event.object.meta().uid)) drop(key);
  }
  revision_ = std::max(revision_, event.object.revision);
}

void Informer::replace(const List& list) {
  std::unordered_map<std::string_view, bool> names;  // of this list, by key; views into `keys`
  std::vector<std::string> keys;
  keys.reserve(list.items.size());
  for (const model::ObjectRef& item : list.items) names.emplace(keys.emplace_back(key_of(item)), true);
  std::vector<std::string> lost;
  for (const auto& [key, object] : objects_)
    if (!names.contains(key) && object.revision <= list.revision) lost.push_back(key);
  for (const std::string& key : lost) drop(key);
  for (const model::ObjectRef& item : list.items) put(item);
  revision_ = list.revision;
}

Task<Result<void>> Informer::list_once() {
  const List list = CO_TRY(co_await client_.list(resource_, ns_, options_));
  replace(list);
  synced_.set();
  co_return {};
}

Task<Result<void>> Informer::watch_once(bool* began, bool* progressed) {
  std::unique_ptr<WatchStream> stream = CO_TRY(co_await client_.watch(resource_, ns_, revision_, options_));
  *began = true;
  for (;;) {
    const std::vector<WatchEvent> batch = CO_TRY(co_await stream->next());
    *progressed = true;
    for (const WatchEvent& event : batch) apply(event);
  }
}

Task<void> Informer::run() {
  Backoff backoff(std::chrono::milliseconds(20), std::chrono::seconds(30));
  bool must_list = true, said = false;
  for (;;) {
    Result<void> result;
    bool began = false, progressed = false;
    if (must_list) result = co_await list_once();
    if (result) {
      must_list = false;
      result = co_await watch_once(&began, &progressed);
      if (!result && result.error().code == Code::gone) must_list = true;
    }
    if (progressed) backoff.reset();
    // A watch that ends is normal: a server's time limit, a restart. What does not begin is worth a line.
    const bool failing = !result && !began;
    if (failing && !said)
      log::info("informer", "waiting to list and watch again", {{"resource", std::string(resource_.name)}, {"error", result.error()}});
    said = failing;
    co_await sleep_for(backoff.next());
  }
}

Informer& Informers::of(Resource resource, std::string ns, ListOptions options) {
  std::string key;
  for (std::string_view part : {resource.group, resource.version, resource.name, std::string_view(ns),
                                std::string_view(options.label_selector), std::string_view(options.field_selector)})
    key.append(part).push_back('\n');
  auto& informer = informers_[key];
  if (!informer) informer = std::make_unique<Informer>(client_, resource, std::move(ns), std::move(options));
  return *informer;
}

}  // namespace estiba::client
