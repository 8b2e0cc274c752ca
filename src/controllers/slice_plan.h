// How a Service's endpoints are spread over EndpointSlices with as few writes as possible. Pure functions.
#pragma once
#include <string>
#include <vector>

#include "controllers/service_endpoints.h"

namespace estiba::controllers {

inline constexpr size_t slice_capacity = 100;

/// One slice as it is or as it should be.
struct SliceState {
  std::string name;  ///< empty: to be created
  std::string family;
  std::vector<ServicePortTarget> ports;
  std::vector<EndpointFacts> endpoints;
  static SliceState of(const model::ObjectRef& slice);
  bool operator==(const SliceState&) const = default;
};

/// All slices that should be. Endpoints stay in the slice where they are, new ones fill free places, a slice left empty goes
/// (the one that is left for a family without endpoints stays, empty). A slice that is in `present` and not in the result
/// is to be deleted.
std::vector<SliceState> plan_slices(const std::vector<SliceState>& present, std::vector<EndpointGroup> groups, const std::vector<std::string>& families);

}  // namespace estiba::controllers
