// Label selectors as objects carry them, matched against an object's labels.
#pragma once
#include <map>
#include <string>

#include "model/object.h"
#include "model/types/meta_v1.h"

namespace estiba::client {

/// One requirement; an unknown operator matches nothing.
bool matches(const model::meta_v1::LabelSelectorRequirement& requirement, const model::Labels& labels);
/// An empty selector matches everything.
bool matches(const model::meta_v1::LabelSelector& selector, const model::Labels& labels);
/// Equality of every pair; an empty map matches everything (a Service without a selector must be handled before).
bool matches(const std::map<std::string, std::string>& selector, const model::Labels& labels);

/// The value of a label, or null when it is absent.
const std::string* find_label(const model::Labels& labels, std::string_view key);

}  // namespace estiba::client
