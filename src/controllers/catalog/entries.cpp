#include "controllers/catalog/entries.h"

#include <array>
#include <cstdio>
#include <set>

#include "base/strings.h"
#include "client/json_writer.h"

namespace estiba::controllers::catalog {

using client::JsonWriter;

Result<Restrictions> Restrictions::parse(const json::Node* restrictions) {
  Restrictions out;
  for (const auto& [field, list] : {std::pair("serviceClass", &out.classes), {"servicePlan", &out.plans}}) {
    const json::Node* texts = restrictions ? restrictions->find(field) : nullptr;
    if (!texts) continue;
    for (const json::Node& text : *texts) {
      const auto selector = TRY_AS("spec.catalogRestrictions." + std::string(field) + ": " + quoted(text.as_string()),
                                   model::LabelSelector::parse(text.as_string()));
      for (const model::Requirement& one : selector.requirements()) list->push_back(one);
    }
  }
  return out;
}

namespace {

using Properties = std::vector<std::pair<std::string_view, std::string_view>>;

bool wanted(const std::vector<model::Requirement>& requirements, const Properties& properties) {
  return std::all_of(requirements.begin(), requirements.end(), [&](const model::Requirement& one) {
    for (const auto& [key, value] : properties)
      if (key == one.key) return one.matches(&value);
    return one.matches(nullptr);
  });
}

/// Reads one catalogue; holds what must not come twice.
class Reader {
 public:
  Reader(const Scope& scope, std::string_view broker, const Restrictions& restrictions)
      : scope_(scope), broker_(broker), restrictions_(restrictions) {}

  Result<Entries> read(const json::Node& root) {
    const json::Node* services = root.find("services");
    if (!services || !services->is_array()) return fail(Code::malformed, "the catalogue has no array \"services\"");
    for (const json::Node& service : *services) TRY(add_service(service));
    return std::move(out_);
  }

 private:
  Result<void> once(std::set<std::string>& known, std::string_view text, const std::string& what) {
    if (text.empty()) return fail(Code::invalid, what + " is missing in the catalogue");
    if (!known.emplace(text).second) return fail(Code::invalid, what + " " + quoted(text) + " is in the catalogue twice");
    return {};
  }

  Result<void> add_service(const json::Node& service) {
    Entry entry{.external_name = std::string(service.string_at("name")), .external_id = std::string(service.string_at("id"))};
    TRY(once(service_names_, entry.external_name, "the name of a service"));
    const std::string called = "service " + quoted(entry.external_name);
    TRY(once(ids_, entry.external_id, called + ": the id"));
    entry.name = object_name(entry.external_id);
    const bool updatable = flag(service, "plan_updateable") || flag(service, "plan_updatable");
    JsonWriter json;
    json.object().field(scope_.broker_field, broker_).field("externalName", entry.external_name).field("externalID", entry.external_id);
    json.field("description", service.string_at("description")).field("bindable", flag(service, "bindable"));
    json.field("bindingRetrievable", flag(service, "bindings_retrievable")).field("planUpdatable", updatable);
    raw(json, "externalMetadata", service.find("metadata"));
    texts(json, "tags", service.find("tags"));
    texts(json, "requires", service.find("requires"));
    entry.spec = json.end().take();

    const json::Node* plans = service.find("plans");
    if (!plans || !plans->is_array() || plans->empty()) return fail(Code::invalid, called + " has no plans");
    const bool taken = wanted(restrictions_.classes,
                              {{"name", entry.name}, {"spec.externalName", entry.external_name}, {"spec.externalID", entry.external_id}});
    std::set<std::string> names;
    size_t before = out_.plans.size();
    for (const json::Node& plan : *plans) TRY(add_plan(plan, entry, called, names, taken));
    if (taken && out_.plans.size() > before) out_.classes.push_back(std::move(entry));
    return {};
  }

