#include "apiserver/request.h"

#include "apiserver/api_errors.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/field_errors.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

// The path's segments, each decoded by itself, so that an encoded slash cannot make two of one.
Result<std::vector<std::string>> segments_of(std::string_view raw_path) {
  std::vector<std::string> out;
  if (raw_path.starts_with('/')) raw_path.remove_prefix(1);
  if (raw_path.ends_with('/')) raw_path.remove_suffix(1);
  if (raw_path.empty()) return out;
  for (std::string_view part : split(raw_path, '/')) {
    std::string segment = part.find('%') == std::string_view::npos ? std::string(part) : TRY(io::percent_decode(part));
    if (segment.empty() || segment == "." || segment == ".." || segment.find('/') != std::string::npos ||
        segment.find('\0') != std::string::npos) {
      return bad_request("the path has an empty, '.', '..' or encoded-slash segment: " + quoted(raw_path));
    }
    out.push_back(std::move(segment));
  }
  return out;
}

Result<int64_t> number_option(const io::Query& query, std::string_view name) {
  std::string_view text = query.get(name);
  if (text.empty()) return 0;
  auto value = parse_number<int64_t>(text);
  if (!value) return bad_request("query parameter " + std::string(name) + ": " + quoted(text) + " is not a number");
  return *value;
}

Result<bool> dry_run_option(const io::Query& query) {
  for (const std::string& value : query.all("dryRun")) {
    if (value.empty()) continue;
    if (value != "All") return bad_request("dryRun: Unsupported value: " + quoted(value) + ": supported values: \"All\"");
    return true;
  }
  return false;
}

Result<void> read_list_options(const io::Query& query, ListOptions& out) {
  out.label_selector = query.get("labelSelector");
  out.field_selector = query.get("fieldSelector");
  out.resource_version = query.get("resourceVersion");
  out.resource_version_match = query.get("resourceVersionMatch");
  out.continue_token = query.get("continue");
  int64_t limit = TRY(number_option(query, "limit"));
  out.limit = limit > 0 ? static_cast<uint64_t>(limit) : 0;
  out.allow_bookmarks = query.flag("allowWatchBookmarks");
  if (query.has("sendInitialEvents")) out.send_initial_events = query.flag("sendInitialEvents");
  if (int64_t seconds = TRY(number_option(query, "timeoutSeconds")); seconds > 0) out.timeout_seconds = seconds;
  return {};
}

Result<void> read_write_options(const io::Query& query, WriteOptions& out) {
  out.dry_run = TRY(dry_run_option(query));
  if (query.has("force")) out.force = query.flag("force");
  out.field_manager = query.get("fieldManager");
  std::string_view validation = query.get("fieldValidation");
  if (validation.empty() || validation == "Warn") out.validation = FieldValidation::warn;
  else if (validation == "Strict") out.validation = FieldValidation::strict;
  else if (validation == "Ignore") out.validation = FieldValidation::ignore;
  else
    return bad_request("fieldValidation: Unsupported value: " + quoted(validation) +
                       ": supported values: \"Ignore\", \"Strict\", \"Warn\"");
  return {};
}

Result<void> read_delete_query(const io::Query& query, DeleteOptions& out) {
  if (query.has("gracePeriodSeconds")) out.grace_seconds = TRY(number_option(query, "gracePeriodSeconds"));
  out.propagation = query.get("propagationPolicy");
  if (query.has("orphanDependents")) out.orphan_dependents = query.flag("orphanDependents");
  out.dry_run = TRY(dry_run_option(query));
  return {};
}

Result<Verb> verb_of(const io::Request& request, const Action& action, bool watch) {
  const std::string& method = request.method;
  bool named = !action.name.empty();
  if (method == "GET" || method == "HEAD") {
    if (named) return Verb::get;
    return watch ? Verb::watch : Verb::list;
  }
  if (method == "POST" && (!named || !action.subresource.empty())) return Verb::create;
  if (method == "PUT" && named) return Verb::update;
  if (method == "PATCH" && named) return Verb::patch;
  if (method == "DELETE") return named ? Verb::remove : Verb::remove_collection;
  return method_not_allowed();
}

