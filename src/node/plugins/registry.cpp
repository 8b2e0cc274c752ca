#include "node/plugins/registry.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "io/file_watch.h"
#include "io/grpc.h"
#include "node/plugins/registration_api.h"
#include "os/file.h"

namespace estiba::node {

using namespace std::chrono_literals;
using registration_api::PluginInfo;
using registration_api::RegistrationStatus;

namespace {
constexpr Duration connect_limit = 10s, call_limit = 60s;
constexpr Duration first_retry = 500ms, last_retry = 2min;
constexpr Duration look_again = 1min;  // the directory itself may be replaced
}  // namespace

struct PluginRegistry::Entry {
  std::string path, mark;
  std::optional<RegisteredPlugin> taken;
  Job job;  // last: ends first
};

PluginRegistry::PluginRegistry(std::string dir, io::Pool& pool) : dir_(std::move(dir)), pool_(pool) {}
PluginRegistry::~PluginRegistry() = default;

void PluginRegistry::serve(std::string_view type, Handler handler) { handlers_.emplace(type, std::move(handler)); }

Result<void> PluginRegistry::start() {
  TRY(os::make_dirs(dir_, 0755));
  job_ = Job(watch(this));
  return {};
}

void PluginRegistry::stop() {
  job_.cancel();
  entries_.clear();
}

// --- the directory ---------------------------------------------------------------------------------------------------

Task<void> PluginRegistry::watch(PluginRegistry* self) {
  co_await yield_now();  // who made this goes on
  for (;;) {
    // Watched before it is read, so that nothing falls between; anew each time, because another directory may have its name.
    auto watched = io::FileWatch::open(self->dir_ + "/");
    if (auto found = co_await self->pool_.run([dir = self->dir_] { return look(dir); })) self->compare(std::move(*found));
    if (watched) co_await with_timeout(look_again, watched->changed());
    else co_await sleep_for(look_again);
  }
}

Result<PluginRegistry::Found> PluginRegistry::look(const std::string& dir) {
  Found out;
  for (const os::DirEntry& entry : TRY(os::list_dir(dir))) {
    struct stat info{};
    const std::string path = dir + "/" + entry.name;
    if (entry.name.starts_with('.') || ::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) continue;
    out[path] = std::to_string(info.st_ino) + "/" + std::to_string(info.st_ctim.tv_sec) + "." + std::to_string(info.st_ctim.tv_nsec);
  }
  return out;
}

void PluginRegistry::compare(Found found) {
  std::vector<RegisteredPlugin> gone;
  std::erase_if(entries_, [&](auto& item) {
    const auto still = found.find(item.first);
    if (still != found.end() && still->second == item.second->mark) return false;
    if (item.second->taken) gone.push_back(std::move(*item.second->taken));
    return true;
  });
  for (RegisteredPlugin& plugin : gone) {
    log::info("node", "a plugin has gone", {{"type", plugin.type}, {"name", plugin.name}, {"socket", plugin.socket}});
    handlers_.find(plugin.type)->second.gone(std::move(plugin));
  }
  for (const auto& [path, mark] : found) {
    auto& entry = entries_[path];
    if (entry) continue;
    entry = std::make_unique<Entry>();
    entry->path = path;
    entry->mark = mark;
    entry->job = Job(keep(this, entry.get()));
  }
}

// --- a plugin --------------------------------------------------------------------------------------------------------

Task<void> PluginRegistry::keep(PluginRegistry* self, Entry* entry) {
  co_await yield_now();
  std::string told;
  for (Duration wait = first_retry;; wait = std::min(wait * 2, last_retry)) {
    auto done = co_await self->register_once(entry);
    if (done) co_return;
    if (done.error().message != told)
      log::warn("node", "a plugin is not registered; will try again", {{"socket", entry->path}, {"error", done.error()}});
    told = done.error().message;
    co_await sleep_for(wait);
  }
}

Result<RegisteredPlugin> PluginRegistry::check(const std::string& socket, const std::string& message) const {
  PluginInfo info;
  if (!protobuf::decode(message, info)) return fail(Code::malformed, "GetInfo: the answer cannot be read");
  if (!handlers_.contains(info.type))
    return fail(Code::unsupported, "no handler registered for plugin type " + quoted(info.type) + " at socket " + socket);
  if (info.name.empty()) return fail(Code::invalid, "plugin at socket " + socket + " has no name");
  RegisteredPlugin out{std::move(info.type), std::move(info.name), std::move(info.endpoint), std::move(info.supported_versions), socket};
  // A plugin that serves both at one socket may leave it out (pkg/kubelet/pluginmanager/operationexecutor).
  if (out.endpoint.empty()) out.endpoint = socket;
  if (!out.endpoint.starts_with('/'))
    return fail(Code::invalid, "plugin " + quoted(out.name) + ": endpoint " + quoted(out.endpoint) + " is not an absolute path");
  return out;
}

Task<Result<void>> PluginRegistry::register_once(Entry* entry) {
  auto connection = CO_TRY_AS("connect", co_await io::GrpcConnection::connect_unix(entry->path, connect_limit));
  auto answer = co_await connection->call("/pluginregistration.Registration/GetInfo", {}, {}, call_limit);
  if (!answer.status.ok()) co_return fail(Code::unavailable, "GetInfo: " + answer.status.message);
  auto plugin = check(entry->path, answer.message);
  Result<void> taken = plugin ? Result<void>{} : std::unexpected(plugin.error());
  if (plugin) taken = co_await handlers_.find(plugin->type)->second.registered(*plugin);
  if (taken) entry->taken = *plugin;
  const RegistrationStatus status{taken.has_value(), taken ? std::string() : taken.error().message};
  answer = co_await connection->call("/pluginregistration.Registration/NotifyRegistrationStatus", protobuf::encode(status), {}, call_limit);
  if (!taken) co_return taken;
  log::info("node", "a plugin has registered", {{"type", plugin->type}, {"name", plugin->name}, {"endpoint", plugin->endpoint}});
  // It is registered all the same: what it makes of our word is its own affair.
  if (!answer.status.ok())
    log::warn("node", "a plugin took no notice of its registration", {{"name", plugin->name}, {"error", answer.status.message}});
  co_return {};
}

}  // namespace estiba::node
