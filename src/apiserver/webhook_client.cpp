#include "apiserver/webhook_client.h"

#include <algorithm>
#include <map>
#include <semaphore>

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "io/http_client.h"
#include "io/thread.h"

namespace estiba::apiserver {
namespace {

struct Address {
  std::string url;
  std::string server_name;  // what the certificate must be for; empty: the URL's host
};

// The Service's cluster address. What has none cannot be called: there is no proxy that would choose an endpoint.
Result<Address> address_of(const Cluster& cluster, const WebhookTarget& target) {
  std::string path = target.path;
  if (!target.url.empty()) return Address{target.url, {}};
  if (path.empty() || path[0] != '/') path.insert(0, "/");
  const std::string name = target.service_namespace + "/" + target.service_name;
  auto service = cluster.find("", "services", target.service_namespace, target.service_name);
  if (!service)
    return fail(Code::unavailable, "service " + quoted(target.service_name) + " not found in namespace " + target.service_namespace);
  json::Document doc = TRY(json::Document::parse(service->object->json()));
  const json::Node& spec = *doc.root().find("spec");
  const std::string_view ip = spec.string_at("clusterIP");
  const std::string server_name = target.service_name + "." + target.service_namespace + ".svc";
  if (spec.string_at("type") == "ExternalName")
    return Address{"https://" + std::string(spec.string_at("externalName")) + ":" + std::to_string(target.port) + path, server_name};
  if (ip.empty() || ip == "None") return fail(Code::unavailable, "service " + name + " has no cluster IP");
  const json::Node* ports = spec.find("ports");
  const bool offered = ports && std::any_of(ports->begin(), ports->end(), [&](const json::Node& port) {
                         const json::Node* number = port.find("port");
                         return number && number->as_int() == int64_t(target.port);
                       });
  if (!offered) return fail(Code::unavailable, "service " + name + " has no port " + std::to_string(target.port));
  const std::string host = ip.contains(':') ? "[" + std::string(ip) + "]" : std::string(ip);
  return Address{"https://" + host + ":" + std::to_string(target.port) + path, server_name};
}

// What client-go says of an answer that is none, by its status.
std::string describe(int status, std::string_view body) {
  constexpr size_t shown = 256;
  switch (status) {
    case 404: return "the server could not find the requested resource";
    case 401: return "the server has asked for the client to provide credentials";
    case 403: return "forbidden: the webhook refuses this server";
    case 500: return "an error on the server (" + quoted(body.substr(0, shown)) + ") has prevented the request from succeeding";
    case 503: return "the server is currently unable to handle the request";
    default: return "the webhook answered with status " + std::to_string(status) + ": " + std::string(body.substr(0, shown));
  }
}

constexpr size_t most_clients = 64;

}  // namespace

// Lives on its thread; what is below `clients` is touched by that thread alone.
struct WebhookClient::State {
  struct Known {
    std::shared_ptr<io::HttpClient> http;
    uint64_t used = 0;
  };
  std::map<std::string, Known> clients;  // by what is verified: server name and roots
  uint64_t clock = 0;
  TaskGroup calls;
  io::LoopThread thread{"webhooks"};

  ~State() {
    // Connections belong to the loop: they end on it, before it does.
    std::binary_semaphore gone{0};
    thread.loop().post([&] {
      calls.cancel();
      clients.clear();
      gone.release();
    });
    gone.acquire();
  }

