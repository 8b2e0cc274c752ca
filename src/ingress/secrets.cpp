#include "ingress/secrets.h"

namespace estiba::ingress {

struct Secrets::Named {
  client::Informer informer;
  Job first;  // last: ends first

  Named(Secrets* secrets, const std::string& key, const std::string& ns, const std::string& name)
      : informer(secrets->client_, client::secrets, ns, client::ListOptions{.field_selector = "metadata.name=" + name}),
        first(told(secrets, this, key)) {
    informer.on_change([secrets, key](const model::ObjectRef&, const model::ObjectRef&) { secrets->changed_(key); });
  }
  // That there is none is told by nobody else.
  static Task<void> told(Secrets* secrets, Named* self, std::string key) {
    co_await self->informer.wait_synced();
    if (self->informer.size() == 0) secrets->changed_(key);
  }
};

Secrets::Secrets(client::Client& client, bool reads_all) : client_(client), changed_([](const std::string&) {}) {
  if (reads_all) all_ = std::make_unique<client::Informer>(client, client::secrets);
}
Secrets::~Secrets() = default;

void Secrets::on_change(std::function<void(const std::string&)> changed) {
  changed_ = std::move(changed);
  if (!all_) return;
  all_->on_change(
      [this](const model::ObjectRef& before, const model::ObjectRef& after) { changed_(client::key_of(after ? after : before)); });
}

void Secrets::watch(const std::set<std::string, std::less<>>& keys) {
  if (all_) return;
  std::erase_if(named_, [&](const auto& one) { return !keys.contains(one.first); });
  for (const std::string& key : keys) {
    if (named_.contains(key)) continue;
    const auto [ns, name] = client::split_key(key);
    named_.emplace(key, std::make_unique<Named>(this, key, ns, name));
  }
}

Task<void> Secrets::wait_synced() {
  if (all_) co_await all_->wait_synced();
}

model::ObjectRef Secrets::get(std::string_view key) const {
  if (all_) return all_->get(key);
  const auto found = named_.find(key);
  return found == named_.end() ? model::ObjectRef{} : found->second->informer.get(key);
}

bool Secrets::known(std::string_view key) const {
  if (all_) return all_->synced();
  const auto found = named_.find(key);
  return found != named_.end() && found->second->informer.synced();
}

}  // namespace estiba::ingress
