// Registry: get, list and the start of a watch.
#include "apiserver/api_errors.h"
#include "apiserver/continue_token.h"
#include "apiserver/registry.h"
#include "apiserver/selection.h"
#include "base/strings.h"
#include "model/custom/definition.h"

namespace estiba::apiserver {
namespace {

struct Range {
  store::ListOptions options;
  store::Revision at_least = 0;
};

// resourceVersion and resourceVersionMatch, or the continue token, as a range of the store.
Result<Range> range_of(const Action& action) {
  const ListOptions& list = action.list;
  Range out;
  out.options.limit = list.limit;
  if (!list.continue_token.empty()) {
    if (!list.resource_version.empty() && list.resource_version != "0") {
      return bad_request("specifying resource version is not allowed when using continue");
    }
    auto token = TRY(ContinueToken::decode(list.continue_token));
    if (token.revision > 0) out.options.revision = token.revision;
    out.options.start_after = prefix_of(*action.resource) + token.start;
    return out;
  }
  store::Revision asked = TRY(parse_resource_version(list.resource_version));
  const std::string& match = list.resource_version_match;
  if (match == "Exact" || (match.empty() && asked > 0 && list.limit > 0)) out.options.revision = asked;
  else out.at_least = asked;
  return out;
}

// 410 with the token by which the list may go on as things are now.
std::unexpected<Error> expired_page(std::string_view continue_token) {
  auto token = ContinueToken::decode(continue_token);
  if (!token) return std::unexpected(std::move(token.error()));
  json::Document status;
  status.set_root(status.make_object());
  status.set(status.ensure_object(status.root(), "metadata"), "continue", ContinueToken{-1, std::move(token->start)}.encode());
  status.set(status.root(), "status", "Failure");
  status.set(
      status.root(), "message",
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue "
      "parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided "
      "token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was "
      "returned and now may show up in the list.");
  status.set(status.root(), "reason", "Expired");
  status.set(status.root(), "code", status.make_int(410));
  return verbatim_status(status.root());
}

std::unexpected<Error> list_error(Error error, const Action& action, store::Revision asked, store::Revision current) {
  if (error.code == Code::gone && action.list.continue_token.empty())
    return expired("The resourceVersion for the provided list is too old.");
  if (error.code == Code::gone) return expired_page(action.list.continue_token);
  if (error.code == Code::invalid && asked > current) return resource_version_too_large(asked, current);
  return std::unexpected(std::move(error));
}

}  // namespace

Result<model::ObjectRef> Registry::get(const Action& action) {
  store::Revision asked = TRY(parse_resource_version(action.list.resource_version));
  if (asked > store_.revision()) return resource_version_too_large(asked, store_.revision());
  auto entry = store_.get(key_of(*action.resource, action.ns, action.name));
  if (!entry) {
    if (entry.error().code == Code::not_found) return not_found(*action.resource, action.name);
    return std::unexpected(std::move(entry.error()));
  }
  return object_of(**entry, *action.resource);
}

Result<Page> Registry::list(const Action& action) {
  Selection selection = TRY(Selection::make(action));
  Range range = TRY(range_of(action));
  if (range.at_least > store_.revision()) return resource_version_too_large(range.at_least, store_.revision());
  const Strategy& strategy = strategy_of(*action.resource);
  std::string prefix = prefix_of(*action.resource, action.ns);
  uint64_t limit = range.options.limit;
  Page page;
  // With a selector, a page may need more of the store than it shows: read on until it is full.
  for (;;) {
    auto result = store_.list(prefix, range.options);
    if (!result) return list_error(std::move(result.error()), action, range.options.revision, store_.revision());
    page.revision = result->revision;
    range.options.revision = result->revision;
    for (size_t i = 0; i < result->entries.size(); i++) {
      const store::Entry& entry = *result->entries[i];
      if (!selection.everything() && !selection.matches(*TRY(kept(entry, strategy)))) continue;
      page.items.push_back(TRY(object_of(entry, *action.resource)));
      bool more = result->more || i + 1 < result->entries.size();
      if (limit == 0 || page.items.size() < limit || !more) continue;
      std::string start = entry.key.substr(prefix_of(*action.resource).size());
      page.continue_token = ContinueToken{result->revision, std::move(start)}.encode();
      if (selection.everything()) page.remaining = result->remaining;
      return page;
    }
    if (!result->more || result->entries.empty()) return page;
    range.options.start_after = result->entries.back()->key;
  }
}

Result<std::unique_ptr<Watcher>> Registry::watch(const Action& action) {
  Selection selection = TRY(Selection::make(action));
  store::Revision asked = TRY(parse_resource_version(action.list.resource_version));
  // A watch from no revision shows what is there and says when that was all, as if it had asked for it.
  const bool initial = action.list.send_initial_events.value_or(asked == 0);
  if (asked > store_.revision()) return resource_version_too_large(asked, store_.revision());
  std::string prefix = prefix_of(*action.resource, action.ns);
  std::vector<model::ObjectRef> objects;
  store::Revision start = asked;
  if (initial || asked == 0) {
    Action all = action;
    all.list.limit = 0;
    all.list.continue_token.clear();
    all.list.resource_version.clear();
    all.list.resource_version_match.clear();
    Page page = TRY(list(all));
    start = page.revision;
    if (initial) objects = std::move(page.items);
  }
  auto events = store_.watch(prefix, start);
  if (!events) {
    if (events.error().code == Code::gone) return too_old_resource_version(start, store_.revision());
    return std::unexpected(std::move(events.error()));
  }
  auto watcher = std::make_unique<Watcher>(store_, *action.resource, action.tables, std::move(selection), std::move(*events), start);
  if (model::custom_of(*action.resource)) {
    auto changes = store_.watch(std::string(definitions_prefix) + std::string(model::custom_of(*action.resource)->definition->name()),
                                store_.revision());
    if (changes) watcher->end_with(std::move(*changes));
  }
  watcher->begin_with(std::move(objects), initial && action.list.allow_bookmarks);
  return watcher;
}

}  // namespace estiba::apiserver
