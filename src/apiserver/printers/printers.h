// The printers of all kinds, by family; printers/table.cpp gathers them.
#pragma once
#include <span>
#include <string>

#include "apiserver/table.h"

namespace estiba::apiserver::printers {

std::span<const Printer> pods();
std::span<const Printer> workloads();
std::span<const Printer> network();
std::span<const Printer> cluster();
std::span<const Printer> storage();
std::span<const Printer> access();

/// The printer of the columns that the schema declares, or null when it declares none.
const Printer* declared(const Resource& resource);
void declared_row(const Resource& resource, const json::Node& object, Cells& cells);

// What several printers say.

/// "a=b,c in (d,e)" of a LabelSelector, "<none>" for an empty one.
std::string selector_text(const json::Node* selector);
/// "a=b,c=d" of a map, "<none>" for an empty one.
std::string map_text(const json::Node* map);
/// The containers' names, or images, of a pod template's spec, joined by commas.
std::string containers_text(const json::Node* pod_spec, std::string_view field);
/// "a + 2 more..." as Kubernetes cuts lists: the first `limit` items and how many are left.
std::string cut_list(const std::vector<std::string>& items, size_t limit);
int64_t count_of(const json::Node& object, std::string_view path);

}  // namespace estiba::apiserver::printers
