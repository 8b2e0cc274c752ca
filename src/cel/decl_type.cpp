#include "cel/decl_type.h"

#include <algorithm>
#include <set>

#include "cel/escape.h"

namespace estiba::cel {

using model::schema::Form;
using model::schema::Kind;
using model::schema::ListType;
using model::schema::Shape;

// What fits into the largest request (3 MiB) bounds what no schema bounds.
static constexpr int64_t max_request = 3 * 1024 * 1024;
static constexpr int64_t max_text = max_request - 2;

const DeclField* DeclType::find(std::string_view field) const {
  const auto at = std::lower_bound(fields.begin(), fields.end(), field, [](const DeclField& a, std::string_view b) { return a.name < b; });
  return at != fields.end() && at->name == field ? &*at : nullptr;
}

DeclType& DeclPool::add(const Type* type, DeclForm form, int64_t min_size, int64_t max_elements) {
  DeclType made;
  made.type = type;
  made.form = form;
  made.min_size = min_size;
  made.max_elements = max_elements;
  owned_.push_back(made);
  return owned_.back();
}

std::string_view DeclPool::keep(std::string_view text) { return texts_.emplace_back(text); }

const DeclType* DeclPool::simple(DeclForm form, int64_t max_elements) {
  switch (form) {
    case DeclForm::boolean: return &add(&types::boolean, form, 4, max_elements);
    case DeclForm::integer: return &add(&types::integer, form, 1, max_elements);
    case DeclForm::real: return &add(&types::real, form, 1, max_elements);
    case DeclForm::string: return &add(&types::string, form, 2, max_elements);
    case DeclForm::bytes: return &add(&types::bytes, form, 2, max_elements);
    case DeclForm::duration: return &add(&types::duration, form, 3, max_elements ? max_elements : 32);
    case DeclForm::date: return &add(&types::timestamp, form, 12, max_elements ? max_elements : 12);
    case DeclForm::date_time: return &add(&types::timestamp, form, 21, max_elements ? max_elements : 32);
    default: return &add(&types::dyn, form, 1, max_elements);
  }
}

const DeclType* DeclPool::of(const Type* type, int64_t max_elements) { return &add(type, DeclForm::dyn, 1, max_elements); }

const DeclType* DeclPool::list(const DeclType* element, int64_t max_elements) {
  DeclType& made = add(types_.list(element->type), DeclForm::list, 2, max_elements);
  made.element = element;
  return &made;
}

const DeclType* DeclPool::map(const DeclType* element, int64_t max_elements, const DeclType* key) {
  if (!key) key = simple(DeclForm::string);
  DeclType& made = add(types_.map(key->type, element->type), DeclForm::map, 2, max_elements);
  made.key = key;
  made.element = element;
  return &made;
}

const DeclType* DeclPool::object(std::string_view name, std::span<const NewField> fields) {
  DeclType& made = add(nullptr, DeclForm::object, 2, 0);
  made.type = types_.object(name, &made);
  auto& list = fields_.emplace_back();
  for (const NewField& field : fields) list.push_back({keep(field.name), keep(field.name), field.type, field.required});
  std::sort(list.begin(), list.end(), [](const DeclField& a, const DeclField& b) { return a.name < b.name; });
  made.fields = list;
  return &made;
}

static std::optional<int64_t> bound(const json::Node& schema, std::string_view name) {
  const json::Node* node = schema.find(name);
  const auto number = node ? node->as_int() : std::nullopt;
  return number ? std::optional(std::max<int64_t>(*number, 0)) : std::nullopt;
}

static bool flag(const json::Node& schema, std::string_view name) {
  const json::Node* node = schema.find(name);
  return node && node->as_bool();
}

const DeclType* DeclPool::from_schema(const json::Node& schema, std::string_view name, bool resource) {
  if (!schema.is_object()) return nullptr;
  const DeclType* made = nullptr;
  if (flag(schema, "x-kubernetes-int-or-string")) {
    const auto length = bound(schema, "maxLength");
    made = &add(&types::dyn, DeclForm::int_or_string, 1, length ? *length * 4 : max_text);
  } else {
    const std::string_view type = schema.string_at("type");
    const json::Node* values = schema.find("additionalProperties");
    if (type == "array") made = schema_list(schema, name);
    else if (type == "object" && values && values->is_object()) made = schema_map(schema, *values, name);
    else if (type == "object" || (type.empty() && resource)) made = schema_object(schema, name, resource);
    else if (type == "string") made = schema_string(schema);
    else if (type == "boolean") made = simple(DeclForm::boolean);
    else if (type == "number") made = simple(DeclForm::real);
    else if (type == "integer") made = simple(DeclForm::integer);
  }
  if (made && flag(schema, "nullable")) const_cast<DeclType*>(made)->nullable = true;
  return made;
}

const DeclType* DeclPool::schema_list(const json::Node& schema, std::string_view name) {
  const json::Node* items = schema.find("items");
  if (!items) return nullptr;
  const DeclType* element = from_schema(*items, std::string(name) + ".@idx", flag(*items, "x-kubernetes-embedded-resource"));
  if (!element) return nullptr;
  auto& made = const_cast<DeclType&>(*list(element, bound(schema, "maxItems").value_or(max_text / (element->min_size + 1))));
  const std::string_view list_type = schema.string_at("x-kubernetes-list-type");
  made.list_type = list_type == "set" ? ListType::set : list_type == "map" ? ListType::map : ListType::atomic;
  auto& keys = keys_.emplace_back();
  if (const json::Node* names = schema.find("x-kubernetes-list-map-keys"))
    for (const json::Node& key : *names) keys.push_back(keep(key.as_string()));
  made.keys = keys;
  return &made;
}

const DeclType* DeclPool::schema_map(const json::Node& schema, const json::Node& values, std::string_view name) {
  const DeclType* element = from_schema(values, std::string(name) + ".@elem", flag(values, "x-kubernetes-embedded-resource"));
  if (!element) return nullptr;
  return map(element, bound(schema, "maxProperties").value_or(max_text / (element->min_size + 6)));
}

const DeclType* DeclPool::schema_object(const json::Node& schema, std::string_view name, bool resource) {
  std::set<std::string_view> required;
  if (const json::Node* names = schema.find("required"))
    for (const json::Node& each : *names) required.insert(each.as_string());
  DeclType& made = add(nullptr, DeclForm::object, 2, 0);
  made.type = types_.object(name, &made);
  std::vector<DeclField> fields;
  const auto add_field = [&](std::string_view json_name, const DeclType* type) {
    if (const auto escaped = escape(json_name)) fields.push_back({keep(*escaped), keep(json_name), type, required.contains(json_name)});
  };
  const json::Node* properties = schema.find("properties");
  if (properties && properties->is_object())
    for (const json::Node& property : *properties) {
      if (resource && (property.key() == "apiVersion" || property.key() == "kind" || property.key() == "metadata")) continue;
      const DeclType* type =
          from_schema(property, std::string(name) + "." + std::string(property.key()), flag(property, "x-kubernetes-embedded-resource"));
      if (!type) continue;
      add_field(property.key(), type);
      if (required.contains(property.key()) && !property.find("default"))
        made.min_size += int64_t(property.key().size()) + type->min_size + 4;
    }
  if (resource) {
    const DeclType* text = simple(DeclForm::string, max_text);
    const NewField meta[] = {{"name", text}, {"generateName", text}};
    add_field("apiVersion", text);
    add_field("kind", text);
    add_field("metadata", object(std::string(name) + ".metadata", meta));
  }
  std::sort(fields.begin(), fields.end(), [](const DeclField& a, const DeclField& b) { return a.name < b.name; });
  made.fields = fields_.emplace_back(std::move(fields));
  return &made;
}

const DeclType* DeclPool::schema_string(const json::Node& schema) {
  const std::string_view format = schema.string_at("format");
  const auto length = bound(schema, "maxLength");
  if (format == "byte") return simple(DeclForm::bytes, length.value_or(max_text));
  if (format == "duration") return simple(DeclForm::duration);
  if (format == "date") return simple(DeclForm::date);
  if (format == "date-time") return simple(DeclForm::date_time);
  // A length counts code points, of up to four bytes each.
  if (length) return simple(DeclForm::string, *length * 4);
  const json::Node* allowed = schema.find("enum");
  if (!allowed || allowed->empty()) return simple(DeclForm::string, max_text);
  int64_t longest = 0;
  for (const json::Node& value : *allowed) longest = std::max<int64_t>(longest, int64_t(value.as_string().size()));
  return simple(DeclForm::string, longest);
}

const DeclType* DeclPool::from_model(const model::schema::Type& type) {
  if (auto known = known_.find(&type); known != known_.end()) return known->second;
  DeclType& made = add(nullptr, DeclForm::object, 2, 0);
  made.type = types_.object(keep(type.full_name()), &made);
  known_.emplace(&type, &made);  // before its fields: types may hold themselves
  std::vector<DeclField> fields;
  for (const auto& field : type.fields) {
    const DeclType* value = model_field(field);
    if (const auto escaped = escape(field.name)) fields.push_back({keep(*escaped), field.name, value, field.required});
    if (field.required && field.default_value().empty()) made.min_size += int64_t(field.name.size()) + value->min_size + 4;
  }
  if (type.kind)
    for (const std::string_view name : {"apiVersion", "kind"}) fields.push_back({name, name, simple(DeclForm::string, max_text), false});
  std::sort(fields.begin(), fields.end(), [](const DeclField& a, const DeclField& b) { return a.name < b.name; });
  made.fields = fields_.emplace_back(std::move(fields));
  return &made;
}

const DeclType* DeclPool::model_field(const model::schema::Field& field) {
  const DeclType* value = model_value(field);
  switch (field.shape) {
    case Shape::single: return value;
    case Shape::map: return map(value, max_text / (value->min_size + 6));
    case Shape::map_of_lists: {
      const DeclType* inner = list(value, max_text / (value->min_size + 1));
      return map(inner, max_text / (inner->min_size + 6));
    }
    case Shape::list: break;
  }
  auto& made = const_cast<DeclType&>(*list(value, max_text / (value->min_size + 1)));
  made.list_type = field.list_type == ListType::none ? ListType::atomic : field.list_type;
  made.keys = field.keys();
  return &made;
}

const DeclType* DeclPool::model_value(const model::schema::Field& field) {
  switch (field.kind) {
    case Kind::string: return simple(DeclForm::string, max_text);
    case Kind::boolean: return simple(DeclForm::boolean);
    case Kind::int32:
    case Kind::int64: return simple(DeclForm::integer);
    case Kind::number: return simple(DeclForm::real);
    case Kind::bytes: return simple(DeclForm::bytes, max_text);
    case Kind::object: return object("object", {});
    case Kind::any: return simple(DeclForm::dyn, max_text);
    case Kind::message: return from_model(*field.type);
    case Kind::special: break;
  }
  switch (field.type->form) {
    case Form::quantity: return simple(DeclForm::string, max_text);
    case Form::time:
    case Form::micro_time: return simple(DeclForm::date_time);
    case Form::int_or_string: return simple(DeclForm::int_or_string, max_text);
    case Form::raw_extension:
    case Form::fields:
    case Form::patch: return object("object", {});
    default: return simple(DeclForm::dyn, max_text);
  }
}

}  // namespace estiba::cel