// Where the tail of a proxied path begins, past pods/NAME/proxy and the like; npos when it is no such path. The tail is the
// backend's business and is neither decoded nor judged.
size_t proxy_tail(std::string_view raw_path) {
  size_t at = 0, ends[8] = {}, count = 0;
  std::string_view parts[8];
  while (count < 8 && at < raw_path.size()) {
    size_t end = std::min(raw_path.find('/', at + 1), raw_path.size());
    parts[count] = raw_path.substr(at + 1, end - at - 1);
    ends[count++] = end;
    at = end;
  }
  if (count < 5 || parts[0] != "api" || parts[1] != "v1") return raw_path.npos;
  if (parts[2] == "nodes" && parts[4] == "proxy") return ends[4];
  const bool namespaced = count >= 7 && parts[2] == "namespaces" && (parts[4] == "pods" || parts[4] == "services");
  return namespaced && parts[6] == "proxy" ? ends[6] : raw_path.npos;
}

// Whether the schema offers the verb for the resource or its subresource.
bool offered(const Action& action) {
  if (action.subresource.empty()) {
    if (action.resource->plural == "namespaces" && action.verb == Verb::remove_collection) return false;
    return action.resource->can(to_string(action.verb));
  }
  const model::schema::Subresource* sub = action.resource->find_subresource(action.subresource);
  if (!sub) return false;
  return std::find(sub->verbs.begin(), sub->verbs.end(), to_string(action.verb)) != sub->verbs.end();
}

// What follows the version: [namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE[/…]]], or watch/… as old clients ask.
Result<void> place(const std::vector<std::string>& parts, size_t i, const Cluster* cluster, Target& target) {
  Action& action = target.action;
  if (parts.size() >= i + 3 && parts[i] == "namespaces" && parts[i + 2] != "status" && parts[i + 2] != "finalize") {
    action.ns = parts[i + 1];
    i += 2;
  }
  target.plural = parts[i];
  model::ResourceRef found = cluster
                                 ? cluster->find_resource(target.group, target.version, target.plural)
                                 : model::ResourceRef{model::schema::find_resource(target.group, target.version, target.plural), nullptr};
  action.resource = found.resource;
  action.tables = std::move(found.definition);
  if (!action.resource) return no_such_resource();
  if (!action.ns.empty() && !action.resource->namespaced) return no_such_resource();
  if (parts.size() > i + 1) action.name = parts[i + 1];
  if (parts.size() > i + 2) action.subresource = parts[i + 2];
  if (parts.size() > i + 3) return no_such_resource();
  if (action.resource->namespaced && action.ns.empty() && !action.name.empty()) return no_such_resource();
  if (!action.subresource.empty() && !action.resource->find_subresource(action.subresource)) return no_such_resource();
  return {};
}

// What is only answered, never listed, has no columns.
bool has_table(const Action& action) {
  const std::string_view sub = action.subresource;
  if (sub == "binding" || sub == "eviction" || sub == "token") return false;
  const std::string_view group = action.resource->group;
  return action.resource->plural != "bindings" && group != "authentication.k8s.io" && group != "authorization.k8s.io";
}

bool is_list_form(const Target& target) {
  const Action& action = target.action;
  return action.subresource.empty() && (action.verb == Verb::list || action.verb == Verb::watch || action.verb == Verb::remove_collection);
}

}  // namespace

