#include "apiserver/signers.h"

#include <string>

#include "apiserver/admission/extensions.h"
#include "apiserver/authz.h"

namespace estiba::apiserver {

bool may_act_for_signer(const Cluster& cluster, const User& user, std::string_view verb, std::string_view signer) {
  const Authorizer* authorizer = cluster.extensions().authorizer();
  if (!authorizer) return false;
  Attributes asked{.verb = std::string(verb), .group = "certificates.k8s.io", .version = "*", .resource = "signers"};
  for (const std::string& name : {std::string(signer), std::string(signer.substr(0, signer.find('/'))) + "/*"}) {
    asked.name = name;
    if (authorizer->authorize(user, asked).allowed) return true;
  }
  return false;
}

}  // namespace estiba::apiserver
