// Acting as somebody else (Impersonate-User, -Group, -Uid and -Extra-*), as `kubectl --as` asks for it: each name needs the
// caller's permission to "impersonate" it. https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
#pragma once
#include "apiserver/authz.h"
#include "io/http.h"

namespace estiba::apiserver {

/// Who the request acts as; `caller` himself when no header asks for more. Errors: 403 naming what the caller lacks, 400 for
/// groups, a uid or extras without a user.
Result<User> impersonate(const Authorizer& authorizer, const io::Headers& headers, User caller);

}  // namespace estiba::apiserver
