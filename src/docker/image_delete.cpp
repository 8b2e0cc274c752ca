#include "docker/image_delete.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "docker/image_json.h"
#include "image/reference.h"

namespace estiba::docker {
namespace {

/// With the pods' containers, which the daemon does not know but the store does.
Result<std::vector<ImageHolder>> all_holders(image::Store& store, const std::vector<ImageHolder>& known) {
  std::vector<ImageHolder> out = known;
  for (const auto& user : TRY(store.users())) {
    bool there = std::any_of(known.begin(), known.end(), [&](const ImageHolder& h) { return h.id == user.container; });
    if (!there) out.push_back({user.container, user.image, true});
  }
  return out;
}

std::string short_id(std::string_view id) { return image::short_digest(id); }

std::unexpected<Error> cannot(std::string_view id, bool hard, std::string why) {
  return fail(Code::conflict,
              "conflict: unable to delete " + short_id(id) + (hard ? " (cannot be forced) - " : " (must be forced) - ") + why);
}

/// Whether all names lie in one repository.
bool single_repository(const image::Record& record) {
  std::set<std::string, std::less<>> names;
  for (const auto* list : {&record.tags, &record.digests})
    for (const auto& name : *list)
      if (auto parsed = image::parse_reference(name)) names.insert(parsed->name());
  return names.size() <= 1;
}

Result<void> check_users(const image::Record& record, bool force, const std::vector<ImageHolder>& holders) {
  for (const auto& h : holders)
    if (h.image_id == record.id && h.running) return cannot(record.id, true, "image is being used by running container " + short_id(h.id));
  if (force) return {};
  for (const auto& h : holders)
    if (h.image_id == record.id) return cannot(record.id, false, "image is being used by stopped container " + short_id(h.id));
  return {};
}

std::vector<std::string> familiar(const std::vector<std::string>& names) {
  FamiliarNames all = familiar_names({.tags = names});
  return all.tags;
}

Result<void> untag(image::Store& store, const image::Record& record, const std::vector<std::string>& names, ImageDeletion& out) {
  TRY(store.untag(record.id, names));
  auto written = familiar(names);
  out.untagged.insert(out.untagged.end(), written.begin(), written.end());
  return {};
}

/// The image itself, whose names are gone.
Result<void> drop(image::Store& store, const image::Record& record, ImageDeletion& out) {
  std::vector<std::string> chains;
  if (auto config = store.config(record.id)) {
    std::string chain;
    for (const auto& diff : (*config)->diff_ids) chains.push_back(chain = image::chain_id(chain, diff));
  }
  TRY(store.forget(record.id));
  out.freed = TRY(store.collect(&out.collected));
  out.deleted.push_back(record.id);
  for (auto it = chains.rbegin(); it != chains.rend(); ++it)
    if (!store.has_layer(*it)) out.deleted.push_back(*it);
  return {};
}

/// Names of `record` that go with the tag `gone`: the digests of a repository that has no tag left.
std::vector<std::string> orphans(const image::Record& record, const image::Reference& gone) {
  std::vector<std::string> out;
  for (const auto& tag : record.tags)
    if (auto other = image::parse_reference(tag); other && other->name() == gone.name() && tag != gone.key()) return out;
  for (const auto& digest : record.digests)
    if (auto other = image::parse_reference(digest); other && other->name() == gone.name() && digest != gone.key()) out.push_back(digest);
  return out;
}

}  // namespace

Result<ImageDeletion> delete_image(image::Store& store, std::string_view name, bool force, const std::vector<ImageHolder>& known) {
  image::Record record = TRY(find_image(store, name));
  auto holders = TRY(all_holders(store, known));
  ImageDeletion out{.image_id = record.id};
  auto reference = image::parse_reference(name);
  auto has = [](const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
  };
  const std::string key = reference ? reference->key() : "";
  if (!key.empty() && (has(record.tags, key) || has(record.digests, key))) {
    std::vector<std::string> names{key};
    for (auto& digest : orphans(record, *reference)) names.push_back(digest);
    const bool last = names.size() == record.tags.size() + record.digests.size();
    if (last && !force)
      for (const auto& h : holders)
        if (h.image_id == record.id)
          return fail(Code::conflict, "conflict: unable to remove repository reference " + quoted(name) + " (must force) - container " +
                                          short_id(h.id) + " is using its referenced image " + short_id(record.id));
    TRY(untag(store, record, names, out));
    // Forced, an image in use stays without a name.
    if (!last || !check_users(record, false, holders)) return out;
    TRY(drop(store, record, out));
    return out;
  }
  if (!force && !single_repository(record)) return cannot(record.id, false, "image is referenced in multiple repositories");
  TRY(check_users(record, force, holders));
  std::vector<std::string> names = record.tags;
  names.insert(names.end(), record.digests.begin(), record.digests.end());
  TRY(untag(store, record, names, out));
  if (!check_users(record, false, holders)) return out;
  TRY(drop(store, record, out));
  return out;
}

Result<std::vector<ImageDeletion>> prune_images(image::Store& store, bool all, const std::function<bool(const image::Config&)>& chosen,
                                                const std::vector<ImageHolder>& known) {
  auto holders = TRY(all_holders(store, known));
  std::vector<ImageDeletion> out;
  for (const auto& record : TRY(store.list())) {
    if (!all && !(record.tags.empty() && record.digests.empty())) continue;
    if (std::any_of(holders.begin(), holders.end(), [&](const ImageHolder& h) { return h.image_id == record.id; })) continue;
    auto config = store.config(record.id);
    if (!config || !chosen(**config)) continue;
    ImageDeletion one{.image_id = record.id};
    std::vector<std::string> names = record.tags;
    names.insert(names.end(), record.digests.begin(), record.digests.end());
    TRY(untag(store, record, names, one));
    TRY(drop(store, record, one));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace estiba::docker
