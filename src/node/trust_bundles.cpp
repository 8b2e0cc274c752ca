#include "node/trust_bundles.h"

#include <set>

#include "base/strings.h"
#include "client/selectors.h"
#include "model/json.h"

namespace estiba::node {

namespace {

const client::Resource bundles{"certificates.k8s.io", "v1beta1", "clustertrustbundles"};

Result<std::string> text_of(const model::ObjectRef& object) {
  const auto document = TRY(json::Document::parse(object.object->json()));
  return std::string(document.root().string_at("spec", "trustBundle"));
}

}  // namespace

std::string merge_certificates(const std::vector<std::string>& texts) {
  constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----", end = "-----END CERTIFICATE-----";
  constexpr size_t line = 64;
  std::set<std::string> found;  // base64 without white space
  for (const std::string& text : texts) {
    for (size_t at = 0; (at = text.find(begin, at)) != std::string::npos;) {
      at += begin.size();
      const size_t stop = text.find(end, at);
      if (stop == std::string::npos) break;
      std::string body;
      for (char c : std::string_view(text).substr(at, stop - at))
        if (!isspace(static_cast<unsigned char>(c))) body += c;
      if (!body.empty()) found.insert(std::move(body));
      at = stop + end.size();
    }
  }
  std::string out;
  for (const std::string& body : found) {
    out.append(begin).append("\n");
    for (size_t at = 0; at < body.size(); at += line) out.append(body, at, line).append("\n");
    out.append(end).append("\n");
  }
  return out;
}

Task<Result<std::string>> trust_bundle(const Context& context, model::core_v1::ClusterTrustBundleProjection source) {
  std::vector<std::string> texts;
  const bool optional = source.optional.value_or(false);
  if (!source.name.empty()) {
    auto object = co_await context.client.get(bundles, "", source.name);
    if (object) texts.push_back(CO_TRY(text_of(*object)));
    else if (object.error().code != Code::not_found) co_return std::unexpected(std::move(object.error()));
    else if (!optional) co_return fail(Code::not_found, "clustertrustbundle " + quoted(source.name) + " not found");
  } else if (!source.signerName.empty()) {
    auto listed = CO_TRY(co_await context.client.list(bundles, "", {.field_selector = "spec.signerName=" + source.signerName}));
    for (const model::ObjectRef& object : listed.items)
      if (source.labelSelector && client::matches(*source.labelSelector, object.meta().labels)) texts.push_back(CO_TRY(text_of(object)));
    if (texts.empty() && !optional)
      co_return fail(Code::not_found, "no ClusterTrustBundle of signer " + quoted(source.signerName) + " is chosen by the labelSelector");
  }
  co_return merge_certificates(texts);
}

}  // namespace estiba::node