  Result<std::shared_ptr<io::HttpClient>> client(const Call& call, bool fresh, bool* reused) {
    const std::string key = call.server_name + "\n" + call.ca_pem;
    auto known = clients.find(key);
    *reused = known != clients.end() && !fresh;
    if (fresh && known != clients.end()) clients.erase(known), known = clients.end();
    if (known == clients.end()) {
      auto tls = TRY_AS("caBundle", io::make_tls_client({.ca_pem = call.ca_pem, .server_name = call.server_name}));
      while (clients.size() >= most_clients)
        clients.erase(
            std::min_element(clients.begin(), clients.end(), [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
      io::HttpClientOptions options{.tls = std::move(tls), .user_agent = "kube-apiserver-admission"};
      known = clients.emplace(key, Known{std::make_shared<io::HttpClient>(std::move(options))}).first;
    }
    known->second.used = ++clock;
    return known->second.http;
  }

  static Task<Result<io::FetchResult>> once(std::shared_ptr<io::HttpClient> client, const Call& call) {
    io::ClientRequest request{.method = "POST", .url = call.url};
    request.headers.add("Content-Type", "application/json");
    request.headers.add("Accept", "application/json");
    request.body = std::string(call.body);
    request.timeout = call.timeout;
    co_return co_await client->fetch(std::move(request), call.answer_bytes);
  }

  static Task<Result<std::string>> exchange(State* self, Call call) {
    for (bool fresh = false;; fresh = true) {
      bool reused = false;
      auto client = CO_TRY(self->client(call, fresh, &reused));
      auto answer = co_await once(std::move(client), call);
      // Webhooks may be asked twice: what they do must be idempotent.
      if (!answer && reused && answer.error().code == Code::unavailable) continue;
      if (!answer) co_return std::unexpected(std::move(answer.error()));
      if (answer->status != 200) co_return fail(Code::unavailable, describe(answer->status, answer->body));
      co_return std::move(answer->body);
    }
  }

  static Task<void> answer(State* self, Call call, OneShot<Result<std::string>>::Sender sender);
  static Task<Result<std::string>> within_time(State* self, Call call) {
    const Duration limit = call.timeout;
    const std::string url = call.url;
    auto answer = co_await with_timeout(limit, exchange(self, std::move(call)));
    if (!answer || (!*answer && (*answer).error().code == Code::timeout))
      co_return fail(Code::timeout, "Post " + quoted(url) + ": context deadline exceeded: no answer within " +
                                        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) + " s");
    if (!*answer) co_return std::unexpected(std::move((*answer).error()).context("Post " + quoted(url)));
    co_return std::move(*answer);
  }
};

Task<void> WebhookClient::State::answer(State* self, Call call, OneShot<Result<std::string>>::Sender sender) {
  sender.send(co_await within_time(self, std::move(call)));
}

WebhookClient::WebhookClient() = default;
WebhookClient::~WebhookClient() = default;

WebhookClient::State& WebhookClient::state() {
  std::lock_guard lock(mutex_);
  if (!state_) state_ = std::make_unique<State>();
  return *state_;
}

Task<Result<std::string>> WebhookClient::post(Call call) {
  State* state = &this->state();
  OneShot<Result<std::string>> done;
  state->thread.loop().post([state, call = std::move(call), sender = done.sender()]() mutable {
    state->calls.start(State::answer(state, std::move(call), std::move(sender)));
  });
  auto answer = co_await done;
  if (!answer) co_return fail(Code::cancelled, "the server is stopping");
  co_return std::move(*answer);
}

Result<WebhookTarget> WebhookTarget::parse(const json::Node& config) {
  WebhookTarget out;
  out.url = config.string_at("url");
  out.service_namespace = config.string_at("service", "namespace");
  out.service_name = config.string_at("service", "name");
  out.path = config.string_at("service", "path");
  if (const json::Node* port = config.at("service", "port"); present(port)) out.port = static_cast<uint16_t>(port->as_int().value_or(443));
  out.ca_pem = TRY_AS("caBundle", base64_decode(config.string_at("caBundle")));
  if (trim(out.ca_pem).empty()) out.ca_pem.clear();
  return out;
}

Task<Result<std::string>> call_webhook(Cluster& cluster, WebhookTarget target, std::string body, WebhookLimits limits) {
  Address address = CO_TRY(address_of(cluster, target));
  if (limits.tell_timeout) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limits.timeout).count();
    address.url += (address.url.contains('?') ? "&timeout=" : "?timeout=") + std::to_string(seconds) + "s";
  }
  co_return co_await cluster.webhooks().post({std::move(address.url), std::move(address.server_name), std::move(target.ca_pem),
                                              std::move(body), limits.timeout, limits.answer_bytes});
}

}  // namespace estiba::apiserver
