#include "controllers/certificate_requests.h"

#include <algorithm>
#include <set>

namespace estiba::controllers {

using model::certificates_v1::CertificateSigningRequest;
using model::certificates_v1::CertificateSigningRequestCondition;

namespace {

using Usages = std::set<std::string, std::less<>>;

// Elliptic keys encipher no keys, so that their requests leave that usage out.
Result<void> check_usages(const std::vector<std::string>& usages, std::string_view purpose) {
  const Usages asked(usages.begin(), usages.end());
  Usages wanted{std::string(purpose), "digital signature"};
  if (asked == wanted) return {};
  wanted.insert("key encipherment");
  if (asked == wanted) return {};
  std::string list;
  for (const std::string& usage : wanted) list += (list.empty() ? "" : " ") + usage;
  return fail(Code::invalid, "usages did not match [" + list + "]");
}

bool is_of_nodes(const RequestedSubject& subject) { return subject.organizations == std::vector<std::string>{"system:nodes"}; }

}  // namespace

const CertificateSigningRequestCondition* find_condition(const CertificateSigningRequest& request, std::string_view type) {
  const auto& conditions = request.status.conditions;
  const auto found = std::find_if(conditions.begin(), conditions.end(), [&](const auto& each) { return each.type == type; });
  return found == conditions.end() ? nullptr : &*found;
}

Result<void> check_kubelet_client(const RequestedSubject& subject, const std::vector<std::string>& usages) {
  if (!is_of_nodes(subject)) return fail(Code::invalid, "subject organization is not system:nodes");
  if (!subject.dns_names.empty()) return fail(Code::invalid, "DNS subjectAltNames are not allowed");
  if (!subject.emails.empty()) return fail(Code::invalid, "Email subjectAltNames are not allowed");
  if (!subject.ip_addresses.empty()) return fail(Code::invalid, "IP subjectAltNames are not allowed");
  if (!subject.uris.empty()) return fail(Code::invalid, "URI subjectAltNames are not allowed");
  if (!subject.common_name.starts_with("system:node:")) return fail(Code::invalid, "subject common name does not begin with system:node:");
  return check_usages(usages, "client auth");
}

Result<void> check_kubelet_serving(const RequestedSubject& subject, const std::vector<std::string>& usages) {
  if (!is_of_nodes(subject)) return fail(Code::invalid, "subject organization is not system:nodes");
  if (subject.dns_names.empty() && subject.ip_addresses.empty()) return fail(Code::invalid, "DNS or IP subjectAltName is required");
  if (!subject.emails.empty()) return fail(Code::invalid, "Email subjectAltNames are not allowed");
  if (!subject.uris.empty()) return fail(Code::invalid, "URI subjectAltNames are not allowed");
  if (auto good = check_usages(usages, "server auth"); !good) return good;
  if (!subject.common_name.starts_with("system:node:")) return fail(Code::invalid, "subject common name does not begin with system:node:");
  return {};
}

Result<void> check_apiserver_client(const RequestedSubject&, const std::vector<std::string>& usages) {
  bool client = false;
  for (const std::string& usage : usages) {
    client |= usage == "client auth";
    if (usage != "client auth" && usage != "digital signature" && usage != "key encipherment")
      return fail(Code::invalid, "invalid usage for client certificate: " + usage);
  }
  if (!client) return fail(Code::invalid, "missing required usage for client certificate: client auth");
  return {};
}

std::string with_condition(const model::ObjectRef& request, std::string_view type, std::string_view reason, std::string_view message,
                           std::string_view now) {
  client::JsonWriter json;
  json.object().object("metadata").field("resourceVersion", request.resource_version()).end().object("status").array("conditions");
  for (const auto& each : request.as<CertificateSigningRequest>().status.conditions) json.raw_value(model::encode(each));
  json.object().field("type", type).field("status", "True").field("reason", reason).field("message", message);
  json.field("lastUpdateTime", now).field("lastTransitionTime", now).end();
  json.end().end().end();
  return json.take();
}

}  // namespace estiba::controllers
