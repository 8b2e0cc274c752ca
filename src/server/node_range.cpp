#include "server/node_range.h"

#include "base/log.h"
#include "base/strings.h"
#include "model/types/core_v1.h"
#include "node/registration.h"

namespace estiba::server {

Task<Result<std::string>> node_range(client::Client& client, node::Options options) {
  using namespace std::chrono_literals;
  constexpr Duration tell_after = 5s;
  Executor& executor = *Executor::current();
  const Instant begin = executor.now();
  bool told = false;
  for (Duration pause = 5ms;; pause = std::min<Duration>(pause * 2, 1s)) {
    const model::ObjectRef node = CO_TRY(co_await node::register_node(client, options));
    const auto& spec = node.as<model::core_v1::Node>().spec;
    if (!spec.podCIDRs.empty()) co_return join(spec.podCIDRs, ",");
    if (!spec.podCIDR.empty()) co_return spec.podCIDR;
    if (!told && executor.now() - begin > tell_after) {
      log::warn("node", "waiting for addresses for the pods of this node (spec.podCIDR); is the range of --pod-cidr used up?",
                {{"node", options.node_name}});
      told = true;
    }
    co_await sleep_for(pause);
  }
}

}  // namespace estiba::server
