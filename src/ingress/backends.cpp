#include "ingress/backends.h"

#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "io/pki.h"
#include "model/types/core_v1.h"
#include "model/types/discovery_v1.h"

namespace estiba::ingress {

using model::ObjectRef;
using model::core_v1::Secret;
using model::core_v1::Service;
using model::discovery_v1::EndpointSlice;

Sources::Sources(client::Client& client, bool all_secrets)
    : services(client, client::services),
      slices(client, client::endpoint_slices),
      namespaces(client, client::namespaces),
      secrets(client, all_secrets),
      by_service(slices.add_index([](const model::Object& slice, std::vector<std::string>& values) {
        values.push_back(client::key_of(slice.meta().ns, slice.meta().label("kubernetes.io/service-name")));
      })) {}

Task<void> Sources::wait_synced() {
  for (client::Informer* informer : {&services, &slices, &namespaces}) co_await informer->wait_synced();
  co_await secrets.wait_synced();
}

EndpointPtr Backends::at(const std::string& address, bool http2) {
  std::weak_ptr<Endpoint>& slot = known_[{address, http2}];
  EndpointPtr endpoint = slot.lock();
  if (!endpoint) slot = endpoint = std::make_shared<Endpoint>(address, http2);
  return endpoint;
}

BackendTraits traits_of(const Sources& sources, const std::string& key) {
  BackendTraits out;
  const ObjectRef object = sources.services.get(key);
  if (!object) return out;
  const auto problem = [&](std::string_view annotation, std::string_view text, std::string_view allowed) {
    out.problem = "Service " + key + ": " + std::string(annotation) + " must be " + std::string(allowed) + ", not " + quoted(text);
  };
  if (const std::string_view text = object.meta().annotation("estiba.dev/eject-after"); !text.empty()) {
    if (const auto number = parse_number<uint32_t>(text)) out.ejection.after = *number;
    else problem("estiba.dev/eject-after", text, "a number of failures, or 0 for never");
  }
  if (const std::string_view text = object.meta().annotation("estiba.dev/proxy-protocol"); !text.empty()) {
    if (const auto version = proxy_protocol_of(text)) out.proxy_protocol = *version;
    else problem("estiba.dev/proxy-protocol", text, "v1 or v2");
  }
  return out;
}

std::optional<std::vector<EndpointPtr>> Backends::endpoints(const Sources& sources, const std::string& key, int32_t port,
                                                            std::string_view port_name, bool http2) {
  services_.insert(key);
  const ObjectRef object = sources.services.get(key);
  if (!object || object.as<Service>().spec.type == "ExternalName") return std::nullopt;
  const auto& ports = object.as<Service>().spec.ports;
  // A Service may have a UDP port of the same number.
  const auto is_tcp = [](std::string_view protocol) { return protocol.empty() || protocol == "TCP"; };
  const auto wanted = std::ranges::find_if(
      ports, [&](const auto& one) { return (port_name.empty() ? one.port == port : one.name == port_name) && is_tcp(one.protocol); });
  if (wanted == ports.end()) return std::nullopt;
  http2 = http2 || wanted->appProtocol == "kubernetes.io/h2c";  // KEP-3726
  if (known_.size() > 1024) std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
  std::map<std::string, EndpointPtr> ready, ending;  // in order, each once
  sources.slices.each(sources.by_service, key, [&](const ObjectRef& ref) {
    const auto& slice = ref.as<EndpointSlice>();
    if (slice.addressType == "FQDN") return;
    for (const auto& offered : slice.ports) {
      if (offered.name != wanted->name || !offered.port || !is_tcp(offered.protocol)) continue;
      for (const auto& endpoint : slice.endpoints) {
        bool is_ready = true, serves = true;
        if (endpoint.conditions) {
          is_ready = endpoint.conditions->ready.value_or(true);
          serves = endpoint.conditions->serving.value_or(is_ready);
        }
        if (!is_ready && !serves) continue;
        for (const std::string& address : endpoint.addresses) {
          std::string where = slice.addressType == "IPv6" ? "[" + address + "]" : address;
          where += ":" + std::to_string(*offered.port);
          (is_ready ? ready : ending).try_emplace(where, at(where, http2));
        }
      }
    }
  });
  std::vector<EndpointPtr> out;
  // Those that are going away are better than none.
  for (auto& [where, endpoint] : ready.empty() ? ending : ready) out.push_back(std::move(endpoint));
  return out;
}

static Result<io::TlsContextRef> context_of(const Secret& secret, bool http) {
  const auto certificate = secret.data.find("tls.crt"), key = secret.data.find("tls.key");
  if (certificate == secret.data.end() || key == secret.data.end()) return fail(Code::invalid, "it has no tls.crt and tls.key");
  io::TlsServerOptions options{.certificate_pem = certificate->second, .key_pem = key->second};
  if (!http) options.alpn.clear();
  return io::make_tls_server(options);
}

io::TlsContextRef TlsSecrets::context(const Sources& sources, const std::string& key, std::string* why, bool http) {
  used_.insert(key);
  const ObjectRef object = sources.secrets.get(key);
  if (!object) {
    if (sources.secrets.known(key)) *why = "there is no Secret " + key;
    return nullptr;
  }
  auto found = made_.find({key, http});
  if (found == made_.end() || found->second.revision != object.revision) {
    Made made{.revision = object.revision};
    auto context = context_of(object.as<Secret>(), http);
    if (context) made.context = std::move(*context);
    else made.why = "Secret " + key + ": " + context.error().message;
    if (const auto certificate = object.as<Secret>().data.find("tls.crt"); certificate != object.as<Secret>().data.end())
      if (auto info = io::inspect_certificate(certificate->second)) made.not_after = info->not_after;
    found = made_.insert_or_assign(std::pair(key, http), std::move(made)).first;
  }
  const Made& made = found->second;
  if (!made.context) *why = made.why;
  else if (made.not_after < std::chrono::system_clock::now())
    *why = "Secret " + key + ": the certificate has expired at " + format_rfc3339(made.not_after);
  return made.context;
}

}  // namespace estiba::ingress
