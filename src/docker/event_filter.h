// Which events a client of GET /events wants.
#pragma once
#include "docker/events.h"
#include "docker/filters.h"

namespace estiba::docker {

/// All the filters that are given hold. Names and ids of containers, volumes and networks may be given by their beginnings, images with or
/// without tag; "health_status", "exec_create" and "exec_start" mean all that begin so.
bool event_matches(const EventMessage& event, const Filters& filters);

}  // namespace estiba::docker
