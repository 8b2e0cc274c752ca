// Between the versions of a group. Objects are stored as they were written; who reads them by another version gets them
// converted. Most versions differ in nothing but apiVersion.
#pragma once
#include <string_view>

#include "model/object.h"
#include "model/schema.h"

namespace estiba::apiserver {

/// The same object when it already has the resource's version.
Result<model::ObjectPtr> in_version(const model::ObjectPtr& object, const model::schema::Resource& resource);
/// Changes a document in place.
void convert(json::Document& doc, json::Node& object, const model::schema::Resource& resource);

}  // namespace estiba::apiserver
