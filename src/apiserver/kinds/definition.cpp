#include "apiserver/kinds/definition.h"

#include <set>

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/custom/definition.h"

namespace estiba::apiserver::definition {

using json::Document;
using json::Node;

namespace {

constexpr std::string_view cleanup_finalizer = "customresourcecleanup.apiextensions.k8s.io";

struct Condition {
  std::string_view type, status, reason;
  std::string message;
};

void set_condition(Document& doc, Node& status, const Condition& wanted, WallTime now) {
  Node& conditions = ensure_array(doc, status, "conditions");
  Node* there = nullptr;
  for (Node& condition : conditions)
    if (condition.string_at("type") == wanted.type) there = &condition;
  if (!there) there = &doc.append(conditions, doc.make_object());
  if (there->string_at("status") != wanted.status) doc.set(*there, "lastTransitionTime", format_rfc3339(now));
  doc.set(*there, "message", wanted.message);
  doc.set(*there, "reason", wanted.reason);
  doc.set(*there, "status", wanted.status);
  doc.set(*there, "type", wanted.type);
}

// What the other definitions of a group have been given.
struct Taken {
  std::set<std::string, std::less<>> resources, kinds;

  void add(const Node& accepted) {
    for (std::string_view key : {"plural", "singular"}) resources.emplace(accepted.string_at(key));
    if (const Node* names = accepted.find("shortNames"))
      for (const Node& name : *names) resources.emplace(name.as_string());
    for (std::string_view key : {"kind", "listKind"}) kinds.emplace(accepted.string_at(key));
  }
};

Taken taken_by_others(const Cluster& cluster, const Node& object) {
  Taken out;
  auto all = cluster.all("apiextensions.k8s.io", "customresourcedefinitions");
  if (!all) return out;
  for (const model::ObjectRef& other : *all) {
    if (other.meta().name == object.string_at("metadata", "name")) continue;
    auto doc = Document::parse(other.object->json());
    if (!doc || doc->root().string_at("spec", "group") != object.string_at("spec", "group")) continue;
    if (const Node* accepted = doc->root().at("status", "acceptedNames")) out.add(*accepted);
  }
  return out;
}

// Names one by one into acceptedNames; what another definition has stays as it was.
class Naming {
 public:
  Naming(Document& doc, const Node& requested, Node& accepted, const Taken& taken)
      : doc_(doc), requested_(requested), accepted_(accepted), taken_(taken) {}

  Condition run() {
    one("plural", taken_.resources, "PluralConflict");
    one("singular", taken_.resources, "SingularConflict");
    short_names();
    one("kind", taken_.kinds, "KindConflict");
    one("listKind", taken_.kinds, "ListKindConflict");
    set_copy(doc_, accepted_, "categories", requested_.find("categories"));
    return conflict_.reason.empty() ? Condition{"NamesAccepted", "True", "NoConflicts", "no conflicts found"} : conflict_;
  }

 private:
  void refuse(std::string_view reason, std::string message) { conflict_ = {"NamesAccepted", "False", reason, std::move(message)}; }

  void one(std::string_view key, const std::set<std::string, std::less<>>& taken, std::string_view reason) {
    const std::string_view wanted = requested_.string_at(key);
    if (wanted != accepted_.string_at(key) && taken.contains(wanted)) return refuse(reason, quoted(wanted) + " is already in use");
    doc_.set(accepted_, key, wanted);
  }

  void short_names() {
    const Node *wanted = requested_.find("shortNames"), *had = accepted_.find("shortNames");
    std::vector<std::string> problems;
    if (wanted) {
      for (const Node& name : *wanted) {
        const bool own = had && std::any_of(had->begin(), had->end(), [&](const Node& n) { return n.as_string() == name.as_string(); });
        if (!own && taken_.resources.contains(name.as_string())) problems.push_back(quoted(name.as_string()) + " is already in use");
      }
    }
    if (problems.empty()) return set_copy(doc_, accepted_, "shortNames", wanted);
    refuse("ShortNamesConflict", problems.size() == 1 ? problems[0] : "[" + join(problems, ", ") + "]");
  }

