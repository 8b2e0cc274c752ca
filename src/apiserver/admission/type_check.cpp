#include "apiserver/admission/type_check.h"

#include <map>

#include "apiserver/admission/expressions.h"
#include "apiserver/admission/matching.h"
#include "apiserver/edit.h"
#include "model/custom/definition.h"

namespace estiba::apiserver::admission {
namespace {

using json::Node;

constexpr size_t most_kinds = 10;

bool has_wildcard(const std::vector<std::string>& list) {
  return std::any_of(list.begin(), list.end(), [](const std::string& item) { return item.contains('*'); });
}

using Kinds = std::map<Named, model::ResourceRef>;

void add_kinds(const Cluster& cluster, const Rule& rule, Kinds& out) {
  if (has_wildcard(rule.groups) || has_wildcard(rule.versions)) return;
  for (const std::string& group : rule.groups)
    for (const std::string& version : rule.versions)
      for (const std::string& plural : rule.resources) {
        if (out.size() == most_kinds || plural.find_first_of("*/") != std::string::npos) continue;
        model::ResourceRef found = cluster.find_resource(group, version, plural);
        if (found.resource) out.emplace(Named{group, version, std::string(found.resource->kind)}, std::move(found));
      }
}

const cel::DeclType* declared(cel::DeclPool& pool, const Resource& row) {
  const model::CustomVersion* custom = model::custom_of(row);
  if (!custom) return pool.from_model(*row.type);
  return custom->schema.source ? pool.from_schema(*custom->schema.source, row.kind, true) : nullptr;
}

const cel::DeclType* params_type(const Cluster& cluster, cel::DeclPool& pool, const Node& kind) {
  const auto [group, version] = model::schema::split_api_version(kind.string_at("apiVersion"));
  if (const Resource* row = model::schema::find_resource_of_kind(group, version, kind.string_at("kind"))) return declared(pool, *row);
  const model::ResourceRef custom = cluster.catalog()->find_kind(group, version, kind.string_at("kind"));
  return custom.resource ? declared(pool, *custom.resource) : nullptr;
}

// The names of one kind, with the policy's variables.
struct Checked {
  Named kind;
  cel::DeclPool pool;
  std::unique_ptr<Names> names;
  std::vector<Expression> variables;
};

std::unique_ptr<Checked> names_of(const Cluster& cluster, const Node& spec, const Named& kind, const Resource& row) {
  auto out = std::make_unique<Checked>();
  out->kind = kind;
  const Node* params = spec.find("paramKind");
  Names::Types types{.params = present(params), .variables = true, .object = declared(out->pool, row)};
  if (types.params) types.param = params_type(cluster, out->pool, *params);
  out->names = std::make_unique<Names>(types);
  if (const Node* variables = spec.find("variables"); present(variables)) {
    for (const Node& variable : *variables) {
      Expression& made =
          out->variables.emplace_back(compile_expression(variable.string_at("expression"), *out->names, Use::condition, Wanted::anything));
      out->names->add_variable(variable.string_at("name"), made.program ? &made.program->type() : nullptr);
    }
  }
  return out;
}

std::string without_prefix(const std::string& error) {
  constexpr std::string_view prefix = "compilation failed: ";
  return error.starts_with(prefix) ? error.substr(prefix.size()) : error;
}

}  // namespace

std::vector<ExpressionWarning> check_types(const Cluster& cluster, const Node& policy) {
  std::vector<ExpressionWarning> out;
  const Node* spec = policy.find("spec");
  const Node* rules = present(spec) ? spec->at("matchConstraints", "resourceRules") : nullptr;
  const Node* validations = present(spec) ? spec->find("validations") : nullptr;
  if (!present(rules) || !present(validations)) return out;
  Kinds kinds;
  for (const Node& rule : *rules) add_kinds(cluster, Rule::parse(rule), kinds);
  std::vector<std::unique_ptr<Checked>> checked;
  for (const auto& [kind, row] : kinds) checked.push_back(names_of(cluster, *spec, kind, *row.resource));
  size_t i = 0;
  for (const Node& validation : *validations) {
    const std::string path = "spec.validations[" + std::to_string(i++) + "].";
    for (std::string_view key : {"expression", "messageExpression"}) {
      const std::string_view text = validation.string_at(key);
      if (text.empty()) continue;
      std::string warning;
      for (const auto& one : checked) {
        const Expression made = compile_expression(text, *one->names, Use::condition, Wanted::anything);
        if (made.program) continue;
        if (!warning.empty()) warning += '\n';
        warning += model::schema::join_api_version(one->kind.group, one->kind.version) + ", Kind=" + one->kind.name + ": " +
                   without_prefix(made.error) + "\n";
      }
      if (!warning.empty()) out.push_back({path + std::string(key), std::move(warning)});
    }
  }
  return out;
}

}  // namespace estiba::apiserver::admission