  Result<void> add_plan(const json::Node& plan, const Entry& service, const std::string& called, std::set<std::string>& names, bool taken) {
    Entry entry{
        .external_name = std::string(plan.string_at("name")), .external_id = std::string(plan.string_at("id")), .class_name = service.name};
    TRY(once(names, entry.external_name, called + ": the name of a plan"));
    TRY(once(ids_, entry.external_id, called + ", plan " + quoted(entry.external_name) + ": the id"));
    entry.name = object_name(entry.external_id);
    const json::Node* free = plan.find("free");
    const bool costs_nothing = !free || free->as_bool(true);
    JsonWriter json;
    json.object().field(scope_.broker_field, broker_).object(scope_.class_reference).field("name", service.name).end();
    json.field("externalName", entry.external_name).field("externalID", entry.external_id);
    json.field("description", plan.string_at("description")).field("free", costs_nothing);
    for (const auto& [theirs, ours] : {std::pair("bindable", "bindable"), {"plan_updateable", "planUpdatable"}})
      if (const json::Node* value = plan.find(theirs); value && value->is_bool()) json.field(ours, value->as_bool());
    raw(json, "externalMetadata", plan.find("metadata"));
    raw(json, "instanceCreateParameterSchema", plan.at("schemas", "service_instance", "create", "parameters"));
    raw(json, "instanceUpdateParameterSchema", plan.at("schemas", "service_instance", "update", "parameters"));
    raw(json, "serviceBindingCreateParameterSchema", plan.at("schemas", "service_binding", "create", "parameters"));
    if (const json::Node* info = plan.find("maintenance_info"); info && !info->string_at("version").empty()) {
      json.object("maintenanceInfo").field("version", info->string_at("version")).optional("description", info->string_at("description"));
      json.end();
    }
    if (const json::Node* limit = plan.find("maximum_polling_duration"); limit && limit->as_int().value_or(0) > 0)
      json.field("maximumPollingDuration", *limit->as_int());
    entry.spec = json.end().take();
    const std::string_view of_class = scope_.cluster ? "spec.clusterServiceClass.name" : "spec.serviceClass.name";
    if (taken && wanted(restrictions_.plans, {{"name", entry.name},
                                              {"spec.externalName", entry.external_name},
                                              {"spec.externalID", entry.external_id},
                                              {of_class, service.name},
                                              {"spec.free", costs_nothing ? "true" : "false"}}))
      out_.plans.push_back(std::move(entry));
    return {};
  }

  static bool flag(const json::Node& node, std::string_view key) {
    const json::Node* value = node.find(key);
    return value && value->as_bool();
  }
  static void raw(JsonWriter& json, std::string_view key, const json::Node* value) {
    if (value && value->is_object()) json.raw(key, json::print(*value));
  }
  static void texts(JsonWriter& json, std::string_view key, const json::Node* list) {
    if (!list || !list->is_array() || list->empty()) return;
    json.array(key);
    for (const json::Node& text : *list)
      if (text.is_string()) json.value(text.as_string());
    json.end();
  }

  const Scope& scope_;
  const std::string_view broker_;
  const Restrictions& restrictions_;
  Entries out_;
  std::set<std::string> service_names_, ids_;
};

}  // namespace

Result<Entries> read_catalog(std::string_view answer, const Scope& scope, std::string_view broker, const Restrictions& restrictions) {
  auto doc = json::Document::parse(answer, {.allow_duplicate_keys = true});
  if (!doc || !doc->root().is_object())
    return fail(Code::malformed, "the answer is no JSON object but begins with " + quoted(answer.substr(0, 60)));
  return Reader(scope, broker, restrictions).read(doc->root());
}

// 'z' escapes: what names may not have becomes z and its code in hexadecimal digits and z.
std::string object_name(std::string_view id) {
  constexpr size_t most = 63;
  std::string out;
  bool dash = false, dot = false;
  for (size_t i = 0; i < id.size(); ++i) {
    const char c = id[i];
    const bool inner = i > 0 && i + 1 < id.size();
    if ((c >= 'a' && c <= 'y') || (c >= '0' && c <= '9')) {
      out += c;
      dash = dot = false;
    } else if (c == '.' && inner && !dot && !dash) {
      out += c;
      dot = true;
    } else if (c == '-' && inner && !dot) {
      out += c;
      dash = true;
    } else {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "z%xz", static_cast<unsigned char>(c));
      out += code.data();
      dash = dot = false;
    }
  }
  if (out.size() <= most) return out;
  out.resize(30);
  while (out.ends_with('.') || out.ends_with('-')) out.pop_back();
  std::array<char, 40> hash{};
  std::snprintf(hash.data(), hash.size(), "-%016llx", static_cast<unsigned long long>(fnv1a64(id)));
  return out + hash.data();
}

}  // namespace estiba::controllers::catalog
