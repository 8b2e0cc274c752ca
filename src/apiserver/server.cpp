#include "apiserver/server.h"

#include "apiserver/admission/extensions.h"
#include "apiserver/api_errors.h"
#include "apiserver/cluster_info.h"
#include "apiserver/continue_token.h"
#include "apiserver/custom/converted_selection.h"
#include "apiserver/encodings.h"
#include "apiserver/impersonation.h"
#include "apiserver/request.h"
#include "apiserver/respond.h"
#include "apiserver/special/special.h"
#include "base/log.h"
#include "model/custom/definition.h"

namespace estiba::apiserver {
namespace {

void send(io::Response& response, int status, Rendered rendered) {
  response.send(status, {{"Content-Type", std::string(rendered.content_type)}, {"Cache-Control", "no-cache, private"}},
                std::move(rendered.body));
}

void send_error(io::Response& response, const Wanted& wanted, const Error& error) {
  if (http_status(error) >= 500) log::warn("apiserver", "request failed", {{"error", error}});
  if (error.details && error.details->retry_after_seconds > 0)
    response.always("Retry-After", std::to_string(error.details->retry_after_seconds));
  send(response, http_status(error), render_error(wanted, error));
}

std::string version_json(const std::string& git_version) {
  std::string out = R"({"major":"1","minor":"36","gitVersion":)";
  json::append_string(out, git_version);
#if defined(__aarch64__)
  constexpr std::string_view platform = "linux/arm64";
#else
  constexpr std::string_view platform = "linux/amd64";
#endif
  out += R"(,"gitCommit":"","gitTreeState":"clean","buildDate":"1970-01-01T00:00:00Z","goVersion":"","compiler":"clang","platform":")";
  return out + std::string(platform) + "\"}";
}

Task<Result<Outcome>> refuse_method() { co_return method_not_allowed(); }

void count_request(const Action& action, int status) {
  static auto& requests =
      observe::metrics().counters("apiserver_request_total", "Requests by verb, resource and status.", {"verb", "resource", "code"});
  requests.with({std::string(to_string(action.verb)), std::string(action.resource->plural), std::to_string(status)}).add();
}

Task<void> run_to_end(Api& api, Action action, OneShot<Result<Outcome>>::Sender sender) {
  sender.send(co_await api.run(std::move(action)));
}

Task<Result<Outcome>> answer_of(OneShot<Result<Outcome>>* done) {
  auto answered = co_await *done;
  co_return answered ? std::move(*answered) : fail(Code::cancelled, "the server is stopping");
}

std::unexpected<Error> timed_out() { return fail(Code::timeout, "Timeout: request did not complete within the allotted timeout"); }

bool is_stream(const Action& action) {
  return action.resource->plural == "pods" && (action.subresource == "log" || action.subresource == "exec" ||
                                               action.subresource == "attach" || action.subresource == "portforward");
}

}  // namespace

Api::Api(std::unique_ptr<Cluster> cluster, std::unique_ptr<Authenticator> authenticator, const ServerOptions& options)
    : cluster_(std::move(cluster)),
      registry_(*cluster_),
      authenticator_(std::move(authenticator)),
      authorizer_(*cluster_),
      aggregator_(registry_, {options.front_proxy, options.client_ca_pem}),
      fairness_(registry_),
      discovery_(*cluster_, aggregator_, options.cluster.advertise_address + ":" + std::to_string(options.cluster.port)),
      openapi_(*cluster_, aggregator_, options.git_version),
      version_json_(version_json(options.git_version)),
      node_proxy_(options.node_proxy),
      request_timeout_(options.request_timeout),
      freshness_(options.freshness) {
  cluster_->extensions().authorize_with(authorizer_);
}

Result<std::unique_ptr<Api>> Api::make(store::Store& store, const ServerOptions& options) {
  auto cluster = TRY(Cluster::open(store, options.cluster));
  auto authenticator = TRY(Authenticator::make(*cluster, options.authn));
  return std::unique_ptr<Api>(new Api(std::move(cluster), std::move(authenticator), options));
}

Task<void> Api::serve(io::Request& request, io::Response& response) {
  std::string foreign = authenticator_->foreign_token(request);
  auto user = foreign.empty() ? authenticator_->authenticate(request) : co_await authenticator_->authenticate_foreign(std::move(foreign));
  if (!user) co_return send_error(response, {}, user.error());
  bool anonymous = user->name == anonymous_name;
  if (anonymous && !is_open_path(request.path) && request.path != cluster_info_path)
    co_return send_error(response, {}, unauthorized().error());
  if (RemotePtr remote = aggregator_.find(request.raw_path))
    co_return co_await serve_remote(std::move(remote), std::move(*user), request, response);
  auto target = parse_request(request, cluster_.get());
  if (!target) co_return send_error(response, {}, target.error());
  user = impersonate(authorizer_, request.headers, std::move(*user));
  if (!user) co_return send_error(response, target->action.wanted, user.error());
  if (!target->resource) co_return co_await serve_path(*user, target->path, request, response);
  target->action.user = std::move(*user);
  if (target->action.subresource == "proxy")
    co_return co_await serve_proxy(std::move(target->action), std::move(target->tail), request, response);
  co_await serve_resource(std::move(target->action), request, response);
}

