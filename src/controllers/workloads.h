// The makers of the controllers of workloads that keep their pods, and of what guards them. A header of their own, so that not
// every controller is compiled again with each of them.
#pragma once
#include <memory>

#include "controllers/framework.h"

namespace estiba::controllers {

std::unique_ptr<Controller> make_replication_controller(Context& context);
std::unique_ptr<Controller> make_stateful_set_controller(Context& context);
std::unique_ptr<Controller> make_daemon_set_controller(Context& context);
std::unique_ptr<Controller> make_disruption_controller(Context& context);
std::unique_ptr<Controller> make_cluster_role_aggregation(Context& context);

}  // namespace estiba::controllers
