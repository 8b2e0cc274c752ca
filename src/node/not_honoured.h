// Fields of a pod that this node cannot honour. Those that change what a pod may do or where it runs are refused; the others are told of:
// by an event when the pod starts, and by a condition of its status. docs/pods.md lists every field.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/types/core_v1.h"

namespace estiba::node {

/// The condition that names them: True, with the reason FieldsNotHonoured.
inline constexpr const char* not_honoured_condition = "estiba.dev/FieldsNotHonoured";

/// "spec.securityContext.seLinuxOptions: this node does not use SELinux", … of a pod that runs nevertheless, as it would with a kubelet
/// on such a machine.
std::vector<std::string> not_honoured(const model::core_v1::Pod& pod);

/// The first field that demands an AppArmor profile; nothing when none does.
std::optional<std::string> wants_apparmor(const model::core_v1::Pod& pod);

}  // namespace estiba::node
