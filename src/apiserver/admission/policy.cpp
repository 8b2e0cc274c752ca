#include "apiserver/admission/policy.h"

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kept.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

using json::Document;
using json::Node;
using Params = std::vector<std::shared_ptr<const Document>>;

Result<ParamRef> parse_param_ref(const Node& node) {
  ParamRef out{std::string(node.string_at("name")),
               std::string(node.string_at("namespace")),
               {},
               node.string_at("parameterNotFoundAction") == "Deny"};
  if (present(node.find("selector"))) out.selector = TRY(selector_of(node, "selector"));
  return out;
}

void compile_variables(Policy& policy, const Node& spec) {
  const Node* list = spec.find("variables");
  if (!present(list)) return;
  for (const Node& variable : *list) {
    Expression expression = compile_expression(variable.string_at("expression"), *policy.names, Use::condition, Wanted::anything);
    policy.names->add_variable(variable.string_at("name"), expression.program ? &expression.program->type() : nullptr);
    policy.variables.push_back({std::string(variable.string_at("name")), std::move(expression)});
  }
}

void compile_validations(Policy& policy, const Node& spec) {
  if (const Node* list = spec.find("validations"); present(list)) {
    for (const Node& validation : *list) {
      Validation& made = policy.validations.emplace_back(
          compile_expression(validation.string_at("expression"), *policy.names, Use::condition, Wanted::boolean), std::nullopt,
          std::string(trim(validation.string_at("message"))), std::string(validation.string_at("reason")));
      if (const std::string_view text = validation.string_at("messageExpression"); !text.empty())
        made.message_expression.emplace(compile_expression(text, *policy.names, Use::message, Wanted::text));
    }
  }
  if (const Node* list = spec.find("auditAnnotations"); present(list))
    for (const Node& annotation : *list)
      policy.annotations.push_back(
          {std::string(annotation.string_at("key")),
           compile_expression(trim(annotation.string_at("valueExpression")), *policy.names, Use::condition, Wanted::text_or_null)});
}

void compile_mutations(Policy& policy, const Node& spec) {
  const Node* list = spec.find("mutations");
  if (!present(list)) return;
  for (const Node& mutation : *list) {
    const bool patch = mutation.string_at("patchType") == "JSONPatch";
    const std::string_view text = mutation.string_at(patch ? "jsonPatch" : "applyConfiguration", "expression");
    policy.mutations.push_back(
        {patch, compile_expression(trim(text), *policy.names, Use::mutation, patch ? Wanted::patches : Wanted::object)});
  }
}

// The resource whose objects are a policy's parameters.
Result<model::ResourceRef> param_resource(const Cluster& cluster, const Named& kind) {
  model::ResourceRef found{model::schema::find_resource_of_kind(kind.group, kind.version, kind.name), nullptr};
  if (!found.resource) found = cluster.catalog()->find_kind(kind.group, kind.version, kind.name);
  if (!found.resource)
    return fail(Code::not_found, "failed to find resource referenced by paramKind: '" +
                                     model::schema::join_api_version(kind.group, kind.version) + ", Kind=" + kind.name + "'");
  return found;
}

Result<std::shared_ptr<const Document>> read_param(const store::Entry& entry, const Resource& row) {
  model::ObjectRef object = TRY(object_of(entry, row));
  return std::make_shared<const Document>(TRY(Document::parse(object.print())));
}

Result<Params> list_params(const Cluster& cluster, const Resource& row, std::string_view ns, const model::LabelSelector& selector) {
  Params out;
  for (const store::EntryPtr& entry : TRY(cluster.store().list(prefix_of(row, ns))).entries) {
    const model::ObjectRef object = TRY(object_of(*entry, row));
    if (selector.matches(object.meta().labels)) out.push_back(TRY(read_param(*entry, row)));
  }
  return out;
}

Result<Params> collect_params(const Subject& subject, const Policy& policy, const Binding& binding, const model::ResourceRef& resource) {
  if (!policy.param_kind || !binding.params) return Params{nullptr};
  const ParamRef& wanted = *binding.params;
  const Resource& row = *resource.resource;
  std::string ns;
  if (row.namespaced) {
    ns = wanted.ns.empty() ? subject.ns : wanted.ns;
    if (ns.empty()) return fail(Code::invalid, "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources");
  } else if (!wanted.ns.empty()) {
    return fail(Code::invalid, "paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
  }
  const Cluster& cluster = subject.attributes.cluster;
  Params out;
  if (!wanted.name.empty()) {
    auto entry = cluster.store().get(key_of(row, ns, wanted.name));
    if (entry) out.push_back(TRY(read_param(**entry, row)));
    else if (entry.error().code != Code::not_found) return std::unexpected(std::move(entry.error()));
  } else if (wanted.selector) {
    out = TRY(list_params(cluster, row, ns, *wanted.selector));
  }
  if (out.empty() && wanted.deny_when_missing)
    return fail(Code::not_found, "no params found for policy binding with `Deny` parameterNotFoundAction");
  return out;
}

}  // namespace

