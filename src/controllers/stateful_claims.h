// The PersistentVolumeClaims of a StatefulSet's pods: made before the pod, owned by whom the retention policy says.
#pragma once
#include <string>

#include "base/task.h"
#include "client/events.h"
#include "client/informer.h"

namespace estiba::controllers {

inline constexpr client::Resource persistent_volume_claims{"", "v1", "persistentvolumeclaims"};

class StatefulClaims {
 public:
  /// All must outlive this.
  StatefulClaims(client::Client& client, client::Informer& claims, client::EventRecorder& events)
      : client_(client), claims_(claims), events_(events) {}

  /// A claim of this ordinal is about to go with an earlier pod.
  bool stale(const model::ObjectRef& set, int64_t ordinal) const;
  /// Fails when one of them is being deleted: the pod would lose it.
  Task<Result<void>> make_missing(model::ObjectRef set, std::string pod, int64_t ordinal);
  /// A claim that is not there is passed over.
  Task<Result<void>> put_owners_right(model::ObjectRef set, model::ObjectRef pod, int64_t ordinal, bool scaled_down);

 private:
  client::Client& client_;
  client::Informer& claims_;
  client::EventRecorder& events_;
};

}  // namespace estiba::controllers