Result<Target> parse_request(const io::Request& request, const Cluster* cluster) {
  Target target;
  const size_t tail = proxy_tail(request.raw_path);
  auto parts = TRY(segments_of(std::string_view(request.raw_path).substr(0, tail)));
  bool core = parts.size() >= 3 && parts[0] == "api";
  bool named = parts.size() >= 4 && parts[0] == "apis";
  if (!core && !named) {
    target.path = request.path;
    if (target.path.size() > 1 && target.path.ends_with('/')) target.path.pop_back();
    return target;
  }
  target.resource = true;
  if (named) target.group = parts[1];
  target.version = parts[named ? 2 : 1];
  size_t first = named ? 3 : 2;
  bool old_form = parts[first] == "watch" && parts.size() > first + 1 && request.method == "GET";
  TRY(place(parts, old_form ? first + 1 : first, cluster, target));
  Action& action = target.action;
  if (tail != std::string::npos) {
    target.tail = request.raw_path.substr(tail);
    // Any query is the backend's. OPTIONS is no verb of the API; who may do it needs to be allowed everything.
    action.verb = request.method == "OPTIONS" ? Verb::get : TRY(verb_of(request, action, false));
    return target;
  }
  bool watch = old_form || request.query.flag("watch");
  action.verb = TRY(verb_of(request, action, watch));
  // A request for one object with ?watch=true watches that object.
  if (action.verb == Verb::get && action.subresource.empty() && watch) {
    action.verb = Verb::watch;
    TRY(read_list_options(request.query, action.list));
    const std::string own = "metadata.name=" + action.name;
    if (!action.list.field_selector.empty() && action.list.field_selector != own)
      return bad_request("fieldSelector metadata.name doesn't match requested name");
    action.list.field_selector = own;
    action.name.clear();
  } else {
    TRY(read_list_options(request.query, action.list));
  }
  if (!offered(action)) return method_not_allowed();
  if (is_list_form(target)) TRY(check_list_options(action));
  if (action.resource->namespaced && action.ns.empty() && !is_list_form(target) && action.resource->group != "authorization.k8s.io") {
    // A creation without a namespace in the URL.
    return method_not_allowed();
  }
  TRY(read_write_options(request.query, action.write));
  action.write.user_agent = request.headers.get("User-Agent");
  if (action.verb == Verb::remove || action.verb == Verb::remove_collection) TRY(read_delete_query(request.query, action.remove));
  action.include_object = request.query.get("includeObject");
  bool streams =
      action.subresource == "exec" || action.subresource == "attach" || action.subresource == "portforward" || action.subresource == "log";
  if (!streams) {
    auto wanted = negotiate(request.headers.get("Accept"), has_table(action));
    if (!wanted) return not_acceptable();
    action.wanted = *wanted;
    action.wanted.pretty = request.query.flag("pretty");
  }
  return target;
}

Result<void> check_write_options(const Action& action) {
  constexpr size_t longest = 128;
  FieldErrors errors;
  const std::string& manager = action.write.field_manager;
  const bool apply = action.body_type == BodyType::apply_patch;
  if (apply && manager.empty()) errors.required("fieldManager", "is required for apply patch");
  if (!apply && action.verb == Verb::patch && action.write.force) errors.forbidden("force", "may not be specified for non-apply patch");
  if (manager.size() > longest) errors.too_long("fieldManager", longest);
  for (size_t i = 0; i < manager.size(); i++) {
    const auto c = static_cast<unsigned char>(manager[i]);
    if (c >= 0x20 && c != 0x7f) continue;
    char name[16];
    snprintf(name, sizeof name, "U+%04X", c);
    errors.invalid_string("fieldManager", manager, "invalid character " + std::string(name) + " (at position " + std::to_string(i) + ")");
  }
  if (errors.empty()) return {};
  const std::string_view kind = action.verb == Verb::create   ? "CreateOptions"
                                : action.verb == Verb::update ? "UpdateOptions"
                                                              : "PatchOptions";
  Resource options{};
  options.group = "meta.k8s.io";
  return invalid(options, kind, "", errors.take());
}

Result<void> read_delete_options(Action& action) {
  if (trim(action.body).empty()) return {};
  auto doc = json::Document::parse(action.body);
  if (!doc || !doc->root().is_object()) return bad_request("the body of a deletion must be DeleteOptions");
  const json::Node& root = doc->root();
  DeleteOptions& out = action.remove;
  if (const json::Node* grace = root.find("gracePeriodSeconds"); present(grace)) out.grace_seconds = grace->as_int();
  if (has_value(root, "propagationPolicy")) out.propagation = root.string_at("propagationPolicy");
  if (const json::Node* orphan = root.find("orphanDependents"); present(orphan)) out.orphan_dependents = orphan->as_bool();
  out.uid = root.string_at("preconditions", "uid");
  out.resource_version = root.string_at("preconditions", "resourceVersion");
  const json::Node* dry = root.find("dryRun");
  if (present(dry) && !dry->empty()) out.dry_run = true;
  return {};
}

}  // namespace estiba::apiserver
