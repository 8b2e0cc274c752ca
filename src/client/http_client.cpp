#include "client/http_client.h"

#include "base/strings.h"
#include "client/json_writer.h"
#include "io/http_client.h"

namespace estiba::client {

using model::ObjectRef;
using namespace std::chrono_literals;

// A watch that the server holds open longer than it was asked to has lost its connection.
static constexpr Duration watch_time = 5min, watch_slack = 30s;
static constexpr size_t most_bytes = 256 * 1024 * 1024;
// More than a busy client has requests under way (the 64 workers of a queue, and leases beside them): made anew, each would cost two
// handshakes' worth of CPU. What is not used for a minute goes.
static constexpr size_t kept_connections = 128;

static Code code_of(int status, std::string_view reason) {
  switch (status) {
    case 400: return Code::malformed;
    case 401: return Code::unauthorized;
    case 403: return Code::forbidden;
    case 404: return Code::not_found;
    case 405:
    case 406:
    case 415: return Code::unsupported;
    case 409: return reason == "AlreadyExists" ? Code::already_exists : Code::conflict;
    case 410: return Code::gone;
    case 413: return Code::too_large;
    case 422: return Code::invalid;
    case 429:
    case 507: return Code::exhausted;
    case 502:
    case 503: return Code::unavailable;
    case 504: return Code::timeout;
    default: return Code::internal;
  }
}

static Error error_of_status(int http_status, const json::Node& status) {
  Error error;
  const std::string_view reason = status.string_at("reason");
  error.code = code_of(http_status, reason);
  error.message = status.string_at("message");
  error.details = std::make_shared<ErrorDetails>();
  ErrorDetails& details = *error.details;
  details.reason = reason;
  details.group = status.string_at("details", "group");
  details.kind = status.string_at("details", "kind");
  details.name = status.string_at("details", "name");
  details.uid = status.string_at("details", "uid");
  if (const json::Node* seconds = status.at("details", "retryAfterSeconds"))
    details.retry_after_seconds = int(seconds->as_int().value_or(0));
  if (const json::Node* causes = status.at("details", "causes"); causes && causes->is_array())
    for (const json::Node& cause : *causes)
      details.causes.push_back(
          {std::string(cause.string_at("reason")), std::string(cause.string_at("message")), std::string(cause.string_at("field"))});
  return error;
}

Error error_of_answer(int http_status, std::string_view body) {
  auto parsed = json::Document::parse(body);
  if (parsed && parsed->root().string_at("kind") == "Status") return error_of_status(http_status, parsed->root());
  std::string message = "the server answered " + std::to_string(http_status);
  if (!body.empty()) message.append(": ").append(body.substr(0, 200));
  return Error{code_of(http_status, {}), 0, std::move(message), nullptr};
}

// An object of an answer; its revision is metadata.resourceVersion.
static Result<ObjectRef> object_of(const json::Node& node) {
  const int64_t revision = parse_number<int64_t>(node.string_at("metadata", "resourceVersion")).value_or(0);
  return ObjectRef{TRY(model::Object::make(node)), revision};
}

namespace {

class HttpWatch final : public WatchStream {
 public:
  HttpWatch(std::unique_ptr<io::ClientResponse> response, std::string what) : response_(std::move(response)), what_(std::move(what)) {}

  Task<Result<std::vector<WatchEvent>>> next() override {
    std::vector<WatchEvent> events;
    for (;;) {
      CO_TRY(take_lines(events));
      if (!events.empty()) co_return events;
      auto read = co_await with_timeout(watch_time + watch_slack, response_->read());
      if (!read) co_return fail(Code::unavailable, what_ + ": nothing has come for too long");
      const std::string piece = CO_TRY_AS(what_, std::move(*read));
      if (piece.empty()) co_return fail(Code::unavailable, what_ + ": the server ended the watch");
      pending_.append(piece);
    }
  }

