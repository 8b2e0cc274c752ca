#include "controllers/revision_history.h"

#include <algorithm>

#include "client/json_writer.h"
#include "controllers/canonical_json.h"
#include "controllers/deployment_template.h"
#include "controllers/owned.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using client::JsonWriter;
using model::ObjectRef;
using model::apps_v1::ControllerRevision;

constexpr size_t longest_prefix = 223;  // so that "<prefix>-<hash>" stays a valid name

static int64_t number_of(const ObjectRef& revision) { return revision.as<ControllerRevision>().revision; }

static void sort_by_number(std::vector<ObjectRef>& revisions) {
  const auto rank = [](const ObjectRef& revision) {
    return std::tuple<int64_t, std::string_view, std::string_view>(number_of(revision), revision.meta().creation_timestamp,
                                                                   revision.meta().name);
  };
  std::sort(revisions.begin(), revisions.end(), [&](const ObjectRef& a, const ObjectRef& b) { return rank(a) < rank(b); });
}

static Result<const json::Node*> template_in(const json::Document& revision, const ObjectRef& object) {
  const json::Node* given = revision.root().at("data", "spec", "template");
  if (!given || !given->is_object())
    return fail(Code::invalid, "controller revision " + client::key_of(object) + ": data.spec.template is missing");
  return given;
}

// A revision that somebody else made, with other data, is of no template.
static Result<std::string> canonical_of(const ObjectRef& revision) {
  const json::Document parsed = TRY(json::Document::parse(revision.object->json()));
  const auto given = template_in(parsed, revision);
  return given ? canonical_json(**given, {"$patch"}) : std::string{};
}

Result<std::string> template_of_revision(const ObjectRef& revision) {
  json::Document parsed = TRY(json::Document::parse(revision.object->json()));
  TRY(template_in(parsed, revision));
  json::Node& given = *parsed.root().find("data")->find("spec")->find("template");
  parsed.remove(given, "$patch");
  return json::print(given);
}

RevisionHistory::RevisionHistory(client::Client& client, client::Informer& revisions, std::string_view hash_label)
    : client_(client), revisions_(revisions), index_(controller_index(revisions)), hash_label_(hash_label) {}

Task<Result<std::vector<ObjectRef>>> RevisionHistory::list(ObjectRef owner, const model::meta_v1::LabelSelector& selector) {
  std::vector<ObjectRef> mine = CO_TRY(co_await claim(client_, revisions_, index_, owner, selector));
  sort_by_number(mine);
  co_return mine;
}

Task<Result<ObjectRef>> RevisionHistory::present(ObjectRef owner, std::vector<ObjectRef>& revisions, int64_t& collisions) {
  std::string canonical = CO_TRY(canonical_template(owner));
  const int64_t next = revisions.empty() ? 1 : number_of(revisions.back()) + 1;
  for (size_t i = revisions.size(); i-- > 0;) {
    if (CO_TRY(canonical_of(revisions[i])) != canonical) continue;
    if (i + 1 == revisions.size()) co_return revisions[i];
    ObjectRef renumbered = CO_TRY(co_await renumber(revisions[i], next));
    revisions.erase(revisions.begin() + long(i));
    revisions.push_back(renumbered);
    co_return renumbered;
  }
  ObjectRef made = CO_TRY(co_await make(owner, std::move(canonical), next, collisions));
  revisions.push_back(made);
  co_return made;
}

// The template as Kubernetes keeps it, to the byte, because its programs compare bytes: as Go prints what it has read, with the resources
// of every container, which it never leaves out.
static std::string revision_data(const json::Node& given) {
  json::Document data;
  data.set_root(data.make_object());
  json::Node& spec = data.ensure_object(data.root(), "spec");
  json::Node& copy = data.set(spec, "template", data.copy(given));
  data.set(copy, "$patch", "replace");
  if (json::Node* pod = copy.find("spec"))
    for (std::string_view list : {"containers", "initContainers"})
      if (json::Node* containers = pod->find(list); containers && containers->is_array())
        for (json::Node& container : *containers)
          if (container.is_object()) data.ensure_object(container, "resources");
  return sorted_json(data.root());
}

static Result<std::string> revision_body(const ObjectRef& owner, const std::string& name, std::string_view hash_label,
                                         const std::string& hash, int64_t number) {
  const json::Document parsed = TRY(json::Document::parse(owner.object->json()));
  const json::Node& given = *parsed.root().at("spec", "template");  // canonical_template has found it
  const model::Meta& meta = owner.meta();
  JsonWriter json;
  json.object().field("apiVersion", "apps/v1").field("kind", "ControllerRevision").object("metadata");
  json.field("name", name).field("namespace", meta.ns).object("labels");
  if (const json::Node* labels = given.at("metadata", "labels"))
    for (const json::Node& label : *labels)
      if (label.key() != hash_label) json.field(label.key(), label.as_string());
  json.field(hash_label, hash).end();
  json.object("annotations");
  for (const auto& [key, value] : meta.annotations) json.field(key, value);
  json.end().array("ownerReferences");
  write_controller_reference(json, meta);
  json.end().end();
  json.raw("data", revision_data(given)).field("revision", number).end();
  return json.take();
}

Task<Result<ObjectRef>> RevisionHistory::make(ObjectRef owner, std::string canonical, int64_t number, int64_t& collisions) {
  const model::Meta& meta = owner.meta();
  for (;;) {
    const std::string hash = template_hash(canonical, collisions);
    const std::string name = meta.name.substr(0, longest_prefix) + "-" + hash;
    auto made = co_await client_.create(controller_revisions, meta.ns, CO_TRY(revision_body(owner, name, hash_label_, hash, number)));
    if (made) {
      revisions_.observe(*made);
      co_return std::move(*made);
    }
    if (made.error().code != Code::already_exists)
      co_return std::unexpected(std::move(made.error()).context("create controller revision " + client::key_of(meta.ns, name)));
    const ObjectRef there =
        CO_TRY_AS("get controller revision " + client::key_of(meta.ns, name), co_await client_.get(controller_revisions, meta.ns, name));
    const model::Owner* holder = there.meta().controller();
    if (holder && holder->uid == meta.uid && CO_TRY(canonical_of(there)) == canonical) {
      revisions_.observe(there);
      co_return there;
    }
    ++collisions;
  }
}

Task<Result<ObjectRef>> RevisionHistory::renumber(ObjectRef revision, int64_t number) {
  const model::Meta& meta = revision.meta();
  JsonWriter json;
  json.object().object("metadata").field("uid", meta.uid).end().field("revision", number).end();
  ObjectRef written = CO_TRY_AS("renumber controller revision " + client::key_of(meta),
                                co_await client_.patch(controller_revisions, meta.ns, meta.name, client::PatchType::merge, json.take()));
  revisions_.observe(written);
  co_return written;
}

Task<Result<void>> RevisionHistory::forget(std::vector<ObjectRef> revisions) {
  for (const ObjectRef& revision : revisions) {
    const model::Meta& meta = revision.meta();
    auto removed = co_await client_.remove(controller_revisions, meta.ns, meta.name, {.uid = meta.uid});
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      co_return std::unexpected(std::move(removed.error()).context("delete old controller revision " + client::key_of(meta)));
  }
  co_return {};
}

}  // namespace estiba::controllers
