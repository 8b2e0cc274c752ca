// The generated tables (build/generated/model/schema_tables.cpp). For schema.cpp and the generated source only.
#pragma once
#include "model/schema.h"

namespace estiba::model::schema::tables {

extern const std::span<const Package> packages;
extern const std::span<const Type> types;
extern const std::span<const Group> groups;
extern const std::span<const Resource> resources;

}  // namespace estiba::model::schema::tables
