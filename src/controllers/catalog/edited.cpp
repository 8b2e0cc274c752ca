#include "controllers/catalog/edited.h"

#include "base/time.h"

namespace estiba::controllers::catalog {

Result<Edited> Edited::of(model::ObjectRef object) {
  json::Document doc = TRY(json::Document::parse(object.print()));
  Edited out(std::move(object), std::move(doc));
  out.spec_ = &out.doc_.ensure_object(out.doc_.root(), "spec");
  out.status_ = &out.doc_.ensure_object(out.doc_.root(), "status");
  out.before_ = json::print(*out.status_);
  return out;
}

bool Edited::flag(std::string_view field) const {
  const json::Node* node = status_->find(field);
  return node && node->as_bool();
}

int64_t Edited::number(std::string_view field) const {
  const json::Node* node = status_->find(field);
  return node ? node->as_int().value_or(0) : 0;
}

bool Edited::is(std::string_view condition) const {
  const json::Node* list = status_->find("conditions");
  if (!list) return false;
  for (const json::Node& one : *list)
    if (one.string_at("type") == condition) return one.string_at("status") == "True";
  return false;
}

void Edited::condition(std::string_view type, std::string_view status, std::string_view reason, std::string_view message, WallTime now) {
  json::Node* list = status_->find("conditions");
  if (!list || !list->is_array()) list = &doc_.set(*status_, "conditions", doc_.make_array());
  json::Node* found = nullptr;
  for (json::Node& one : *list)
    if (one.string_at("type") == type) found = &one;
  if (!found) {
    found = &doc_.append(*list, doc_.make_object());
    doc_.set(*found, "type", type);
  }
  if (found->string_at("status") != status) {
    doc_.set(*found, "status", status);
    doc_.set(*found, "lastTransitionTime", format_rfc3339(now));
  }
  doc_.set(*found, "reason", reason);
  doc_.set(*found, "message", message);
  sum_up();
}

void Edited::drop_condition(std::string_view type) {
  json::Node* list = status_->find("conditions");
  if (!list || !list->is_array()) return;
  for (uint32_t i = list->size(); i-- > 0;)
    if ((*list)[i].string_at("type") == type) doc_.remove(*list, i);
  sum_up();
}

// For people who read one column: the last condition, by its type when it holds and else by its reason.
void Edited::sum_up() {
  const json::Node* list = status_->find("conditions");
  if (!list || list->empty()) return set("lastConditionState", "");
  const json::Node& last = (*list)[list->size() - 1];
  set("lastConditionState", std::string(last.string_at("status") == "True" ? last.string_at("type") : last.string_at("reason")));
}

Task<Result<void>> Edited::save(client::Client& client, client::Informer& own) {
  std::string now = json::print(*status_);
  if (now == before_) co_return {};
  before_ = std::move(now);
  auto written =
      co_await client.update(own.resource(), object_.meta().ns, object_.meta().name, json::print(doc_.root()), {.subresource = "status"});
  if (!written)
    co_return std::unexpected(
        std::move(written.error()).context("write the status of " + object_.meta().kind + " " + client::key_of(object_)));
  own.observe(*written);
  object_ = *written;
  doc_.set(doc_.ensure_object(doc_.root(), "metadata"), "resourceVersion", object_.resource_version());
  co_return {};
}

}  // namespace estiba::controllers::catalog
