// What instances and bindings have in common: each is a thing at a broker that is made, changed and removed by requests which may take
// long, fail, or end with this process. What is to be asked for is stored before it is asked for, so that whoever comes after asks for the
// same.
#pragma once
#include <unordered_map>

#include "client/json_writer.h"
#include "controllers/catalog/access.h"
#include "controllers/catalog/edited.h"
#include "controllers/catalog/offers.h"
#include "controllers/catalog/osb.h"

namespace estiba::controllers::catalog {

class OperationController : public Controller {
 protected:
  OperationController(Context& context, std::string name, client::Resource own);

  /// Brings one object a step further. A conflict means that it has changed meanwhile: the step is taken again.
  virtual Task<Result<void>> step(std::string key, Edited* edited) = 0;

  /// Whether a failed attempt is not long enough ago; if so, the key comes again by itself. A changed spec does not wait.
  bool must_wait(const std::string& key, const Edited& edited);
  /// Has the key come again after a pause that grows with each failure.
  void retry_later(const std::string& key, const Edited& edited);
  void forget_failures(const std::string& key) { retries_.erase(key); }
  /// Something that objects may have waited for has come: those that wait try again now.
  void wake();
  /// Has the key come again when the broker wants to be asked how far it is (`retry_after` seconds, or 0: 1 s, 2 s, … a minute).
  void poll_later(const std::string& key, int64_t retry_after);

  /// Whether the operation has taken longer than people wait for (a week), or than `limit`.
  bool out_of_time(const Edited& edited, Duration limit = std::chrono::hours(24 * 7)) const;

  /// Notes that a request is about to be sent: what it is, and since when.
  void begin(Edited* edited, std::string_view operation, std::string_view reason, std::string_view message);
  /// Notes that none is under way.
  static void end(Edited* edited);
  void ready(Edited* edited, std::string_view status, std::string_view reason, std::string_view message) {
    edited->condition("Ready", status, reason, message, wall_now());
  }
  /// Says what stands in the way (before anything was sent), and tries again later.
  Task<Result<void>> hindered(std::string key, Edited* edited, std::string reason, std::string message);
  Task<Result<void>> save(Edited* edited) { return edited->save(client_, own_); }
  Task<Result<void>> let_go(Edited* edited);
  void tell(const Edited& edited, client::EventType type, std::string_view reason, std::string_view message) {
    events_.record(edited.object(), type, reason, message);
  }
  /// The identifier of the cluster, for brokers: the UID of the namespace kube-system.
  std::string cluster_id() const;
  std::string namespace_id(std::string_view ns) const;
  /// The members of `context` that instances and bindings share.
  void write_context(client::JsonWriter& json, const Edited& edited, std::string_view instance) const;
  /// After MaintenanceInfoConflict: has the broker's catalogue listed.
  Task<void> list_again(const Offer* offer);

  client::Informer& own_;
  Offers offers_;
  BrokerAccess access_;

 private:
  Task<Result<void>> reconcile(std::string key) final;
  struct Retry {
    int failures = 0, polls = 0;
    int64_t generation = 0;
    Instant not_before{};
  };
  client::Informer& namespaces_;
  std::unordered_map<std::string, Retry> retries_;
};

}  // namespace estiba::controllers::catalog
