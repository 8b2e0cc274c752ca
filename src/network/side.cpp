#include "network/side.h"

#include "base/strings.h"

namespace estiba::network {

Result<std::vector<Side>> sides_of(std::string_view pods, std::string_view cluster, std::string_view services) {
  const auto parts = TRY_AS("--pod-cidr", parse_ranges(pods));
  const auto all = cluster.empty() ? parts : TRY_AS("the cluster's pod CIDR", parse_ranges(cluster));
  const auto virtuals = TRY_AS("--service-cidr", parse_ranges(services));
  std::vector<Side> sides;
  for (const Prefix& part : parts) {
    const bool v6 = part.address.v6;
    const Prefix *whole = range_of_family(all, v6), *served = range_of_family(virtuals, v6);
    Side side{.pods = part, .cluster = whole ? *whole : part, .gateway = TRY_AS("--pod-cidr", part.nth(1))};
    if (served) {
      if (served->overlaps(side.cluster) || served->overlaps(part))
        return fail(Code::invalid, "the pod CIDR " + side.cluster.text() + " and the service CIDR " + served->text() + " overlap");
      side.services = *served;
      side.dns = TRY_AS("--service-cidr", served->nth(10));
    }
    sides.push_back(side);
  }
  if (!range_of_family(parts, virtuals.front().address.v6))
    return fail(Code::invalid, "this node has no " + std::string(family_name(virtuals.front().address.v6)) + " addresses for pods (" +
                                   std::string(pods) + "), but services have (" + std::string(services) + ")");
  return sides;
}

}  // namespace estiba::network
