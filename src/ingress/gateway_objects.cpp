#include "ingress/gateway_objects.h"

#include "base/strings.h"
#include "client/informer.h"
#include "model/codec.h"
#include "model/types/meta_v1.h"

namespace estiba::ingress {

using json::Node;

namespace {

const Node& nothing() {
  static const json::Document empty;
  return empty.root();
}

// A member, or an empty node to walk over.
const Node& at(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found ? *found : nothing();
}

std::string text_at(const Node& node, std::string_view key, std::string_view otherwise = {}) {
  const Node* found = node.find(key);
  return std::string(found ? found->as_string(otherwise) : otherwise);
}

int64_t number_at(const Node& node, std::string_view key, int64_t otherwise = 0) { return at(node, key).as_int().value_or(otherwise); }

Reference reference(const Node& node, std::string_view ns, std::string_view kind, std::string_view group = {}) {
  Reference out{.group = text_at(node, "group", group),
                .kind = text_at(node, "kind", kind),
                .ns = text_at(node, "namespace", ns),
                .name = text_at(node, "name")};
  if (const int64_t port = number_at(node, "port")) out.port = uint16_t(port);
  return out;
}

HeaderChanges header_changes(const Node& node) {
  HeaderChanges out;
  for (const Node& one : at(node, "set")) out.set.push_back({text_at(one, "name"), text_at(one, "value")});
  for (const Node& one : at(node, "add")) out.add.push_back({text_at(one, "name"), text_at(one, "value")});
  for (const Node& one : at(node, "remove")) out.remove.push_back(to_lower(one.as_string()));
  return out;
}

PathChange path_change(const Node& node) {
  const std::string type = text_at(node, "type");
  if (type == "ReplaceFullPath") return {PathChange::Kind::full, text_at(node, "replaceFullPath")};
  if (type == "ReplacePrefixMatch") return {PathChange::Kind::prefix, text_at(node, "replacePrefixMatch")};
  return {};
}

void read_mirror(const Node& node, std::string_view ns, RouteFilters& out) {
  RouteFilters::MirrorTo mirror{.backend = reference(at(node, "backendRef"), ns, "Service"), .numerator = 100, .denominator = 100};
  if (node.find("percent")) mirror.numerator = uint32_t(number_at(node, "percent"));
  if (const Node* fraction = node.find("fraction")) {
    mirror.numerator = uint32_t(number_at(*fraction, "numerator"));
    mirror.denominator = uint32_t(number_at(*fraction, "denominator", 100));
  }
  out.mirrors.push_back(std::move(mirror));
}

RouteFilters read_filters(const Node& list, std::string_view ns) {
  RouteFilters out;
  for (const Node& filter : list) {
    const std::string type = text_at(filter, "type");
    if (type == "RequestHeaderModifier") {
      out.filters.request = header_changes(at(filter, "requestHeaderModifier"));
    } else if (type == "ResponseHeaderModifier") {
      out.filters.response = header_changes(at(filter, "responseHeaderModifier"));
    } else if (type == "RequestRedirect") {
      const Node& node = at(filter, "requestRedirect");
      out.filters.redirect = std::make_shared<Redirect>(Redirect{.scheme = text_at(node, "scheme"),
                                                                 .host = text_at(node, "hostname"),
                                                                 .port = uint16_t(number_at(node, "port")),
                                                                 .path = path_change(at(node, "path")),
                                                                 .status = int(number_at(node, "statusCode", 302))});
    } else if (type == "URLRewrite") {
      const Node& node = at(filter, "urlRewrite");
      out.filters.rewrite = std::make_shared<Rewrite>(text_at(node, "hostname"), path_change(at(node, "path")));
    } else if (type == "RequestMirror") {
      read_mirror(at(filter, "requestMirror"), ns, out);
    } else {
      out.unsupported = "filters of the type " + type;
    }
  }
  return out;
}

Match read_match(const Node& node, std::string& unsupported) {
  Match out{.method = text_at(node, "method")};
  const Node& path = at(node, "path");
  const std::string type = text_at(path, "type", "PathPrefix");
  out.kind = type == "Exact" ? Match::Path::exact : Match::Path::prefix;
  out.path = text_at(path, "value", "/");
  if (out.kind == Match::Path::prefix && out.path.size() > 1 && out.path.ends_with('/')) out.path.pop_back();
  if (type == "RegularExpression") unsupported = "paths of the type RegularExpression";
  auto values = [&](std::string_view member, std::vector<ValueMatch>& to) {
    for (const Node& one : at(node, member)) {
      to.push_back({text_at(one, "name"), text_at(one, "value")});
      if (text_at(one, "type") == "RegularExpression") unsupported = std::string(member) + " of the type RegularExpression";
    }
  };
  values("headers", out.headers);
  values("queryParams", out.query);
  return out;
}

// A method is called by POST to /SERVICE/METHOD (gRPC over HTTP/2).
Match read_grpc_match(const Node& node, std::string& unsupported) {
  Match out = read_match(node, unsupported);
  const Node* method = node.find("method");
  out.method = {};
  if (!method) return out;
  if (text_at(*method, "type") == "RegularExpression") unsupported = "methods of the type RegularExpression";
  const std::string service = text_at(*method, "service"), name = text_at(*method, "method");
  if (!service.empty() && !name.empty()) out.kind = Match::Path::exact;
  else if (!name.empty()) out.kind = Match::Path::last_segment;
  if (!service.empty()) out.path = "/" + service + (name.empty() ? "" : "/" + name);
  else if (!name.empty()) out.path = "/" + name;
  return out;
}

// Without a number there is one more attempt; whoever asks for a thousand gets ten.
Retry read_retry(const Node& node) {
  Retry out{.attempts = uint32_t(std::clamp<int64_t>(number_at(node, "attempts", 1), 0, 10)),
            .backoff = gateway_duration(text_at(node, "backoff"))};
  for (const Node& code : at(node, "codes")) out.codes.push_back(int(code.as_int().value_or(0)));
  return out;
}

RouteRule read_rule(const Node& node, std::string_view ns, bool grpc) {
  RouteRule out;
  for (const Node& match : at(node, "matches"))
    out.matches.push_back(grpc ? read_grpc_match(match, out.unsupported) : read_match(match, out.unsupported));
  if (out.matches.empty()) out.matches.emplace_back();
  out.filters = read_filters(at(node, "filters"), ns);
  if (!out.filters.unsupported.empty()) out.unsupported = out.filters.unsupported;
  for (const Node& backend : at(node, "backendRefs")) {
    out.backends.push_back({.to = reference(backend, ns, "Service"),
                            .weight = uint32_t(number_at(backend, "weight", 1)),
                            .filters = read_filters(at(backend, "filters"), ns)});
    const RouteFilters& filters = out.backends.back().filters;
    if (filters.filters.redirect) out.unsupported = "redirections by a backend's filters";
    if (!filters.unsupported.empty()) out.unsupported = filters.unsupported;
  }
  out.request_timeout = gateway_duration(text_at(at(node, "timeouts"), "request"));
  out.backend_timeout = gateway_duration(text_at(at(node, "timeouts"), "backendRequest"));
  if (const Node* retry = node.find("retry")) out.retry = read_retry(*retry);
  return out;
}

GatewayListener read_listener(const Node& node, std::string_view ns) {
  GatewayListener out{.name = text_at(node, "name"),
                      .hostname = to_lower(text_at(node, "hostname")),
                      .protocol = text_at(node, "protocol"),
                      .port = uint16_t(number_at(node, "port"))};
  const Node& tls = at(node, "tls");
  out.terminates = text_at(tls, "mode", "Terminate") == "Terminate";
  for (const Node& one : at(tls, "certificateRefs")) out.certificates.push_back(reference(one, ns, "Secret"));
  const Node& allowed = at(node, "allowedRoutes");
  const Node& namespaces = at(allowed, "namespaces");
  out.from = text_at(namespaces, "from", "Same");
  out.selector = model::LabelSelector::nothing();
  if (const Node* selector = namespaces.find("selector")) {
    model::meta_v1::LabelSelector typed;
    (void)model::codec::decode_into(model::meta_v1::LabelSelector::layout_, &typed, *selector, true);
    if (auto made = model::LabelSelector::from(typed)) out.selector = std::move(*made);
  }
  for (const Node& one : at(allowed, "kinds")) out.kinds.push_back({text_at(one, "group", gateway_group), text_at(one, "kind")});
  return out;
}

std::shared_ptr<const json::Document> parsed(const model::ObjectRef& object) {
  auto document = json::Document::parse(object.object->json());
  return std::make_shared<const json::Document>(document ? std::move(*document) : json::Document());
}

}  // namespace

Duration gateway_duration(std::string_view text) {
  Duration sum{};
  while (!text.empty()) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_number<int64_t>(text.substr(0, digits));
    text.remove_prefix(digits);
    if (!number) return {};
    if (text.starts_with("ms")) {
      sum += *number * std::chrono::milliseconds(1);
      text.remove_prefix(2);
      continue;
    }
    if (text.starts_with('h')) sum += *number * std::chrono::hours(1);
    else if (text.starts_with('m')) sum += *number * std::chrono::minutes(1);
    else if (text.starts_with('s')) sum += *number * std::chrono::seconds(1);
    else return {};
    text.remove_prefix(1);
  }
  return sum;
}