 private:
  Result<void> take_lines(std::vector<WatchEvent>& events) {
    size_t begin = 0;
    for (size_t end; (end = pending_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const std::string_view line = trim(std::string_view(pending_).substr(begin, end - begin));
      if (line.empty()) continue;
      auto event = take(line);
      // What came before the error is delivered first; the error's line stays for the next call.
      if (!event && !events.empty()) break;
      events.push_back(TRY_AS(what_, std::move(event)));
    }
    pending_.erase(0, begin);
    return {};
  }

  static Result<WatchEvent> take(std::string_view line) {
    const json::Document parsed = TRY(json::Document::parse(line));
    const json::Node* object = parsed.root().find("object");
    if (!object || !object->is_object()) return fail(Code::unavailable, "a watch event without an object");
    const std::string_view type = parsed.root().string_at("type");
    if (type == "ERROR") {
      const json::Node* code = object->find("code");
      return std::unexpected(error_of_status(code ? int(code->as_int().value_or(500)) : 500, *object));
    }
    if (type == "BOOKMARK")
      return WatchEvent{WatchEvent::Kind::bookmark,
                        {nullptr, parse_number<int64_t>(object->string_at("metadata", "resourceVersion")).value_or(0)}};
    WatchEvent event;
    event.kind = type == "ADDED" ? WatchEvent::Kind::added : type == "MODIFIED" ? WatchEvent::Kind::modified : WatchEvent::Kind::removed;
    event.object = TRY(object_of(*object));
    return event;
  }

  std::unique_ptr<io::ClientResponse> response_;
  const std::string what_;
  std::string pending_;
};

class HttpApi final : public Client {
 public:
  explicit HttpApi(HttpOptions options) : options_(std::move(options)), http_(make_http()), epoch_(options_.epoch ? *options_.epoch : 0) {}

  Task<Result<ObjectRef>> get(Resource resource, std::string ns, std::string name) override {
    return object_answer({.method = "GET", .url = url(resource, ns, name)});
  }

  Task<Result<List>> list(Resource resource, std::string ns, ListOptions options) override {
    List all;
    std::string next;
    do {
      io::Query query = query_of(options);
      query.add("limit", std::to_string(options_.page));
      if (!next.empty()) query.add("continue", next);
      const std::string body = CO_TRY(co_await answer({.method = "GET", .url = url(resource, ns, {}, {}, query)}));
      next = CO_TRY(add_page(all, body));
    } while (!next.empty());
    co_return all;
  }

  Task<Result<std::unique_ptr<WatchStream>>> watch(Resource resource, std::string ns, int64_t revision, ListOptions options) override {
    io::Query query = query_of(options);
    query.add("watch", "true");
    query.add("allowWatchBookmarks", "true");
    query.add("resourceVersion", std::to_string(revision));
    query.add("timeoutSeconds", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(watch_time).count()));
    auto response = CO_TRY(co_await http().send(with_headers({.method = "GET", .url = url(resource, ns, {}, {}, query)})));
    if (response->status != 200) {
      const std::string body = CO_TRY(co_await response->text(most_bytes));
      co_return std::unexpected(error_of_answer(response->status, body));
    }
    co_return std::make_unique<HttpWatch>(std::move(response), "watch " + std::string(resource.name));
  }

  Task<Result<ObjectRef>> create(Resource resource, std::string ns, std::string body, WriteOptions options) override {
    return object_answer({.method = "POST",
                          .url = url(resource, ns, {}, options.subresource, query_of(options)),
                          .headers = json_type,
                          .body = std::move(body)});
  }

  Task<Result<ObjectRef>> update(Resource resource, std::string ns, std::string name, std::string body, WriteOptions options) override {
    return object_answer({.method = "PUT",
                          .url = url(resource, ns, name, options.subresource, query_of(options)),
                          .headers = json_type,
                          .body = std::move(body)});
  }

  Task<Result<ObjectRef>> patch(Resource resource, std::string ns, std::string name, PatchType type, std::string body,
                                WriteOptions options) override {
    const char* media = type == PatchType::json    ? "application/json-patch+json"
                        : type == PatchType::merge ? "application/merge-patch+json"
                                                   : "application/strategic-merge-patch+json";
    return object_answer({.method = "PATCH",
                          .url = url(resource, ns, name, options.subresource, query_of(options)),
                          .headers = {{"Content-Type", media}},
                          .body = std::move(body)});
  }

