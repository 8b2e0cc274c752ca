#include "apiserver/selection.h"

#include "apiserver/api_errors.h"
#include "base/strings.h"
#include "model/custom/definition.h"

namespace estiba::apiserver {

Result<Selection> Selection::make(const Action& action) {
  Selection out;
  if (!action.list.label_selector.empty()) {
    auto labels = model::LabelSelector::parse(action.list.label_selector);
    if (!labels) return bad_request("unable to parse requirement: " + labels.error().message);
    out.labels_ = std::move(*labels);
  }
  if (action.list.field_selector.empty()) return out;
  auto fields = model::FieldSelector::parse(action.list.field_selector);
  if (!fields) return bad_request(fields.error().message);
  const Strategy& strategy = strategy_of(*action.resource);
  for (const model::FieldRequirement& requirement : fields->requirements()) {
    Field field{Field::From::kind, 0, requirement.value, !requirement.equal};
    if (requirement.path == "metadata.name") {
      field.from = Field::From::name;
      if (requirement.equal) out.only_name_ = requirement.value;
    } else if (requirement.path == "metadata.namespace") {
      field.from = Field::From::ns;
    } else if (const model::CustomVersion* custom = model::custom_of(*action.resource)) {
      auto row = std::find_if(custom->selectable.begin(), custom->selectable.end(),
                              [&](const model::CustomSelectable& f) { return f.label == requirement.path; });
      if (row == custom->selectable.end()) return bad_request("field label not supported: " + requirement.path);
      field.from = Field::From::custom;
      field.index = static_cast<size_t>(row - custom->selectable.begin());
      out.custom_ = custom;
    } else {
      auto row = std::find_if(strategy.fields.begin(), strategy.fields.end(),
                              [&](const SelectableField& f) { return f.label == requirement.path; });
      if (row == strategy.fields.end()) {
        return bad_request("field label not supported: " + requirement.path);
      }
      field.index = static_cast<size_t>(row - strategy.fields.begin());
    }
    out.fields_.push_back(std::move(field));
  }
  return out;
}

std::string_view Selection::value_of(const Field& field, const Kept& object) const {
  switch (field.from) {
    case Field::From::name: return object.object->meta().name;
    case Field::From::ns: return object.object->meta().ns;
    case Field::From::kind: return object.selectable[field.index];
    case Field::From::custom: break;
  }
  return {};
}

// What stands at a selectable path differs from version to version of a definition: it is looked up, not kept.
bool Selection::matches_custom(const Kept& object) const {
  auto doc = json::Document::parse(object.object->json());
  if (!doc) return false;
  for (const Field& field : fields_) {
    if (field.from != Field::From::custom) continue;
    const json::Node* value = custom_->selectable[field.index].path.first(doc->root());
    std::string text = value && !value->is_null() ? model::json_path_text(*value) : std::string();
    if ((text == field.value) == field.negate) return false;
  }
  return true;
}

bool Selection::matches(const Kept& object) const {
  if (custom_ && !matches_custom(object)) return false;
  for (const Field& field : fields_) {
    if (field.from == Field::From::custom) continue;
    if ((value_of(field, object) == field.value) == field.negate) return false;
  }
  return labels_.empty() || labels_.matches(object.object->meta().labels);
}

}  // namespace estiba::apiserver
