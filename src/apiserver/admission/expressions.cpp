#include "apiserver/admission/expressions.h"

#include "apiserver/admission/extensions.h"
#include "apiserver/authz.h"
#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

using cel::DeclForm;
using cel::DeclType;
using Field = cel::DeclPool::NewField;

const DeclType* named_type(cel::DeclPool& pool, std::string_view name, std::string_view last) {
  const DeclType* text = pool.simple(DeclForm::string);
  const Field fields[] = {{"group", text, true}, {"version", text, true}, {last, text, true}};
  return pool.object(name, fields);
}

// AdmissionRequest without its objects, which have variables of their own.
const DeclType* request_decl(cel::DeclPool& pool) {
  const DeclType *text = pool.simple(DeclForm::string), *texts = pool.list(text, 0);
  const DeclType* kind = named_type(pool, "kubernetes.GroupVersionKind", "kind");
  const DeclType* resource = named_type(pool, "kubernetes.GroupVersionResource", "resource");
  const Field user[] = {{"username", text}, {"uid", text}, {"groups", texts}, {"extra", pool.map(texts, 0)}};
  const Field fields[] = {{"kind", kind, true},
                          {"resource", resource, true},
                          {"subResource", text},
                          {"requestKind", kind, true},
                          {"requestResource", resource, true},
                          {"requestSubResource", text},
                          {"name", text, true},
                          {"namespace", text},
                          {"operation", text, true},
                          {"userInfo", pool.object("kubernetes.UserInfo", user), true},
                          {"dryRun", pool.simple(DeclForm::boolean)},
                          {"options", pool.of(&cel::types::dyn)}};
  return pool.object("kubernetes.AdmissionRequest", fields);
}

const DeclType* namespace_decl(cel::DeclPool& pool) {
  const DeclType *text = pool.simple(DeclForm::string), *texts = pool.list(text, 0), *number = pool.simple(DeclForm::integer);
  const DeclType *time = pool.simple(DeclForm::date_time), *map = pool.map(text, 0);
  const Field metadata[] = {{"name", text, true},
                            {"generateName", text, true},
                            {"namespace", text, true},
                            {"labels", map, true},
                            {"annotations", map, true},
                            {"UID", text, true},
                            {"creationTimestamp", time, true},
                            {"deletionGracePeriodSeconds", number, true},
                            {"deletionTimestamp", time, true},
                            {"generation", number, true},
                            {"resourceVersion", text, true},
                            {"finalizers", texts, true}};
  const Field condition[] = {
      {"status", text, true}, {"type", text, true}, {"lastTransitionTime", time, true}, {"message", text, true}, {"reason", text, true}};
  const Field status[] = {{"conditions", pool.list(pool.object("kubernetes.NamespaceCondition", condition), 0), true},
                          {"phase", text, true}};
  const Field spec[] = {{"finalizers", texts, true}};
  const Field fields[] = {{"metadata", pool.object("kubernetes.NamespaceMetadata", metadata), true},
                          {"spec", pool.object("kubernetes.NamespaceSpec", spec), true},
                          {"status", pool.object("kubernetes.NamespaceStatus", status), true}};
  return pool.object("kubernetes.Namespace", fields);
}

bool fits(const cel::Type& type, Wanted wanted) {
  switch (wanted) {
    case Wanted::anything: return true;
    case Wanted::boolean: return &type == &cel::types::boolean;
    case Wanted::text: return &type == &cel::types::string;
    case Wanted::text_or_null: return &type == &cel::types::string || &type == &cel::types::null;
    case Wanted::object: return type.kind == cel::TypeKind::object && type.name == "Object";
    case Wanted::patches: return type.kind == cel::TypeKind::list && type.element() == &cel::types::json_patch;
  }
  return false;
}

std::string_view describe(Wanted wanted) {
  switch (wanted) {
    case Wanted::anything: return "any";
    case Wanted::boolean: return "bool";
    case Wanted::text: return "string";
    case Wanted::text_or_null: return "one of [string null_type]";
    case Wanted::object: return "Object";
    case Wanted::patches: return "list(JSONPatch)";
  }
  return {};
}

// The server's authorization, for the user of the request or a service account.
class Asking final : public cel::Authorizer {
 public:
  Asking(const apiserver::Authorizer* authorizer, const User& user) : authorizer_(authorizer), user_(user) {}

