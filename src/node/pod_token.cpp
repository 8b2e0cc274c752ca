#include "node/pod_token.h"

#include "base/strings.h"
#include "model/codec.h"
#include "model/types/authentication_v1.h"

namespace estiba::node {

Task<Result<PodToken>> request_pod_token(const Context& context, const model::core_v1::Pod& pod, std::string audience,
                                         std::optional<int64_t> seconds) {
  model::authentication_v1::TokenRequest request;
  request.spec.expirationSeconds = seconds;
  if (!audience.empty()) request.spec.audiences = {std::move(audience)};
  auto& bound = request.spec.boundObjectRef.ensure();
  bound.apiVersion = "v1";
  bound.kind = "Pod";
  bound.name = pod.metadata.name;
  bound.uid = pod.metadata.uid;
  const std::string account = pod.spec.serviceAccountName.empty() ? "default" : pod.spec.serviceAccountName;
  auto answer = co_await context.client.call(client::service_accounts, pod.metadata.namespace_, account, "token", model::encode(request));
  if (!answer) co_return std::unexpected(std::move(answer.error()).context("token of service account " + quoted(account)));
  const auto document = CO_TRY(json::Document::parse(*answer));
  co_return PodToken{std::string(document.root().string_at("status", "token")),
                     std::string(document.root().string_at("status", "expirationTimestamp"))};
}

}  // namespace estiba::node
