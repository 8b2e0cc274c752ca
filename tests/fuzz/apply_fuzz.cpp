// links: model
// Server-side apply: an object, its managedFields, a write and a configuration from anybody, divided by line ends. Applying the same
// again changes nothing, and what is written as managedFields can be read.
#include <cstdlib>

#include "base/strings.h"
#include "model/check.h"
#include "model/managed_fields.h"
#include "model/typed.h"

using namespace estiba;
using namespace estiba::model;

namespace {

struct Kind {
  std::string_view api_version, kind;
};
constexpr Kind kinds[] = {
    {"v1", "ConfigMap"}, {"v1", "Pod"}, {"v1", "Service"}, {"apps/v1", "Deployment"}, {"networking.k8s.io/v1", "NetworkPolicy"}};

// Parsed, and what the tables do not know taken out.
std::optional<json::Document> object(std::string_view text, const schema::Type& type) {
  auto doc = json::Document::parse(text);
  if (!doc || !doc->root().is_object() || !conform(*doc, doc->root(), type)) return std::nullopt;
  doc->remove(doc->root(), "managedFields");
  if (json::Node* metadata = doc->root().find("metadata"); metadata && metadata->is_object()) doc->remove(*metadata, "managedFields");
  return std::move(*doc);
}

void readable(FieldPool& pool, ManagedFields owners) {
  json::Document out;
  json::Node& metadata = out.make_object();
  out.set_root(metadata);
  write_managed_fields(out, metadata, std::move(owners));
  const auto again = json::Document::parse(json::print(metadata));
  if (!again || !read_managed_fields(pool, again->root().find("managedFields"))) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const Kind& kind = kinds[data[0] % std::size(kinds)];
  const schema::Type& type = *schema::find_kind(kind.api_version, kind.kind);
  const auto parts = split(std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1), '\n');
  if (parts.size() < 4) return 0;
  const auto before = object(parts[0], type), now = object(parts[1], type);
  const auto managed = json::Document::parse(parts[2]), configuration = json::Document::parse(parts[3]);
  FieldPool pool;
  ManagedFields owners;
  if (managed) {
    auto read = read_managed_fields(pool, &managed->root());
    if (read) owners = std::move(*read);
  }
  const FieldWrite update{.type = type, .api_version = kind.api_version, .manager = "somebody", .time = "2026-11-21T00:00:00Z"};
  if (before && now) update_owners(pool, owners, before->root(), now->root(), update);
  readable(pool, owners);
  if (!now || !configuration || !configuration->root().is_object() || !check_typed(configuration->root(), type).empty()) return 0;
  const FieldWrite apply{.type = type, .api_version = kind.api_version, .manager = "applier", .time = "2026-11-21T00:00:01Z"};
  Applied first = apply_configuration(pool, owners, now->root(), configuration->root(), apply, true);
  if (!first.conflicts.empty()) abort();  // it was forced
  readable(pool, owners);
  const Applied second = apply_configuration(pool, owners, first.object.root(), configuration->root(), apply, false);
  if (!second.conflicts.empty() || !json::equal(first.object.root(), second.object.root())) abort();
  return 0;
}