std::shared_ptr<const Binding> Binding::parse(const Node& object) {
  auto out = std::make_shared<Binding>();
  out->name = object.string_at("metadata", "name");
  out->policy = object.string_at("spec", "policyName");
  const Node* spec = object.find("spec");
  if (!present(spec)) return out;
  out->actions = strings_of(*spec, "validationActions");
  if (const Node* resources = spec->find("matchResources"); present(resources)) {
    auto matching = Matching::of_policy(*resources);
    if (matching) out->matching = std::move(*matching);
    else out->broken = "matchResources." + matching.error().message;
  }
  if (const Node* ref = spec->find("paramRef"); present(ref)) {
    auto params = parse_param_ref(*ref);
    if (params) out->params = std::move(*params);
    else out->broken = "paramRef." + params.error().message;
  }
  return out;
}

std::shared_ptr<const Policy> Policy::parse(const Node& object, bool mutating) {
  auto out = std::make_shared<Policy>();
  out->name = object.string_at("metadata", "name");
  const Node* spec = object.find("spec");
  if (!present(spec)) return out;
  out->fail = spec->string_at("failurePolicy") != "Ignore";
  out->reinvoke = spec->string_at("reinvocationPolicy") == "IfNeeded";
  if (const Node* kind = spec->find("paramKind"); present(kind)) {
    const auto [group, version] = model::schema::split_api_version(kind->string_at("apiVersion"));
    out->param_kind = Named{std::string(group), std::string(version), std::string(kind->string_at("kind"))};
  }
  if (const Node* resources = spec->find("matchConstraints"); present(resources)) {
    auto matching = Matching::of_policy(*resources);
    if (matching) out->matching = std::move(*matching);
    else out->broken = "matchConstraints." + matching.error().message;
  }
  out->names = std::make_shared<Names>(Names::Types{.params = out->param_kind.has_value(), .variables = true});
  compile_variables(*out, *spec);
  out->conditions = Conditions::compile(spec->find("matchConditions"), *out->names, out->fail);
  if (mutating) compile_mutations(*out, *spec);
  else compile_validations(*out, *spec);
  return out;
}

std::string Invocation::key() const {
  std::string out = policy->name + "\n" + binding->name;
  if (params)
    out.append("\n")
        .append(params->root().string_at("metadata", "namespace"))
        .append("/")
        .append(params->root().string_at("metadata", "name"));
  return out;
}

Result<void> find_invocations(Subject& subject, const std::vector<BoundPolicy>& policies, std::vector<Invocation>& out,
                              std::vector<PolicyProblem>& problems) {
  for (const BoundPolicy& bound : policies) {
    const Policy& policy = *bound.policy;
    const auto problem = [&](const Binding* binding, const std::string& why) {
      problems.push_back({&policy, binding, std::string("failed to configure ") + (binding ? "binding: " : "policy: ") + why});
    };
    auto match = policy.matching.find(subject);
    if (!match) {
      problem(nullptr, match.error().message);
      continue;
    }
    if (!*match) continue;
    model::ResourceRef resource;
    std::string broken = policy.broken;
    if (policy.param_kind) {
      auto found = param_resource(subject.attributes.cluster, *policy.param_kind);
      if (found) resource = std::move(*found);
      else broken = found.error().message;
    }
    if (!broken.empty()) {
      problem(nullptr, broken);
      continue;
    }
    for (const auto& binding : bound.bindings) {
      auto also = binding->matching ? binding->matching->find(subject) : Result<std::optional<Match>>(**match);
      if (also && !*also) continue;
      auto params = !also                      ? std::unexpected(std::move(also.error()))
                    : !binding->broken.empty() ? Result<Params>(fail(Code::invalid, binding->broken))
                                               : collect_params(subject, policy, *binding, resource);
      if (!params) {
        problem(binding.get(), params.error().message);
        continue;
      }
      for (auto& param : *params) out.push_back({&policy, binding.get(), **match, std::move(param)});
    }
  }
  return {};
}

Result<std::shared_ptr<const Document>> namespace_document(const Subject& subject) {
  const model::ObjectRef object = TRY(subject.namespace_object());
  if (!object) return nullptr;
  return std::make_shared<const Document>(TRY(Document::parse(object.print())));
}

}  // namespace estiba::apiserver::admission
