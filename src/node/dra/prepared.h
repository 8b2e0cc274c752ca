// Which claims' devices have been made ready on this node, for which pods: as the kubelet's DRA manager keeps it (pkg/kubelet/cm/dra,
// claimInfoCache). Pure bookkeeping; what is kept in a file is kept by whoever owns this.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "node/dra/api.h"

namespace estiba::node {

struct PreparedClaim {
  std::string ns, name, uid;
  std::set<std::string> pods;                                   ///< uids of those that use it
  std::map<std::string, std::vector<dra_api::Device>> drivers;  ///< with what each has answered
  bool prepared = false;                                        ///< all of them have, since the server started

  dra_api::Claim asked() const { return {ns, uid, name}; }
};

class PreparedClaims {
 public:
  /// Null when there is none.
  PreparedClaim* find(const std::string& ns, const std::string& name);
  const PreparedClaim* find(const std::string& ns, const std::string& name) const;
  PreparedClaim& add(PreparedClaim claim);
  void remove(const std::string& ns, const std::string& name);
  /// Those that the pod uses.
  std::vector<PreparedClaim*> of_pod(const std::string& pod_uid);
  bool has(const std::string& pod_uid) const;
  /// All pods that use some.
  std::set<std::string> pods() const;

  /// JSON: {"claims": [{"namespace", "name", "uid", "pods": ["uid"], "drivers": {"name": ["base64 of a Device"]}}]}. Whether they are
  /// prepared is not in it, as with the kubelet: the machine may have been started again.
  std::string save() const;
  /// Code::malformed names the claim that cannot be read.
  Result<void> load(const std::string& text);

 private:
  std::map<std::pair<std::string, std::string>, PreparedClaim> claims_;
};

}  // namespace estiba::node