  cel::Decision authorize(const cel::Access& access) override {
    if (!authorizer_) return {false, {}, "this server has no authorizer"};
    const apiserver::Attributes asked{std::string(access.verb),     std::string(access.group),       {},
                                      std::string(access.resource), std::string(access.subresource), std::string(access.namespace_name),
                                      std::string(access.name),     std::string(access.path)};
    apiserver::Decision decision = authorizer_->authorize(access.subject.is_service_account ? account(access.subject) : user_, asked);
    return {decision.allowed, std::move(decision.reason), {}};
  }

 private:
  static User account(const cel::Subject& subject) {
    const std::string ns(subject.namespace_name);
    return {"system:serviceaccount:" + ns + ":" + std::string(subject.name),
            {},
            {"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"},
            {}};
  }

  const apiserver::Authorizer* authorizer_;
  const User& user_;
};

constexpr std::string_view out_of_budget = "validation failed due to running out of cost budget, no further validation rules will be run";

}  // namespace

Names::Names(const Types& types) : types_(types), request_(request_decl(pool_)), namespace_(namespace_decl(pool_)) { declare(); }

void Names::declare() {
  if (types_.variables) variables_ = pool_.object("kubernetes.variables", fields_);
  for (Use use : {Use::condition, Use::message, Use::mutation}) {
    auto& environment = environments_[size_t(use)];
    environment = std::make_unique<cel::Environment>(cel::Features{.mutation = use == Use::mutation});
    for (std::string_view name : {"object", "oldObject"}) {
      if (types_.object) environment->declare(name, types_.object);
      else environment->declare(name, &cel::types::dyn);
    }
    environment->declare("request", request_).declare("namespaceObject", namespace_);
    if (types_.params && types_.param) environment->declare("params", types_.param);
    else if (types_.params) environment->declare("params", &cel::types::dyn);
    if (types_.variables) environment->declare("variables", variables_);
    if (use == Use::message) continue;
    environment->declare("authorizer", &cel::types::authorizer);
    environment->declare("authorizer.requestResource", &cel::types::resource_check);
  }
}

// What Kubernetes makes of a variable's type: scalars, lists and maps of them, anything for the rest.
const DeclType* Names::decl_of(const cel::Type* type) {
  if (!type) return pool_.of(&cel::types::dyn);
  switch (type->kind) {
    case cel::TypeKind::any:
    case cel::TypeKind::boolean:
    case cel::TypeKind::bytes:
    case cel::TypeKind::real:
    case cel::TypeKind::duration:
    case cel::TypeKind::integer:
    case cel::TypeKind::null:
    case cel::TypeKind::string:
    case cel::TypeKind::timestamp:
    case cel::TypeKind::uinteger: return pool_.of(type);
    case cel::TypeKind::list: return pool_.list(decl_of(type->element()), 0);
    case cel::TypeKind::map: return pool_.map(decl_of(type->value()), 0, decl_of(type->parameters[0]));
    default: return pool_.of(&cel::types::dyn);
  }
}

void Names::add_variable(std::string_view name, const cel::Type* type) {
  fields_.push_back({texts_.emplace_back(name), decl_of(type), true});
  declare();
}

Expression compile_expression(std::string_view text, const Names& names, Use use, Wanted wanted) {
  Expression out{std::string(text), use, {}, {}};
  auto program = cel::compile(text, names.environment(use));
  if (!program) {
    out.error = (program.error().issues.empty() ? "program instantiation failed: " : "compilation failed: ") + program.error().text;
  } else if (!fits(program->type(), wanted)) {
    out.error = "must evaluate to " + std::string(describe(wanted)) + " but got " + cel::to_string(program->type());
  } else {
    out.program.emplace(std::move(*program));
  }
  return out;
}

struct Round::State final : cel::LazyFields {
  State(const Situation& given, const Names& known, const std::vector<Variable>* variables_in, uint64_t limit)
      : situation(given),
        names(known),
        variables(variables_in),
        budget(limit),
        asking(given.subject.attributes.cluster.extensions().authorizer(), given.subject.attributes.action.user),
        computed(variables_in ? variables_in->size() : 0) {
    const Subject& subject = given.subject;
    authorizer = cel::make_authorizer(own.memory());
    const cel::Access access{.group = subject.resource.group,
                             .resource = subject.resource.name,
                             .subresource = subject.subresource,
                             .namespace_name = subject.ns,
                             .name = subject.name};
    request_resource = cel::make_resource_check(own.memory(), access);
  }

