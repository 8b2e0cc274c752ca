// A static pod's manifest (kubelet's pkg/kubelet/config/common.go): one Pod in YAML or JSON, which becomes a pod of this node and no other.
#pragma once
#include <string>
#include <string_view>

#include "base/executor.h"
#include "model/object.h"
#include "node/housekeeping.h"

namespace estiba::node {

inline constexpr std::string_view source_annotation = "kubernetes.io/config.source", hash_annotation = "kubernetes.io/config.hash",
                                  seen_annotation = "kubernetes.io/config.seen", mirror_annotation = "kubernetes.io/config.mirror";

/// Whether this node has the pod from a file: its mirror in the API has the annotation too, and another one that says what it is.
bool is_static(const model::Meta& meta);
bool is_mirror(const model::Meta& meta);

struct StaticManifest {
  model::ObjectRef pod;
  std::string content;  ///< a digest of what it says, comments and spaces aside
};

/// The pod of a manifest: NAME-NODE, bound to `node_name`, with a uid of its content, its node and its file (unless it names one), and the
/// annotations of its source. Errors name the field.
Result<StaticManifest> read_manifest(std::string_view text, const std::string& file, const std::string& node_name,
                                     const Housekeeping& rules, WallTime now);

/// The pod as it is shown in the API: what nodes may create there. `node_uid` is the Node's.
std::string mirror_of(const model::ObjectRef& pod, const std::string& node_uid);

}  // namespace estiba::node
