// authorizer.path(…).check(…), authorizer.group(…).resource(…).…check(…).
#include "base/strings.h"
#include "cel/function.h"
#include "cel/library/objects.h"
#include "model/names.h"

namespace estiba::cel::library {

namespace {

/// The same check with one part more.
template <class Set>
Value extend(Context& c, const Value& from, Object::Is is, const Type* type, Set set) {
  auto* made = c.memory.arena().make<AccessObject>(as<AccessObject>(from));
  made->is = is;
  set(made->access);
  return Value::object(made, type);
}

Value path(Context& c, Args a) {
  if (trim(a[1].text()).empty()) return Value::error("path must not be empty");
  return extend(c, a[0], Object::Is::path_check, &types::path_check, [&](Access& access) { access.path = a[1].text(); });
}
Value group(Context& c, Args a) {
  return extend(c, a[0], Object::Is::group_check, &types::group_check, [&](Access& access) { access.group = a[1].text(); });
}
Value service_account(Context& c, Args a) {
  if (!model::check_dns1123_subdomain(a[2].text()).empty()) return Value::error("Invalid service account name");
  if (!model::check_dns1123_label(a[1].text()).empty()) return Value::error("Invalid service account namespace");
  return extend(c, a[0], Object::Is::authorizer, &types::authorizer,
                [&](Access& access) { access.subject = {true, a[1].text(), a[2].text()}; });
}
Value resource(Context& c, Args a) {
  if (trim(a[1].text()).empty()) return Value::error("resource must not be empty");
  return extend(c, a[0], Object::Is::resource_check, &types::resource_check, [&](Access& access) { access.resource = a[1].text(); });
}

template <std::string_view Access::* part>
Value with(Context& c, Args a) {
  return extend(c, a[0], Object::Is::resource_check, &types::resource_check, [&](Access& access) { access.*part = a[1].text(); });
}

Value check(Context& c, Args a) {
  if (!c.authorizer) return Value::error("no authorizer is at hand");
  Access access = as<AccessObject>(a[0]).access;
  access.verb = a[1].text();
  const Decision decision = c.authorizer->authorize(access);
  auto* made = c.memory.arena().make<DecisionObject>(DecisionObject{
      {Object::Is::decision}, decision.allowed, c.memory.arena().keep(decision.reason), c.memory.arena().keep(decision.error)});
  return Value::object(made, &types::decision);
}

Value errored(Context&, Args a) { return Value::boolean(!as<DecisionObject>(a[0]).error.empty()); }
Value error(Context&, Args a) { return Value::string(as<DecisionObject>(a[0]).error); }
Value allowed(Context&, Args a) { return Value::boolean(as<DecisionObject>(a[0]).allowed); }
Value reason(Context&, Args a) { return Value::string(as<DecisionObject>(a[0]).reason); }

#define ESTIBA_CEL_AUTHZ "kubernetes.authorization."
constexpr auto table = std::to_array<Native>({
    {"path", "authorizer_path", ESTIBA_CEL_AUTHZ "Authorizer.(string):" ESTIBA_CEL_AUTHZ "PathCheck", path},
    {"group", "authorizer_group", ESTIBA_CEL_AUTHZ "Authorizer.(string):" ESTIBA_CEL_AUTHZ "GroupCheck", group},
    {"serviceAccount", "authorizer_serviceaccount", ESTIBA_CEL_AUTHZ "Authorizer.(string,string):" ESTIBA_CEL_AUTHZ "Authorizer",
     service_account},
    {"resource", "groupcheck_resource", ESTIBA_CEL_AUTHZ "GroupCheck.(string):" ESTIBA_CEL_AUTHZ "ResourceCheck", resource},
    {"subresource", "resourcecheck_subresource", ESTIBA_CEL_AUTHZ "ResourceCheck.(string):" ESTIBA_CEL_AUTHZ "ResourceCheck",
     with<&Access::subresource>},
    {"namespace", "resourcecheck_namespace", ESTIBA_CEL_AUTHZ "ResourceCheck.(string):" ESTIBA_CEL_AUTHZ "ResourceCheck",
     with<&Access::namespace_name>},
    {"name", "resourcecheck_name", ESTIBA_CEL_AUTHZ "ResourceCheck.(string):" ESTIBA_CEL_AUTHZ "ResourceCheck", with<&Access::name>},
    {"fieldSelector", "authorizer_fieldselector", ESTIBA_CEL_AUTHZ "ResourceCheck.(string):" ESTIBA_CEL_AUTHZ "ResourceCheck",
     with<&Access::field_selector>},
    {"labelSelector", "authorizer_labelselector", ESTIBA_CEL_AUTHZ "ResourceCheck.(string):" ESTIBA_CEL_AUTHZ "ResourceCheck",
     with<&Access::label_selector>},
    {"check", "pathcheck_check", ESTIBA_CEL_AUTHZ "PathCheck.(string):" ESTIBA_CEL_AUTHZ "Decision", check},
    {"check", "resourcecheck_check", ESTIBA_CEL_AUTHZ "ResourceCheck.(string):" ESTIBA_CEL_AUTHZ "Decision", check},
    {"errored", "decision_errored", ESTIBA_CEL_AUTHZ "Decision.():bool", errored},
    {"error", "decision_error", ESTIBA_CEL_AUTHZ "Decision.():string", error},
    {"allowed", "decision_allowed", ESTIBA_CEL_AUTHZ "Decision.():bool", allowed},
    {"reason", "decision_reason", ESTIBA_CEL_AUTHZ "Decision.():string", reason},
});
#undef ESTIBA_CEL_AUTHZ

}  // namespace

std::span<const Native> authorization() { return table; }

}  // namespace estiba::cel::library
