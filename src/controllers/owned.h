// Ownership: finding what an object controls, adopting orphans that its selector matches, releasing what no longer matches.
#pragma once
#include "client/informer.h"
#include "client/json_writer.h"
#include "model/types/meta_v1.h"

namespace estiba::controllers {

/// The index of an informer by the controller's UID; what has no controller is found under orphans_of(namespace).
client::Informer::Index controller_index(client::Informer& informer);
std::string orphans_of(std::string_view ns);

/// Writes `owner` as an element of ownerReferences.
void write_owner(client::JsonWriter& json, const model::Owner& owner);
/// Writes one controller reference to `owner` as an element of ownerReferences.
void write_controller_reference(client::JsonWriter& json, const model::Meta& owner);

/// What `owner` controls after adopting and releasing. Each write's result goes into `informer` at once. An owner that is
/// being deleted neither adopts nor releases. `may_own`, when given, says of an object whether the owner's name and its fit.
Task<Result<std::vector<model::ObjectRef>>> claim(client::Client& client, client::Informer& informer, client::Informer::Index index,
                                                  model::ObjectRef owner, const model::meta_v1::LabelSelector& selector,
                                                  bool (*may_own)(const model::Meta& owner, const model::Meta& object) = nullptr);

}  // namespace estiba::controllers
