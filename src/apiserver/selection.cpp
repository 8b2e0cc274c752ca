#include "apiserver/selection.h"

#include "apiserver/api_errors.h"
#include "base/strings.h"

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
  }
  return {};
}

bool Selection::matches(const Kept& object) const {
  for (const Field& field : fields_) {
    if ((value_of(field, object) == field.value) == field.negate) return false;
  }
  return labels_.empty() || labels_.matches(object.object->meta().labels);
}

}  // namespace estiba::apiserver
