// The syntax of single values that several kinds have: addresses, networks, schedules, lists of indexes. Each check returns what is wrong
// in Kubernetes' words; empty means valid. (Names and labels: model/names.h.)
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/names.h"

namespace estiba::apiserver {

/// An IPv4 or IPv6 address without leading zeros, and not IPv4 in IPv6 (apimachinery/pkg/util/validation/ip.go, strict).
model::Problems check_ip(std::string_view text);
/// … and written as RFC 5952 does.
model::Problems check_canonical_ip(std::string_view text);
/// An address and the length of its prefix, with no bit set beyond it.
model::Problems check_cidr(std::string_view text);
model::Problems check_canonical_cidr(std::string_view text);
/// 4, 6, or 0 when `text` is no address.
int ip_family(std::string_view text);
/// The same of a network.
int cidr_family(std::string_view text);
/// Whether the network `inner` lies in `outer`; both must be valid.
bool cidr_contains(std::string_view outer, std::string_view inner);
/// Whether an address of an endpoint is usable: not unspecified, loopback or link-local.
model::Problems check_endpoint_ip(std::string_view text);

model::Problems check_http_header_name(std::string_view text);
/// "*.example.com"
model::Problems check_wildcard_subdomain(std::string_view text);
/// An RFC 1123 subdomain that may have '_' (the search list of a resolver).
model::Problems check_subdomain_with_underscore(std::string_view text);
/// "kernel.shm_rmid_forced", "net/ipv4/ip_local_port_range"
bool is_sysctl_name(std::string_view text);
/// "example.com/path": the values of managedBy and the like.
model::Problems check_domain_prefixed_path(std::string_view text);
/// A name with at least two labels, "example.com".
model::Problems check_fully_qualified_name(std::string_view text);
/// "example.com/signer"
model::Problems check_signer_name(std::string_view text);

/// Five fields of a schedule, or @daily and its kin, or "@every 1h".
model::Problems check_schedule(std::string_view text);
/// A zone that this machine's zone files know, or any well-formed one where there are no zone files.
model::Problems check_time_zone(std::string_view text);

/// "1,3-5,7" with every index below `limit`, rising: how many indexes it names.
Result<int64_t> count_indexes(std::string_view text, int64_t limit);

}  // namespace estiba::apiserver
