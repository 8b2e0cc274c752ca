// Making and deleting the pods of one controller, with the events that tell of it.
//
// No duplicates are made, because the cache is never behind our own writes: what a create returned is in it at once, and
// what was deleted is remembered until the watch (or a new list) says so too.
#pragma once
#include <string>
#include <unordered_set>
#include <vector>

#include "base/function.h"
#include "client/events.h"
#include "client/informer.h"

namespace estiba::controllers {

/// Changes the pod that a template describes, before it is printed.
using PodEdit = UniqueFunction<void(json::Document& doc, json::Node& pod)>;

/// The pod that spec.template of `owner` describes, with a controller reference to it and a generated name "<owner>-…".
/// `edit` may be empty.
Result<std::string> pod_from_template(const model::ObjectRef& owner, PodEdit edit = {});
/// The same with another template than the owner's present one.
Result<std::string> pod_from_template(const model::ObjectRef& owner, const json::Node& given, PodEdit edit);

/// How events about pods are worded.
enum class PodWords : uint8_t {
  usual,     ///< "Created pod: web-x7"
  stateful,  ///< "Create Pod web-0 in StatefulSet web successful"
};

class PodControl {
 public:
  /// Listens to `pods`. All three must outlive this.
  PodControl(client::Client& client, client::Informer& pods, client::EventRecorder& events, PodWords words = PodWords::usual);
  PodControl(const PodControl&) = delete;
  PodControl& operator=(const PodControl&) = delete;

  /// Deleted by us, and the watch has not yet told of it.
  bool is_deleting(const model::ObjectRef& pod) const { return deleting_.contains(pod.meta().uid); }

  /// Creates `count` pods, body(i) each: first one, then twice as many each time, so that a quota that refuses one is not
  /// asked a hundred times. A namespace that is going away is no failure.
  Task<Result<void>> create(model::ObjectRef owner, size_t count, UniqueFunction<std::string(size_t)> body);
  /// Deletes all of `pods` at once. One that is gone already is no failure.
  Task<Result<void>> remove(model::ObjectRef owner, std::vector<model::ObjectRef> pods);

 private:
  void tell_deleted(const model::ObjectRef& owner, const std::string& pod, const Result<void>& removed);
  static Task<void> create_one(PodControl* self, const model::ObjectRef* owner, std::string body, std::optional<Error>* first_error);
  static Task<void> remove_one(PodControl* self, const model::ObjectRef* owner, model::ObjectRef pod, std::optional<Error>* first_error);

  client::Client& client_;
  client::Informer& pods_;
  client::EventRecorder& events_;
  const PodWords words_;
  std::unordered_set<std::string> deleting_;  // UIDs
};

}  // namespace estiba::controllers
