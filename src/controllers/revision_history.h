// The ControllerRevisions of a StatefulSet or a DaemonSet: one for each pod template it has had, numbered in the order in
// which they were last in use. `kubectl rollout history` and `undo` read them: data is a strategic merge patch that brings
// the template back.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "client/client.h"
#include "client/informer.h"
#include "model/types/meta_v1.h"

namespace estiba::controllers {

inline constexpr client::Resource controller_revisions{"apps", "v1", "controllerrevisions"};
/// On pods: the revision that they are of.
inline constexpr std::string_view revision_hash_label = "controller-revision-hash";

class RevisionHistory {
 public:
  /// `hash_label` is the label of a revision that holds the hash in its name. All must outlive this.
  RevisionHistory(client::Client& client, client::Informer& revisions, std::string_view hash_label);

  /// The owner's revisions, the newest last, after adopting and releasing.
  Task<Result<std::vector<model::ObjectRef>>> list(model::ObjectRef owner, const model::meta_v1::LabelSelector& selector);

  /// The revision of the owner's present template: the newest; or an older one, which becomes the newest (a roll-back); or one
  /// made now. `revisions` is what list() returned and is brought up to date. `collisions` is status.collisionCount; it grows
  /// when a name is taken by another template.
  Task<Result<model::ObjectRef>> present(model::ObjectRef owner, std::vector<model::ObjectRef>& revisions, int64_t& collisions);

  /// Deletes them. One that is gone already is no failure.
  Task<Result<void>> forget(std::vector<model::ObjectRef> revisions);

 private:
  Task<Result<model::ObjectRef>> make(model::ObjectRef owner, std::string canonical, int64_t number, int64_t& collisions);
  Task<Result<model::ObjectRef>> renumber(model::ObjectRef revision, int64_t number);

  client::Client& client_;
  client::Informer& revisions_;
  const client::Informer::Index index_;
  const std::string_view hash_label_;
};

/// The pod template that a revision remembers.
Result<std::string> template_of_revision(const model::ObjectRef& revision);

}  // namespace estiba::controllers
