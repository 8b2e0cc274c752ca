// Priority and fairness (k8s.io/apiserver, pkg/util/flowcontrol): every request belongs to a FlowSchema, which names a priority level,
// which has seats. run() keeps what requests see in step with the objects, and the objects that every cluster has in place.
//
// Here a read answers within one turn of its loop and holds its seat for that turn alone; what can fill a level are requests that wait: for
// the disk, for a webhook, for the rest of their body.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apiserver/authz.h"
#include "apiserver/fairness/level.h"
#include "apiserver/fairness/schema.h"
#include "apiserver/registry.h"
#include "io/http_server.h"

namespace estiba::apiserver {

class Fairness {
 public:
  struct Class {  ///< a FlowSchema with its level
    FlowSchema schema;
    std::shared_ptr<Level> level;
    std::string level_uid;
  };
  struct Rules {
    std::vector<Class> classes;  ///< by precedence
    const Class* find(const User& user, const Attributes& asked) const;
    const Class* catch_all() const;
  };
  using RulesPtr = std::shared_ptr<const Rules>;

  /// `seats`: how many requests run at once, over all levels (kube-apiserver's --max-requests-inflight and
  /// --max-mutating-requests-inflight together).
  explicit Fairness(Registry& registry, int seats = 600);

  /// A request's way in. `seat` is empty where it is not let in: 429. The response says which schema and level it was.
  struct Pass {
    RulesPtr rules;
    const Class* found = nullptr;
  };
  Pass classify(const User& user, const Attributes& asked, io::Response& response) const;
  /// At once, when no waiting is needed: nearly always. Of an exempt level: a seat that counts nothing, `let_in` true.
  static bool try_enter(const Pass& pass, Seat& seat);
  static Task<bool> enter(Pass pass, uint64_t flow, Seat* seat);

  /// Works until it is dropped. The Fairness outlives it.
  Task<void> run();
  /// Reads the objects now; for tests and for run().
  void reload();

 private:
  RulesPtr rules() const;
  Task<Result<void>> restore();
  Task<void> tell_dangling();

  Registry& registry_;
  const int seats_;
  std::shared_ptr<Lending> lending_ = std::make_shared<Lending>();
  std::map<std::string, std::shared_ptr<Level>, std::less<>> levels_;  // guarded by reload_mutex_
  std::mutex reload_mutex_;
  mutable std::mutex mutex_;
  RulesPtr rules_;  // guarded by mutex_
};

/// 429 with Retry-After, in the words of Kubernetes.
void refuse_for_now(io::Response& response);

}  // namespace estiba::apiserver
