// Messages of the kubelet's API to DRA drivers, v1 and v1beta1, which are the same but for the service's name
// (k8s.io/kubelet/pkg/apis/dra), and of their health service (dra-health/v1alpha1). The .proto files name the fields' numbers.
#pragma once
#include "base/protobuf_message.h"

namespace estiba::node::dra_api {

using protobuf::field;
using protobuf::table;

struct Claim {
  std::string ns, uid, name;
  static constexpr auto fields() {
    using M = Claim;
    return table(field(1, &M::ns), field(2, &M::uid), field(3, &M::name));
  }
};
/// Of NodePrepareResources and NodeUnprepareResources.
struct ClaimsRequest {
  std::vector<Claim> claims;
  static constexpr auto fields() {
    using M = ClaimsRequest;
    return table(field(1, &M::claims));
  }
};
struct Device {
  std::vector<std::string> request_names;  ///< none: all of the claim's
  std::string pool_name, device_name;
  std::vector<std::string> cdi_device_ids;
  std::string share_id;
  static constexpr auto fields() {
    using M = Device;
    return table(field(1, &M::request_names), field(2, &M::pool_name), field(3, &M::device_name), field(4, &M::cdi_device_ids),
                 field(5, &M::share_id));
  }
};
struct PreparedClaim {
  std::vector<Device> devices;
  std::string error;
  static constexpr auto fields() {
    using M = PreparedClaim;
    return table(field(1, &M::devices), field(2, &M::error));
  }
};
/// An entry of a map by the claims' uids.
struct PreparedEntry {
  std::string uid;
  PreparedClaim claim;
  static constexpr auto fields() {
    using M = PreparedEntry;
    return table(field(1, &M::uid), field(2, &M::claim));
  }
};
struct PrepareResponse {
  std::vector<PreparedEntry> claims;
  static constexpr auto fields() {
    using M = PrepareResponse;
    return table(field(1, &M::claims));
  }
};
struct UnpreparedClaim {
  std::string error;
  static constexpr auto fields() {
    using M = UnpreparedClaim;
    return table(field(1, &M::error));
  }
};
struct UnpreparedEntry {
  std::string uid;
  UnpreparedClaim claim;
  static constexpr auto fields() {
    using M = UnpreparedEntry;
    return table(field(1, &M::uid), field(2, &M::claim));
  }
};
struct UnprepareResponse {
  std::vector<UnpreparedEntry> claims;
  static constexpr auto fields() {
    using M = UnprepareResponse;
    return table(field(1, &M::claims));
  }
};

struct DeviceId {
  std::string pool_name, device_name;
  static constexpr auto fields() {
    using M = DeviceId;
    return table(field(1, &M::pool_name), field(2, &M::device_name));
  }
};
enum class Health : int32_t { unknown = 0, healthy = 1, unhealthy = 2 };
struct DeviceHealth {
  DeviceId device;
  Health health = Health::unknown;
  int64_t last_updated = 0;  ///< seconds since 1970
  int64_t timeout = 0;       ///< seconds
  std::string message;
  static constexpr auto fields() {
    using M = DeviceHealth;
    return table(field(1, &M::device), field(2, &M::health), field(3, &M::last_updated), field(4, &M::timeout), field(5, &M::message));
  }
};
struct WatchResponse {
  std::vector<DeviceHealth> devices;
  static constexpr auto fields() {
    using M = WatchResponse;
    return table(field(1, &M::devices));
  }
};

}  // namespace estiba::node::dra_api
