#include "apiserver/custom/converted_selection.h"

#include "model/custom/definition.h"

namespace estiba::apiserver {

Result<std::optional<ConvertedSelection>> ConvertedSelection::make(const Action& action) {
  const model::CustomVersion* custom = model::custom_of(*action.resource);
  if (!custom || !custom->definition->converts_by_webhook() || action.list.field_selector.empty()) return std::nullopt;
  Selection selection = TRY(Selection::make(action));
  const auto fields = TRY(model::FieldSelector::parse(action.list.field_selector));
  Action wider = action;
  wider.list.field_selector.clear();
  bool waits = false;
  for (const model::FieldRequirement& requirement : fields.requirements()) {
    if (!requirement.path.starts_with("metadata.")) {
      waits = true;
      continue;
    }
    if (!wider.list.field_selector.empty()) wider.list.field_selector += ',';
    wider.list.field_selector.append(requirement.path).append(requirement.equal ? "=" : "!=").append(requirement.value);
  }
  if (!waits) return std::nullopt;
  return ConvertedSelection(std::move(wider), std::move(selection));
}

bool ConvertedSelection::matches(const model::ObjectRef& object) const {
  Kept shown;
  shown.object = object.object;
  return selection_.matches(shown);
}

void ConvertedSelection::keep_matching(std::vector<model::ObjectRef>& objects) const {
  std::erase_if(objects, [&](const model::ObjectRef& object) { return !matches(object); });
}

void ConvertedSelection::begin(const std::vector<model::ObjectRef>& matching) {
  for (const model::ObjectRef& object : matching) matching_.insert_or_assign(object.meta().ns + "/" + object.meta().name, object);
}

void ConvertedSelection::choose(std::vector<WatchItem>& items) {
  std::erase_if(items, [&](WatchItem& item) {
    if (!item.object) return false;
    const std::string key = item.object.meta().ns + "/" + item.object.meta().name;
    const auto before = matching_.find(key);
    const bool now = item.kind != WatchItem::Kind::removed && matches(item.object);
    if (before == matching_.end() && !now) return true;
    item.kind = before == matching_.end() ? WatchItem::Kind::added : now ? WatchItem::Kind::modified : WatchItem::Kind::removed;
    if (now) {
      matching_.insert_or_assign(key, item.object);
    } else {
      // Shown as it was, at the revision of the change.
      item.object = {before->second.object, item.revision};
      matching_.erase(before);
    }
    return false;
  });
}

Task<Result<Page>> list_custom(Registry& registry, const Action& action) {
  const auto selection = CO_TRY(ConvertedSelection::make(action));
  Page page = CO_TRY(registry.list(selection ? selection->wider() : action));
  CO_TRY(co_await registry.present(action, page.items));
  if (selection) {
    selection->keep_matching(page.items);
    page.remaining.reset();
  }
  co_return page;
}

}  // namespace estiba::apiserver