  Document& doc_;
  const Node& requested_;
  Node& accepted_;
  const Taken& taken_;
  Condition conflict_{};
};

void set_stored_versions(Document& doc, const Node& spec, Node& status) {
  Node& stored = ensure_array(doc, status, "storedVersions");
  const Node* versions = spec.find("versions");
  if (!present(versions)) return;
  for (const Node& version : *versions) {
    const Node* storage = version.find("storage");
    if (!storage || !storage->as_bool()) continue;
    const std::string_view name = version.string_at("name");
    const bool there = std::any_of(stored.begin(), stored.end(), [&](const Node& one) { return one.as_string() == name; });
    if (!there) doc.append(stored, doc.make_string(name));
    return;
  }
}

}  // namespace

Approval approval_of(const Node& object) {
  Approval out;
  const std::string_view group = object.string_at("spec", "group");
  out.needed = group == "k8s.io" || group.ends_with(".k8s.io") || group == "kubernetes.io" || group.ends_with(".kubernetes.io");
  if (!out.needed) return out;
  const std::string_view text = object.string_at("metadata", "annotations", approval_annotation);
  const std::string see = ", see https://github.com/kubernetes/enhancements/pull/1111";
  const auto [scheme, rest] = split_once(text, ':');
  out.status = "False";
  if (text.empty()) {
    out.reason = "MissingAnnotation";
    out.message = "protected groups must have approval annotation " + quoted(approval_annotation) + see;
  } else if (text.starts_with("unapproved")) {
    out.reason = "UnapprovedAnnotation";
    out.message = "not approved: " + quoted(text);
  } else if (rest && !scheme.empty() && rest->starts_with("//") && rest->size() > 2 && (*rest)[2] != '/') {
    out.status = "True";
    out.reason = "ApprovedAnnotation";
    out.message = "approved in " + std::string(text);
  } else {
    out.reason = "InvalidAnnotation";
    out.message = "protected groups must have approval annotation " + quoted(approval_annotation) +
                  " with either a URL or a reason starting with \"unapproved\"" + see;
  }
  return out;
}

void defaults(Document& doc, Node& object) {
  Node* spec = object.find("spec");
  if (!spec || !spec->is_object()) return;
  if (Node* names = spec->find("names"); names && names->is_object()) {
    const std::string kind(names->string_at("kind"));
    if (!kind.empty()) {
      default_string(doc, *names, "singular", to_lower(kind));
      default_string(doc, *names, "listKind", kind + "List");
    }
  }
  Node& conversion = doc.ensure_object(*spec, "conversion");
  if (conversion.empty()) doc.set(conversion, "strategy", "None");
  Node* config = nullptr;
  if (Node* webhook = conversion.find("webhook"); webhook && webhook->is_object()) config = webhook->find("clientConfig");
  if (!config || !config->is_object()) return;
  if (Node* service = config->find("service"); service && service->is_object()) default_int(doc, *service, "port", 443);
}

void prepare(Draft& draft) {
  Document& doc = draft.doc;
  Node& object = draft.object;
  const WallTime now = draft.cluster.now();
  if (draft.creating()) doc.remove(object, "status");
  else draft.keep_old("status");
  Node& spec = draft.spec();
  Node& status = draft.status();
  if (!spec.find("names") || !spec.find("names")->is_object()) return;
  ensure_array(doc, status, "conditions");
  Node& accepted = doc.ensure_object(status, "acceptedNames");
  const Taken taken = taken_by_others(draft.cluster, object);
  const Condition naming = Naming(doc, *spec.find("names"), accepted, taken).run();
  set_condition(doc, status, naming, now);
  if (!model::has_condition(object, "Established")) {
    if (naming.status == "True")
      set_condition(doc, status, {"Established", "True", "InitialNamesAccepted", "the initial names have been accepted"}, now);
    else set_condition(doc, status, {"Established", "False", "NotAccepted", "not all names are accepted"}, now);
  }
  if (Approval approval = approval_of(object); approval.needed)
    set_condition(doc, status, {"KubernetesAPIApprovalPolicyConformant", approval.status, approval.reason, approval.message}, now);
  set_stored_versions(doc, spec, status);
}

void ending(Cluster& cluster, Document& doc, Node& object) {
  Node& finalizers = ensure_array(doc, doc.ensure_object(object, "metadata"), "finalizers");
  const bool there = std::any_of(finalizers.begin(), finalizers.end(), [](const Node& f) { return f.as_string() == cleanup_finalizer; });
  if (!there) doc.append(finalizers, doc.make_string(cleanup_finalizer));
  set_condition(doc, doc.ensure_object(object, "status"),
                {"Terminating", "True", "InstanceDeletionPending",
                 "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"},
                cluster.now());
}

}  // namespace estiba::apiserver::definition
