// A write as webhooks and policies see it: the operation in capitals, the resource and kind that were asked for, the object
// and the old object in any version of the resource. (Kubernetes: apiserver/pkg/admission, Attributes and VersionedAttributes.)
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/admission/admission.h"
#include "model/catalog.h"
#include "model/object.h"

namespace estiba::apiserver::admission {

/// A group, a version, and a resource ("deployments") or kind ("Deployment").
struct Named {
  std::string group, version, name;
  bool operator==(const Named&) const = default;
  auto operator<=>(const Named&) const = default;
};

/// By which resource a webhook or policy is asked: the one of the request or an equivalent one.
struct Match {
  Named resource, kind;
  model::ResourceRef row;  ///< null when it is the request's own
};

class Subject {
 public:
  explicit Subject(Attributes& attributes);

  Attributes& attributes;
  std::string_view operation;  ///< CREATE, UPDATE, DELETE, CONNECT
  Named resource, kind;
  std::string_view subresource;
  std::string name, ns;  ///< a Namespace is in itself

  bool is_namespace() const { return resource.group.empty() && resource.name == "namespaces"; }
  /// Configurations of admission itself are never told to webhooks and policies, so that one cannot protect itself from being
  /// removed. The Binding of a pod has been told, and the pod that it changes is not told once more.
  bool exempt() const;
  /// The same resource in other versions and groups, for matchPolicy Equivalent.
  const std::vector<Match>& equivalents();
  Match own() const { return {resource, kind, {}}; }

  /// The labels of the namespace that the request is in; not_found when there is none.
  Result<model::Labels> namespace_labels() const;
  /// That namespace; a null reference for what is in none, and for Namespaces.
  Result<model::ObjectRef> namespace_object() const;

 private:
  std::optional<std::vector<Match>> equivalents_;
};

/// The objects of a request in the versions that those who are asked want, each converted once.
class Versions {
 public:
  explicit Versions(Subject& subject) : subject_(subject) {}

  struct Pair {
    const json::Node* object = nullptr;
    const json::Node* old = nullptr;
    json::Document object_doc, old_doc;  ///< where they live when they have been converted
  };
  /// Valid until forget().
  Task<Result<const Pair*>> in(Match match);
  /// The object has changed.
  void forget() { made_.clear(); }

 private:
  Subject& subject_;
  std::map<Named, std::unique_ptr<Pair>> made_;  // by kind
};

/// A copy of an object in the version of a row.
Task<Result<json::Document>> to_version(Cluster& cluster, const json::Node& object, model::ResourceRef row);
/// Makes the attributes' object what `changed` says (in the version of `match`): decoded, with defaults. False when that is
/// what it was already. An error when it is no object of its kind; `strict`: also when it has fields that its kind does not have.
Task<Result<bool>> take_object(Subject& subject, Match match, json::Document changed, bool strict = false);

/// The AdmissionRequest without its objects: what `request` is in expressions, and most of what webhooks get.
json::Document request_of(const Subject& subject, const Match& match, std::string_view uid);

/// Failures of the server itself, worded "Internal error occurred: …".
std::unexpected<Error> internal_error(std::string message);

}  // namespace estiba::apiserver::admission