  std::optional<cel::Value> field(std::string_view name, cel::Memory& memory) override {
    for (size_t i = 0; variables && i < variables->size(); i++) {
      if ((*variables)[i].name != name) continue;
      if (!computed[i]) compute(i);
      const cel::Value& value = computed[i]->value;
      if (!value.is_error()) return value;
      return memory.error("composited variable " + quoted(name) + " fails to " + why[i] + ": " + std::string(value.text()));
    }
    return std::nullopt;
  }

  void compute(size_t i) {
    const Expression& expression = (*variables)[i].expression;
    computed[i] = std::make_unique<cel::Evaluation>();
    if (why.empty()) why.resize(variables->size());
    if (!expression.program) {
      why[i] = "compile";
      computed[i]->value = computed[i]->memory().error(expression.error);
      return;
    }
    why[i] = "evaluate";
    const cel::Activation values = activation(expression.use);
    // One that has begun and names itself (by way of another) finds an error instead of an end.
    computed[i]->value = cel::Value::error("it depends on itself");
    auto result = std::make_unique<cel::Evaluation>();
    expression.program->evaluate(values, *result);
    spent += result->cost;
    computed[i] = std::move(result);
  }

  cel::Activation activation(Use use) {
    cel::Activation values(names.environment(use));
    const auto set = [&](std::string_view name, const json::Node* node, const DeclType* type) {
      if (present(node)) values.set(name, cel::Value::json(*node, type));
    };
    set("object", situation.objects.object, names.environment(use).declared("object"));
    set("oldObject", situation.objects.old, names.environment(use).declared("oldObject"));
    set("request", &situation.request.root(), names.request_type());
    set("namespaceObject", situation.namespace_object, names.namespace_type());
    if (names.environment(use).variable("params")) set("params", situation.params, names.environment(use).declared("params"));
    if (names.variables_type()) values.set("variables", cel::Value::lazy(this, names.variables_type()));
    if (use == Use::message) return values;
    values.authorizer = &asking;
    values.set("authorizer", authorizer);
    values.set("authorizer.requestResource", request_resource);
    return values;
  }

  const Situation& situation;
  const Names& names;
  const std::vector<Variable>* variables;
  uint64_t budget, spent = 0;
  Asking asking;
  std::vector<std::unique_ptr<cel::Evaluation>> computed;
  std::vector<std::string> why;
  cel::Evaluation own, evaluation;
  cel::Value authorizer, request_resource;
};

Round::Round(const Situation& situation, const Names& names, const std::vector<Variable>* variables, uint64_t budget)
    : state_(std::make_unique<State>(situation, names, variables, budget)) {}
Round::~Round() = default;

cel::Memory& Round::memory() { return state_->evaluation.memory(); }
uint64_t Round::budget() const { return state_->budget; }

Answer Round::evaluate(const Expression& expression) {
  State& state = *state_;
  if (!expression.program) return {{}, "compilation error: " + expression.error, false};
  const cel::Activation values = state.activation(expression.use);
  state.spent = 0;
  expression.program->evaluate(values, state.evaluation);
  const uint64_t cost = state.spent + state.evaluation.cost;
  if (cost > state.budget) {
    state.budget = 0;
    return {{}, std::string(out_of_budget), true};
  }
  state.budget -= cost;
  if (!state.evaluation.ok())
    return {{}, "expression '" + expression.text + "' resulted in error: " + std::string(state.evaluation.error()), false};
  return {state.evaluation.value, {}, false};
}

Conditions Conditions::compile(const json::Node* list, const Names& names, bool fail) {
  Conditions out{{}, fail};
  if (present(list))
    for (const json::Node& condition : *list)
      out.expressions.push_back(compile_expression(trim(condition.string_at("expression")), names, Use::condition, Wanted::boolean));
  return out;
}

Result<bool> Conditions::hold(const Situation& situation, const Names& names, const std::vector<Variable>* variables) const {
  if (expressions.empty()) return true;
  Round round(situation, names, variables, cel::match_conditions_budget);
  std::vector<std::string> errors;
  for (const Expression& expression : expressions) {
    Answer answer = round.evaluate(expression);
    if (answer.out_of_budget) errors.clear();
    if (!answer.error.empty()) errors.push_back(std::move(answer.error));
    else if (answer.value.is_false()) return false;
    if (answer.out_of_budget) break;
  }
  if (errors.empty()) return true;
  if (!fail) return false;
  return estiba::fail(Code::forbidden, errors.size() == 1 ? errors[0] : "[" + join(errors, ", ") + "]");
}

}  // namespace estiba::apiserver::admission
