// PodCertificates: what a pod has in its projected volumes by sources[].podCertificate (KEP 4317; kubelet's pkg/kubelet/podcertificate):
// keys made here, and certificates for them that a signer issues by a PodCertificateRequest. A new key and certificate are asked for when
// the signer has said so (beginRefreshAt); the old ones stay in the volume until then. A request that is denied or has failed is the end of
// it.
//
// Nothing is kept over a restart but the files: what they hold is used while it is valid, and asked for anew.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/task.h"
#include "model/object.h"
#include "model/types/core_v1.h"
#include "node/context.h"

namespace estiba::node {

inline constexpr client::Resource pod_certificate_requests{"certificates.k8s.io", "v1beta1", "podcertificaterequests"};

class PodCertificates {
 public:
  struct Credentials {
    std::string key_pem, chain_pem;  ///< PKCS#8; the leaf first
  };
  using Place = std::pair<std::string, size_t>;  ///< the volume's name, which of its sources

  PodCertificates(const Context& context, std::string uid) : context_(context), uid_(std::move(uid)) {}

  static bool wants(const model::core_v1::Pod& pod);
  /// Asks for what is missing and what is to be renewed, and takes in what was answered. `directory` is where a volume's files are. What
  /// goes wrong is told by `of`, or, while there is still a certificate, in the log.
  Task<void> look(model::ObjectRef pod, std::function<std::string(const std::string& volume)> directory);
  /// What a source has: unavailable while nothing is issued, forbidden when nothing will be.
  Result<Credentials> of(const Place& place) const;
  /// When to look again; the far future when there is nothing to look at.
  Instant next_look() const { return next_look_; }
  void forget();
  /// Kubelet's names for how far each is: not_yet_issued, fresh, overdue_for_refresh, expired, denied, failed; by signer.
  std::vector<std::pair<std::string, std::string>> states() const;

 private:
  struct Source {
    std::string signer;
    Credentials issued;  // empty: none yet
    WallTime refresh_at{}, not_after{};
    std::string request, asked_key;  // what is under way
    std::string end, why;            // "denied" or "failed", and the whole of it
    std::string trouble;             // why nothing is under way
    bool adopted = false, told_overdue = false, told_expired = false;
  };
  using Projection = model::core_v1::PodCertificateProjection;
  Task<Result<void>> look_at(model::ObjectRef pod, Source* source, Projection projection, std::string directory);
  Task<void> adopt(Source* source, Projection projection, std::string directory);
  Task<Result<void>> ask(model::ObjectRef pod, Source* source, Projection projection);
  Task<Result<void>> take_answer(model::ObjectRef pod, Source* source);
  void tell_late(const model::ObjectRef& pod, Source* source);

  const Context& context_;
  const std::string uid_;
  std::map<Place, Source> sources_;
  Instant next_look_ = Instant::max();
};

/// The certificates of a PEM text, and nothing else of it.
std::string only_certificates(std::string_view chain);

}  // namespace estiba::node