Task<void> Api::serve_remote(RemotePtr remote, User caller, io::Request& request, io::Response& response) {
  auto user = impersonate(authorizer_, request.headers, std::move(caller));
  if (!user) co_return send_error(response, {}, user.error());
  Attributes asked = remote_attributes(request);
  Seat seat;
  Fairness::Pass pass = fairness_.classify(*user, asked, response);
  if (!Fairness::try_enter(pass, seat) && !co_await Fairness::enter(pass, pass.found->schema.flow_of(*user, asked), &seat))
    co_return refuse_for_now(response);
  // Watches, and what is upgraded, go on for long.
  if (asked.verb == "watch" || request.wants_upgrade()) seat = {};
  if (!authorizer_.authorize(*user, asked).allowed) {
    std::string what = asked.path.empty() ? asked.resource + "." + asked.group : std::string{};
    if (!what.empty() && !asked.name.empty()) what += " \"" + asked.name + "\"";
    co_return send_error(
        response, {}, Error{Code::forbidden, 0, (what.empty() ? "forbidden: " : what + " is forbidden: ") + denial(*user, asked), nullptr});
  }
  co_await aggregator_.serve(std::move(remote), std::move(*user), request, response);
}

Task<void> Api::serve_proxy(Action action, std::string tail, io::Request& request, io::Response& response) {
  Attributes asked = attributes_of(action);
  if (request.method == "OPTIONS") asked.verb.clear();
  if (!authorizer_.authorize(action.user, asked).allowed)
    co_return send_error(response, {}, forbidden(*action.resource, action.name, denial(action.user, asked)).error());
  auto result = co_await proxy(action, std::move(tail), request, response);
  count_request(action, result ? response.status() : http_status(result.error()));
  if (!result && !response.begun()) send_error(response, {}, result.error());
}

Task<void> Api::serve_resource(Action action, io::Request& request, io::Response& response) {
  Attributes asked = attributes_of(action);
  Seat seat;
  // What goes on for long is not counted; a watch only until it begins.
  if (!is_stream(action)) {
    Fairness::Pass pass = fairness_.classify(action.user, asked, response);
    if (!Fairness::try_enter(pass, seat) && !co_await Fairness::enter(pass, pass.found->schema.flow_of(action.user, asked), &seat))
      co_return refuse_for_now(response);
  }
  if (!authorizer_.authorize(action.user, asked).allowed) {
    co_return send_error(response, action.wanted, forbidden(*action.resource, action.name, denial(action.user, asked)).error());
  }
  if (const model::CustomVersion* custom = model::custom_of(*action.resource); custom && !custom->deprecation.empty())
    response.always("Warning", warning_header(custom->deprecation));
  if (action.verb == Verb::watch) seat = {};
  auto result = co_await act(action, request, response);
  count_request(action, result ? response.status() : http_status(result.error()));
  if (!result && !response.begun()) send_error(response, action.wanted, result.error());
}

Task<Result<void>> Api::act(Action& action, io::Request& request, io::Response& response) {
  if (is_stream(action)) co_return co_await forward_to_node(action, request, response);
  if (freshness_ && (action.verb == Verb::get || action.verb == Verb::list || action.verb == Verb::watch)) CO_TRY(co_await refresh(action));
  bool plain = action.subresource.empty() || action.subresource == "status";
  if (plain && action.verb == Verb::get && !special_action(action)) {
    auto object = registry_.get(action);
    if (!object) co_return std::unexpected(std::move(object.error()));
    if (model::custom_of(*action.resource)) CO_TRY(co_await registry_.present(action, *object));
    send(response, 200, CO_TRY(render_object(action, *object)));
    co_return {};
  }
  if (plain && action.verb == Verb::list && !special_action(action)) {
    auto page = model::custom_of(*action.resource) ? co_await list_custom(registry_, action) : registry_.list(action);
    if (!page) co_return std::unexpected(std::move(page.error()));
    send(response, 200, CO_TRY(render_list(action, *page)));
    co_return {};
  }
  if (action.verb == Verb::watch) co_return co_await stream_watch(action, request, response);
  co_return co_await write(action, request, response);
}

Task<Result<void>> Api::refresh(const Action& action) {
  if (!freshness_) co_return {};
  const bool reads = action.verb == Verb::get || action.verb == Verb::list || action.verb == Verb::watch;
  const std::string& asked = action.list.resource_version;
  if (reads && !asked.empty() && action.list.continue_token.empty()) {
    auto revision = parse_resource_version(asked);  // what is none is refused where it is used
    if (!revision || *revision <= cluster_->store().revision()) co_return {};
  }
  co_return co_await freshness_->refresh();
}