  Task<Result<void>> remove(Resource resource, std::string ns, std::string name, DeleteOptions options) override {
    JsonWriter json;
    json.object().field("kind", "DeleteOptions").field("apiVersion", "v1");
    if (options.grace_seconds) json.field("gracePeriodSeconds", *options.grace_seconds);
    json.optional("propagationPolicy", options.propagation);
    if (!options.uid.empty() || !options.resource_version.empty())
      json.object("preconditions").optional("uid", options.uid).optional("resourceVersion", options.resource_version).end();
    json.end();
    CO_TRY(co_await answer({.method = "DELETE", .url = url(resource, ns, name), .headers = json_type, .body = json.take()}));
    co_return {};
  }

  Task<Result<std::string>> call(Resource resource, std::string ns, std::string name, std::string subresource, std::string body) override {
    return answer({.method = "POST", .url = url(resource, ns, name, subresource), .headers = json_type, .body = std::move(body)});
  }

 private:
  inline static const io::Headers json_type{{"Content-Type", "application/json"}};

  static io::ClientRequest with_headers(io::ClientRequest request) {
    request.headers.set("Accept", "application/json");
    return request;
  }

  std::string url(const Resource& resource, std::string_view ns, std::string_view name, std::string_view subresource = {},
                  const io::Query& query = {}) const {
    std::string out = options_.server;
    if (resource.group.empty()) out.append("/api/");
    else out.append("/apis/").append(resource.group).append("/");
    out.append(resource.version);
    if (!ns.empty()) out.append("/namespaces/").append(io::percent_encode(ns));
    out.append("/").append(resource.name);
    if (!name.empty()) out.append("/").append(io::percent_encode(name));
    if (!subresource.empty()) out.append("/").append(subresource);
    if (!query.empty()) out.append("?").append(query.encode());
    return out;
  }

  static io::Query query_of(const ListOptions& options) {
    io::Query query;
    if (!options.label_selector.empty()) query.add("labelSelector", options.label_selector);
    if (!options.field_selector.empty()) query.add("fieldSelector", options.field_selector);
    return query;
  }
  static io::Query query_of(const WriteOptions& options) {
    io::Query query;
    if (!options.field_manager.empty()) query.add("fieldManager", options.field_manager);
    return query;
  }

  /// Appends the page's objects; returns the token of the next page, or "".
  static Result<std::string> add_page(List& all, const std::string& body) {
    json::Document parsed = TRY(json::Document::parse(body));
    json::Node& root = parsed.root();
    all.revision = parse_number<int64_t>(root.string_at("metadata", "resourceVersion")).value_or(0);
    std::string_view kind = root.string_at("kind");
    if (kind.ends_with("List")) kind.remove_suffix(4);
    if (json::Node* items = root.find("items"); items && items->is_array())
      for (json::Node& item : *items) {
        // Items of a list do not say what they are: the list does.
        if (item.string_at("kind").empty()) parsed.set(item, "kind", kind);
        if (item.string_at("apiVersion").empty()) parsed.set(item, "apiVersion", root.string_at("apiVersion"));
        all.items.push_back(TRY(object_of(item)));
      }
    return std::string(root.string_at("metadata", "continue"));
  }

  Task<Result<std::string>> answer(io::ClientRequest request) {
    io::FetchResult got = CO_TRY(co_await http().fetch(with_headers(std::move(request)), most_bytes));
    if (got.status < 200 || got.status > 299) co_return std::unexpected(error_of_answer(got.status, got.body));
    co_return std::move(got.body);
  }

  Task<Result<ObjectRef>> object_answer(io::ClientRequest request) {
    const std::string body = CO_TRY(co_await answer(std::move(request)));
    const json::Document parsed = CO_TRY(json::Document::parse(body));
    co_return object_of(parsed.root());
  }

  io::HttpClient make_http() const {
    return io::HttpClient({.tls = options_.tls,
                           .bearer_token = options_.bearer_token,
                           .user_agent = options_.user_agent,
                           .max_idle_connections = kept_connections});
  }
  // What is under way on old connections goes on there.
  io::HttpClient& http() {
    if (options_.epoch && *options_.epoch != epoch_) {
      http_ = make_http();
      epoch_ = *options_.epoch;
    }
    return http_;
  }

  const HttpOptions options_;
  io::HttpClient http_;
  uint64_t epoch_ = 0;
};

}  // namespace

std::unique_ptr<Client> make_http_client(HttpOptions options) { return std::make_unique<HttpApi>(std::move(options)); }

}  // namespace estiba::client