Gateway read_gateway(const model::ObjectRef& object) {
  const auto document = parsed(object);
  const model::Meta& meta = object.meta();
  const Node& spec = at(document->root(), "spec");
  Gateway out{.ns = meta.ns,
              .name = meta.name,
              .class_name = text_at(spec, "gatewayClassName"),
              .age = meta.creation_timestamp,
              .generation = meta.generation,
              .asks_for_addresses = !at(spec, "addresses").empty()};
  for (const Node& listener : at(spec, "listeners")) out.listeners.push_back(read_listener(listener, meta.ns));
  return out;
}

HttpRoute read_route(const model::ObjectRef& object) {
  const model::Meta& meta = object.meta();
  HttpRoute out{.kind = meta.kind,
                .ns = meta.ns,
                .name = meta.name,
                .age = meta.creation_timestamp,
                .generation = meta.generation,
                .document = parsed(object)};
  const Node& spec = at(out.document->root(), "spec");
  for (const Node& parent : at(spec, "parentRefs"))
    out.parents.push_back({reference(parent, meta.ns, "Gateway", gateway_group), text_at(parent, "sectionName"), &parent});
  for (const Node& hostname : at(spec, "hostnames")) out.hostnames.push_back(to_lower(hostname.as_string()));
  for (const Node& rule : at(spec, "rules")) out.rules.push_back(read_rule(rule, meta.ns, out.kind == grpc_route_kind));
  return out;
}

void Grants::add(const model::ObjectRef& object) {
  const auto document = parsed(object);
  const Node& spec = at(document->root(), "spec");
  for (const Node& from : at(spec, "from"))
    for (const Node& to : at(spec, "to"))
      grants_.push_back({text_at(from, "group"), text_at(from, "kind"), text_at(from, "namespace"), text_at(to, "group"),
                         text_at(to, "kind"), object.meta().ns, text_at(to, "name")});
}

bool Grants::permit(std::string_view from_kind, std::string_view from_ns, const Reference& to) const {
  return from_ns == to.ns || std::ranges::any_of(grants_, [&](const Grant& one) {
           return one.from_group == gateway_group && one.from_kind == from_kind && one.from_ns == from_ns && one.to_group == to.group &&
                  one.to_kind == to.kind && one.to_ns == to.ns && (one.to_name.empty() || one.to_name == to.name);
         });
}

}  // namespace estiba::ingress