Task<Result<Outcome>> Api::run(Action action) {
  CO_TRY(co_await refresh(action));
  co_return co_await dispatch(std::move(action));
}

Task<Result<Outcome>> Api::dispatch(Action action) {
  if (Act special = special_action(action)) return special(*this, std::move(action));
  switch (action.verb) {
    case Verb::create: return registry_.create(std::move(action));
    case Verb::update: return registry_.update(std::move(action));
    case Verb::patch: return registry_.patch(std::move(action));
    case Verb::remove: return remove(std::move(action));
    default: return refuse_method();
  }
}

Task<Result<Outcome>> Api::remove(Action action) {
  // Pods reach the API by Service default/kubernetes: who deletes it gets it anew, as with other API servers.
  bool own = action.resource->plural == "services" && action.ns == "default" && action.name == "kubernetes" && !action.remove.dry_run;
  auto outcome = co_await registry_.remove(std::move(action));
  if (!own || !outcome) co_return outcome;
  if (auto again = co_await publish_service(); !again)
    log::warn("apiserver", "Service default/kubernetes is gone", {{"error", again.error()}});
  co_return outcome;
}

namespace {

Result<BodyType> write_body_type(const Action& action, std::string_view content_type) {
  auto type = body_type_of(content_type);
  const bool patch = action.verb == Verb::patch, patch_type = type && *type >= BodyType::json_patch;
  if (type && patch == patch_type) return *type;
  return unsupported_media_type(patch && model::custom_of(*action.resource)
                                    ? "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                                : patch
                                    ? "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, "
                                      "application/apply-patch+yaml"
                                    : "application/json, application/yaml, application/vnd.kubernetes.protobuf");
}

}  // namespace

Task<Result<void>> Api::remove_collection(Action action, io::Response& response) {
  Action shown = action;
  CO_TRY(co_await refresh(action));
  Page page = CO_TRY(co_await registry_.remove_collection(std::move(action)));
  CO_TRY(co_await registry_.present(shown, page.items));
  send(response, 200, CO_TRY(render_list(shown, page)));
  co_return {};
}

Task<Result<void>> Api::write(Action& action, io::Request& request, io::Response& response) {
  if (action.verb == Verb::get || action.verb == Verb::list) {
    // A read of a subresource that is another kind (scale), or of something that nothing stores.
    Wanted as = action.wanted;
    Act special = special_action(action);
    if (!special) co_return method_not_allowed();
    Outcome outcome = CO_TRY(co_await special(*this, action));
    if (outcome.object) send(response, 200, CO_TRY(render_object(action, outcome.object)));
    else if (outcome.page) send(response, 200, CO_TRY(render_list(action, *outcome.page)));
    else send(response, 200, render_json(as, std::move(outcome.json)));
    co_return {};
  }
  const BodyType type = action.body_type = CO_TRY(write_body_type(action, request.headers.get("Content-Type")));
  CO_TRY(check_write_options(action));
  if (type == BodyType::apply_patch) {
    // What is applied is created when it is not there.
    Attributes create = attributes_of(action);
    create.verb = "create";
    if (!authorizer_.authorize(action.user, create).allowed) action.write.create_denied = denial(action.user, create);
  }
  const Instant end = Executor::current()->now() + request_timeout_;
  auto body = co_await with_timeout(request_timeout_, request.body());
  if (!body) co_return timed_out();
  action.body = CO_TRY(std::move(*body));
  Wanted wanted = action.wanted;
  Action shown = action;  // what the answer is rendered for
  shown.body.clear();
  if (action.verb == Verb::remove || action.verb == Verb::remove_collection) {
    if (type == BodyType::protobuf && !action.body.empty()) action.body = CO_TRY(decode_protobuf(action.body));
    if (type == BodyType::yaml && !action.body.empty()) action.body = CO_TRY(decode_yaml(action.body));
    CO_TRY(read_delete_options(action));
  }
  if (action.verb == Verb::remove_collection) co_return co_await remove_collection(std::move(action), response);
  // A write goes on to its end when the client leaves meanwhile: what it took must be kept or given back.
  OneShot<Result<Outcome>> done;
  spawn(run_to_end(*this, std::move(action), done.sender()));
  auto ended = co_await with_timeout(end - Executor::current()->now(), answer_of(&done));
  if (!ended) co_return timed_out();
  Result<Outcome> outcome = std::move(*ended);
  if (!outcome) {
    if (!outcome.error().details) outcome.error().context(to_string(shown.verb));
    co_return std::unexpected(std::move(outcome.error()));
  }
  if (outcome->object && shown.verb == Verb::remove) CO_TRY(co_await registry_.present(shown, outcome->object));
  add_warnings(response, outcome->warnings);
  if (outcome->object) send(response, outcome->status, CO_TRY(render_object(shown, outcome->object)));
  else send(response, outcome->status, render_json(wanted, std::move(outcome->json)));
  co_return {};
}

}  // namespace estiba::apiserver
