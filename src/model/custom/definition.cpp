#include "model/custom/definition.h"

#include <algorithm>
#include <atomic>

#include "base/strings.h"
#include "model/custom/table_builder.h"

namespace estiba::model {

using json::Node;

static bool is_built_in(const schema::Package* package) {
  const auto all = schema::packages();
  return package >= all.data() && package < all.data() + all.size();
}

static const CustomType* custom_type(const schema::Type& type) {
  return is_built_in(type.package) ? nullptr : static_cast<const CustomType*>(&type);
}

const CustomVersion* custom_of(const schema::Resource& resource) {
  const schema::Package* package = resource.type->package;
  return is_built_in(package) ? nullptr : static_cast<const CustomPackage*>(package)->owner;
}

const Structural* structural_of(const schema::Type& type) {
  const CustomType* custom = custom_type(type);
  return custom ? custom->structural : nullptr;
}

bool is_open(const schema::Type& type) {
  const CustomType* custom = custom_type(type);
  return custom && custom->open;
}

std::string list_kind_of(const schema::Resource& resource) {
  const CustomVersion* custom = custom_of(resource);
  return custom ? std::string(custom->definition->list_kind()) : std::string(resource.kind) + "List";
}

namespace {

constexpr std::string_view all_verbs[] = {"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"};
// A definition that goes away takes no new objects.
constexpr std::string_view ending_verbs[] = {"delete", "deletecollection", "get", "list", "patch", "update", "watch"};
constexpr std::string_view sub_verbs[] = {"get", "patch", "update"};

std::string without_dot(std::string_view path) { return std::string(path.starts_with('.') ? path.substr(1) : path); }

Result<std::vector<CustomColumn>> columns_of(const Node& version) {
  std::vector<CustomColumn> out;
  const Node* columns = version.find("additionalPrinterColumns");
  if (!columns || columns->empty()) {
    out.push_back({"Age", "date", "",
                   "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "
                   "guaranteed to be set in happens-before order across separate operations.",
                   0, TRY(JsonPath::parse(".metadata.creationTimestamp"))});
    return out;
  }
  for (const Node& column : *columns) {
    auto path = JsonPath::parse(column.string_at("jsonPath"));
    if (!path) continue;  // validation has let pass what it cannot read, as Kubernetes does: the column is not shown
    std::string description(column.string_at("description"));
    if (description.empty())
      description = "Custom resource definition column (in JSONPath format): " + std::string(column.string_at("jsonPath"));
    const Node* priority = column.find("priority");
    out.push_back({column.string_at("name"), column.string_at("type"), column.string_at("format"), std::move(description),
                   priority ? int(priority->as_int().value_or(0)) : 0, std::move(*path)});
  }
  return out;
}

std::vector<CustomSelectable> selectable_of(const Node& version) {
  std::vector<CustomSelectable> out;
  if (const Node* fields = version.find("selectableFields"))
    for (const Node& field : *fields)
      if (auto path = JsonPath::parse(field.string_at("jsonPath")))
        out.push_back({without_dot(field.string_at("jsonPath")), std::move(*path)});
  return out;
}

std::vector<std::string_view> strings(const Node* list) {
  std::vector<std::string_view> out;
  if (list)
    for (const Node& text : *list) out.push_back(text.as_string());
  return out;
}

}  // namespace

bool has_condition(const Node& object, std::string_view type) {
  const Node* conditions = object.at("status", "conditions");
  if (!conditions) return false;
  return std::any_of(conditions->begin(), conditions->end(),
                     [&](const Node& condition) { return condition.string_at("type") == type && condition.string_at("status") == "True"; });
}

namespace {

struct VersionParts {
  int stage = 3;  // 0 stable, 1 beta, 2 alpha, 3 no version of Kubernetes' form
  int64_t major = 0, minor = 0;
};

VersionParts parts_of(std::string_view version) {
  VersionParts out;
  size_t at = 1;
  const auto number = [&](int64_t& value) {
    const size_t begin = at;
    while (at < version.size() && version[at] >= '0' && version[at] <= '9') ++at;
    const auto parsed = parse_number<int64_t>(version.substr(begin, at - begin));
    value = parsed.value_or(0);
    return parsed && *parsed > 0;
  };
  if (!version.starts_with('v') || !number(out.major)) return {};
  if (at == version.size()) {
    out.stage = 0;
    return out;
  }
  const std::string_view rest = version.substr(at);
  const int stage = rest.starts_with("beta") ? 1 : rest.starts_with("alpha") ? 2 : 3;
  if (stage == 3) return {};
  at += stage == 1 ? 4 : 5;
  if (!number(out.minor) || at != version.size()) return {};
  out.stage = stage;
  return out;
}

}  // namespace

bool version_before(std::string_view a, std::string_view b) {
  const VersionParts x = parts_of(a), y = parts_of(b);
  if (x.stage != y.stage) return x.stage < y.stage;
  if (x.stage == 3) return a < b;
  if (x.major != y.major) return x.major > y.major;
  return x.minor > y.minor;
}

Result<CustomDefinitionPtr> CustomDefinition::make(std::string_view text, void (*prepare)(CustomVersion&)) {
  static std::atomic<uint64_t> next{1};
  std::shared_ptr<CustomDefinition> out(new CustomDefinition());
  out->document_ = TRY(json::Document::parse(text));
  out->id_ = next.fetch_add(1);
  TRY_AS("definition " + std::string(out->name()), out->read());
  if (prepare)
    for (CustomVersion& version : out->versions_) prepare(version);
  return out;
}

const CustomVersion* CustomDefinition::version(std::string_view name) const {
  for (const CustomVersion& version : versions_)
    if (version.name == name) return &version;
  return nullptr;
}

void CustomDefinition::read_names() {
  // What has been accepted is served; a change of names that conflicts leaves the old ones.
  const Node* spec = root().at("spec", "names");
  const Node* accepted = root().at("status", "acceptedNames");
  const Node& names = accepted && !accepted->string_at("plural").empty() ? *accepted : *spec;
  plural_ = names.string_at("plural");
  singular_ = names.string_at("singular");
  kind_ = names.string_at("kind");
  list_kind_ = names.string_at("listKind");
  short_names_ = strings(names.find("shortNames"));
  categories_ = strings(names.find("categories"));
}

Result<void> CustomDefinition::read() {
  const Node* spec = root().find("spec");
  if (!spec || !spec->find("names") || !spec->find("versions")) return fail(Code::malformed, "spec is not whole");
  read_names();
  namespaced_ = spec->string_at("scope") == "Namespaced";
  established_ = has_condition(root(), "Established");
  terminating_ = has_condition(root(), "Terminating");
  if (spec->string_at("conversion", "strategy") == "Webhook") webhook_ = spec->at("conversion", "webhook");
  std::string served = json::print(*spec);
  if (const Node* accepted = root().at("status", "acceptedNames")) json::print_to(served, *accepted);
  served += established_ ? '1' : '0';
  served += terminating_ ? '1' : '0';
  fingerprint_ = fnv1a64(served);
  for (const Node& node : *spec->find("versions")) TRY(read_version(node));
  for (const CustomVersion& version : versions_)
    if (version.storage) storage_ = &version;
  if (!storage_) return fail(Code::malformed, "no version is the storage version");
  return {};
}

Result<void> CustomDefinition::read_version(const Node& node) {
  CustomVersion& out = versions_.emplace_back();
  out.definition = this;
  out.name = node.string_at("name");
  const auto flag = [&](std::string_view key) {
    const Node* value = node.find(key);
    return value && value->as_bool();
  };
  out.served = flag("served");
  out.storage = flag("storage");
  const std::string group_version = std::string(group()) + "/" + std::string(out.name);
  if (flag("deprecated")) {
    out.deprecation = node.string_at("deprecationWarning");
    if (out.deprecation.empty()) out.deprecation = group_version + " " + std::string(kind_) + " is deprecated";
  }
  if (const Node* schema = node.at("schema", "openAPIV3Schema")) out.schema = Structural::parse(*schema);
  out.columns = TRY(columns_of(node));
  out.selectable = selectable_of(node);
  const Node* subresources = node.find("subresources");
  if (subresources && subresources->find("status")) {
    out.status = true;
    out.subresources_.push_back({"status", group(), out.name, kind_, sub_verbs});
  }
  if (const Node* scale = subresources ? subresources->find("scale") : nullptr) {
    out.scale = CustomScale{without_dot(scale->string_at("specReplicasPath")), without_dot(scale->string_at("statusReplicasPath")),
                            without_dot(scale->string_at("labelSelectorPath"))};
    out.subresources_.push_back({"scale", "autoscaling", "v1", "Scale", sub_verbs});
  }
  TableBuilder(out, group()).build(kind_, list_kind_);
  schema::Resource& row = out.resource;
  row.group = group();
  row.version = out.name;
  row.plural = plural_;
  row.singular = singular_;
  row.kind = kind_;
  row.type = out.published_[0];
  row.namespaced = namespaced_;
  row.short_names = short_names_;
  row.categories = categories_;
  row.verbs = terminating_ ? std::span<const std::string_view>(ending_verbs) : std::span<const std::string_view>(all_verbs);
  row.subresources = out.subresources_;
  out.list_type = out.published_[1];
  out.published = out.published_;
  return {};
}

}  // namespace estiba::model
