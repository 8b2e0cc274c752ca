// metadata: what the server sets, keeps and checks, the same for all kinds.
#pragma once
#include <string>

#include "apiserver/strategy.h"
#include "base/executor.h"

namespace estiba::apiserver {

/// uid, creationTimestamp, generation, namespace; drops what clients may not set.
void fill_new_metadata(Draft& draft, bool generation, WallTime now);
/// Keeps what updates may not change, and counts the generation when the spec did.
void keep_metadata(Draft& draft, bool generation);

/// Names, labels, annotations, owners, finalizers. A name must be a DNS subdomain (a label for Namespaces and Services).
void validate_metadata(Draft& draft);

/// Whether two objects differ in anything but metadata and status.
/// `with_status`: the status counts too (custom kinds without the subresource).
bool spec_changed(const json::Node& before, const json::Node& now, bool with_status = false);

}  // namespace estiba::apiserver
