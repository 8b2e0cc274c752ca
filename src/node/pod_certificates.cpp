#include "node/pod_certificates.h"

#include <cstring>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "io/pki.h"
#include "io/public_keys.h"
#include "model/json.h"
#include "volume/directory.h"

namespace estiba::node {

using client::EventType;
using model::ObjectRef;
using namespace model::core_v1;
using namespace std::chrono_literals;

namespace {

constexpr Duration period = 1min;       // the clock may have jumped, an answer may have been missed
constexpr Duration most_jitter = 5min;  // so that not all pods come at once
constexpr Duration overdue_after = 10min;
constexpr uint64_t longest_file = 1 << 20;

Duration jitter() {
  uint32_t number = 0;
  std::memcpy(&number, random_bytes(sizeof number).data(), sizeof number);
  return Duration(most_jitter.count() / UINT32_MAX * number);
}

template <class Visit>
void each_source(const Pod& pod, Visit visit) {
  for (const Volume& volume : pod.spec.volumes) {
    if (!volume.projected) continue;
    const auto& sources = volume.projected->sources;
    for (size_t i = 0; i < sources.size(); ++i)
      if (sources[i].podCertificate) visit(PodCertificates::Place{volume.name, i}, *sources[i].podCertificate);
  }
}

// Whether the key is the certificate's.
bool belong_together(std::string_view key_pem, const io::IssuedCertificate& leaf) {
  const auto public_pem = io::public_key_of(key_pem);
  if (!public_pem) return false;
  const auto blocks = io::read_pem(*public_pem);
  return !blocks.empty() && blocks.front().der == leaf.key.der;
}

}  // namespace

std::string only_certificates(std::string_view chain) {
  std::string out;
  for (const io::PemBlock& block : io::read_pem(chain))
    if (!block.type.ends_with("KEY")) out += io::print_pem("CERTIFICATE", block.der);
  return out;
}

bool PodCertificates::wants(const Pod& pod) {
  bool any = false;
  each_source(pod, [&](const Place&, const Projection&) { any = true; });
  return any;
}

Task<void> PodCertificates::look(ObjectRef pod, std::function<std::string(const std::string&)> directory) {
  std::vector<std::pair<Place, Projection>> wanted;
  each_source(pod.as<Pod>(), [&](const Place& place, const Projection& projection) { wanted.emplace_back(place, projection); });
  next_look_ = wanted.empty() ? Instant::max() : context_.loop.now() + period;
  for (auto& [place, projection] : wanted) {
    Source* source = &sources_[place];
    source->signer = projection.signerName;
    auto done = co_await look_at(pod, source, std::move(projection), directory(place.first));
    source->trouble = done ? "" : done.error().message;
    if (!done && !source->issued.key_pem.empty())
      log::warn("node", "a pod's certificate is not renewed yet",
                {{"pod", client::key_of(pod)}, {"volume", place.first}, {"error", done.error()}});
  }
}

Result<PodCertificates::Credentials> PodCertificates::of(const Place& place) const {
  const auto found = sources_.find(place);
  if (found == sources_.end()) return fail(Code::unavailable, "no certificate has been asked for yet");
  const Source& source = found->second;
  if (!source.end.empty()) return fail(Code::forbidden, source.why);
  if (!source.issued.key_pem.empty()) return source.issued;
  if (!source.trouble.empty()) return fail(Code::unavailable, source.trouble);
  return fail(Code::unavailable, "credential bundle is not issued yet: PodCertificateRequest " + quoted(source.request) +
                                     " waits for signer " + quoted(source.signer));
}

void PodCertificates::forget() {
  sources_.clear();
  next_look_ = Instant::max();
}

Task<Result<void>> PodCertificates::look_at(ObjectRef pod, Source* source, Projection projection, std::string directory) {
  if (!std::exchange(source->adopted, true)) co_await adopt(source, projection, std::move(directory));
  if (!source->end.empty()) co_return {};
  if (!source->request.empty()) CO_TRY(co_await take_answer(pod, source));
  const bool has_one = !source->issued.key_pem.empty();
  if (has_one) tell_late(pod, source);
  if (!source->end.empty() || !source->request.empty()) co_return {};
  if (has_one && context_.loop.wall_now() < source->refresh_at) co_return {};
  co_return co_await ask(std::move(pod), source, std::move(projection));
}

void PodCertificates::tell_late(const ObjectRef& pod, Source* source) {
  const WallTime now = context_.loop.wall_now();
  if (now > source->refresh_at + overdue_after && !std::exchange(source->told_overdue, true))
    context_.events.record(pod, EventType::warning, "CertificateOverdueForRefresh", "PodCertificate refresh overdue");
  if (now > source->not_after && !std::exchange(source->told_expired, true))
    context_.events.record(pod, EventType::warning, "CertificateExpired", "PodCertificate expired");
}

// What an earlier server has left in the volume, if it is whole.
Task<void> PodCertificates::adopt(Source* source, Projection projection, std::string directory) {
  const std::string &bundle = projection.credentialBundlePath, &key = projection.keyPath, &chain = projection.certificateChainPath;
  if (bundle.empty() && (key.empty() || chain.empty())) co_return;
  auto text = co_await context_.pool.run([=]() -> Result<std::string> {
    if (!bundle.empty()) return volume::read_file_in(directory, bundle, longest_file);
    return TRY(volume::read_file_in(directory, key, longest_file)) + TRY(volume::read_file_in(directory, chain, longest_file));
  });
  if (!text) co_return;
  const auto blocks = io::read_pem(*text);
  if (blocks.size() < 2 || blocks[0].type != "PRIVATE KEY") co_return;
  const auto leaf = io::read_certificate(blocks[1].der);
  Credentials found{io::print_pem(blocks[0].type, blocks[0].der), only_certificates(*text)};
  if (!leaf || leaf->not_after <= context_.loop.wall_now() || !belong_together(found.key_pem, *leaf)) co_return;
  source->issued = std::move(found);
  source->not_after = leaf->not_after;
  source->refresh_at = context_.loop.wall_now();
}

Task<Result<void>> PodCertificates::ask(ObjectRef pod, Source* source, Projection projection) {
  const Pod& typed = pod.as<Pod>();
  const std::string &node_name = context_.options.node_name, account_name = typed.spec.serviceAccountName;
  const auto account = CO_TRY_AS("service account " + quoted(account_name),
                                 co_await context_.client.get(client::service_accounts, pod.meta().ns, account_name));
  const ObjectRef node = context_.informers.of(client::nodes, "", {.field_selector = "metadata.name=" + node_name}).get(node_name);
  if (!node) co_return fail(Code::unavailable, "node " + quoted(node_name) + " is not known yet");
  auto stub = CO_TRY(co_await context_.pool.run([type = projection.keyType] { return io::make_stub_request(type); }));
  client::JsonWriter json;
  json.object().field("apiVersion", "certificates.k8s.io/v1beta1").field("kind", "PodCertificateRequest");
  json.object("metadata").field("generateName", "req-").array("ownerReferences").object();
  json.field("apiVersion", "v1").field("kind", "Pod").field("name", pod.meta().name).field("uid", uid_).end().end().end();
  json.object("spec").field("signerName", projection.signerName).field("podName", pod.meta().name).field("podUID", uid_);
  json.field("serviceAccountName", account_name).field("serviceAccountUID", account.meta().uid);
  json.field("nodeName", node_name).field("nodeUID", node.meta().uid);
  if (projection.maxExpirationSeconds) json.field("maxExpirationSeconds", int64_t(*projection.maxExpirationSeconds));
  if (!projection.userAnnotations.empty()) {
    json.object("unverifiedUserAnnotations");
    for (const auto& [name, value] : projection.userAnnotations) json.field(name, value);
    json.end();
  }
  json.field("stubPKCS10Request", base64_encode(stub.der)).end().end();
  auto made = co_await context_.client.create(pod_certificate_requests, pod.meta().ns, json.take());
  if (!made)
    co_return std::unexpected(std::move(made.error()).context("request a certificate from signer " + quoted(projection.signerName)));
  source->request = made->meta().name;
  source->asked_key = std::move(stub.key_pem);
  co_return {};
}

Task<Result<void>> PodCertificates::take_answer(ObjectRef pod, Source* source) {
  const std::string name = pod.meta().ns + "/" + source->request;
  auto request = co_await context_.client.get(pod_certificate_requests, pod.meta().ns, source->request);
  if (!request && request.error().code == Code::not_found) {
    // Nobody has answered in time, or somebody has deleted it: another one is made.
    source->request.clear();
    source->asked_key.clear();
    co_return {};
  }
  if (!request) co_return std::unexpected(std::move(request.error()).context("PodCertificateRequest " + quoted(name)));
  const auto document = CO_TRY(json::Document::parse(request->object->json()));
  const json::Node* status = document.root().find("status");
  const json::Node* conditions = status ? status->find("conditions") : nullptr;
  if (!conditions || !conditions->is_array()) co_return {};
  for (const json::Node& condition : *conditions) {
    const std::string_view type = condition.string_at("type");
    if (type == "Denied" || type == "Failed") {
      source->end = type == "Denied" ? "denied" : "failed";
      source->why = "PodCertificateRequest " + name + (type == "Denied" ? " was denied" : " failed") +
                    ", reason=" + quoted(condition.string_at("reason")) + ", message=" + quoted(condition.string_at("message"));
      context_.events.record(pod, EventType::warning, type, source->why);
    } else if (type == "Issued") {
      source->issued = {std::exchange(source->asked_key, {}), only_certificates(status->string_at("certificateChain"))};
      source->refresh_at = parse_rfc3339(status->string_at("beginRefreshAt")).value_or(context_.loop.wall_now()) + jitter();
      source->not_after = parse_rfc3339(status->string_at("notAfter")).value_or(WallTime{});
      source->told_overdue = source->told_expired = false;
      source->request.clear();
    }
  }
  co_return {};
}

std::vector<std::pair<std::string, std::string>> PodCertificates::states() const {
  std::vector<std::pair<std::string, std::string>> out;
  const WallTime now = context_.loop.wall_now();
  for (const auto& [place, source] : sources_) {
    const char* state = !source.end.empty()                       ? source.end.c_str()
                        : source.issued.key_pem.empty()           ? "not_yet_issued"
                        : now > source.not_after                  ? "expired"
                        : now > source.refresh_at + overdue_after ? "overdue_for_refresh"
                                                                  : "fresh";
    out.emplace_back(source.signer, state);
  }
  return out;
}

}  // namespace estiba::node
