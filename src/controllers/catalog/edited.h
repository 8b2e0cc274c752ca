// An object of the catalogue while its status is worked on. Nothing is written before save(), which refuses (Code::conflict) when the
// object has changed since: what was decided from it is then decided again.
#pragma once
#include <string_view>

#include "client/informer.h"
#include "model/json.h"

namespace estiba::controllers::catalog {

class Edited {
 public:
  static Result<Edited> of(model::ObjectRef object);

  const model::ObjectRef& object() const { return object_; }
  const model::Meta& meta() const { return object_.meta(); }
  const json::Node& root() const { return doc_.root(); }
  const json::Node& spec() const { return *spec_; }
  /// A string of the spec, or of the status; "" when there is none.
  std::string_view spec_text(std::string_view field) const { return spec_->string_at(field); }
  std::string_view text(std::string_view field) const { return status_->string_at(field); }
  bool flag(std::string_view field) const;
  int64_t number(std::string_view field) const;
  const json::Node& status() const { return *status_; }

  void set(std::string_view field, std::string_view text) { doc_.set(*status_, field, text); }
  void set_flag(std::string_view field, bool value) { doc_.set(*status_, field, doc_.make_bool(value)); }
  void set_number(std::string_view field, int64_t value) { doc_.set(*status_, field, doc_.make_int(value)); }
  void set_copy(std::string_view field, const json::Node& value) { doc_.set(*status_, field, doc_.copy(value)); }
  void clear(std::string_view field) { doc_.remove(*status_, field); }

  bool is(std::string_view condition) const;  ///< whether the condition is True
  /// Adds or changes a condition; its time moves with its status. lastConditionState follows.
  void condition(std::string_view type, std::string_view status, std::string_view reason, std::string_view message, WallTime now);
  void drop_condition(std::string_view type);

  /// Writes the status unless nothing of it was changed, and takes the answer in.
  Task<Result<void>> save(client::Client& client, client::Informer& own);

 private:
  explicit Edited(model::ObjectRef object, json::Document doc) : object_(std::move(object)), doc_(std::move(doc)) {}
  void sum_up();
  model::ObjectRef object_;
  json::Document doc_;
  json::Node* spec_ = nullptr;
  json::Node* status_ = nullptr;
  std::string before_;  // the status as it was
};

}  // namespace estiba::controllers::catalog
