// /events: what happened, and what happens.
#include "docker/events.h"
#include "base/strings.h"
#include "base/time.h"
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/event_filter.h"
#include "docker/times.h"
#include "io/loop.h"

namespace estiba::docker {

namespace {

Task<Result<void>> events(Daemon& daemon, ApiRequest& request, io::Response& response) {
  const WallTime now = daemon.loop().wall_now();
  const auto since = CO_TRY(parse_query_time("since", request.query("since"), now));
  const auto until = CO_TRY(parse_query_time("until", request.query("until"), now));
  if (since && until && *until < *since)
    co_return fail(Code::invalid, "`since` time (" + std::string(request.query("since")) + ") cannot be after `until` time (" +
                                      std::string(request.query("until")) + ")");
  const Filters filters =
      CO_TRY(Filters::parse(request.query("filters"), {"config", "container", "daemon", "event", "image", "label", "network", "node",
                                                       "plugin", "scope", "secret", "service", "type", "volume"}));
  // Listening before looking back, so that nothing falls between.
  Events::Subscription subscription(daemon.events());
  std::string first;
  if (since)
    for (const EventRef& event : daemon.events().past(*since, until.value_or(now)))
      if (event_matches(*event, filters)) first.append(event->json).append("\n");
  CO_TRY(co_await response.start(200, {{"Content-Type", "application/json"}}));
  if (!first.empty()) CO_TRY(co_await response.write(std::move(first)));
  const Instant limit = until ? daemon.loop().now() + (*until - now) : Instant::max();
  while (auto event = co_await subscription.next_until(limit))
    if ((!until || event->time <= *until) && event_matches(*event, filters)) CO_TRY(co_await response.write(event->json + "\n"));
  co_return {};
}

}  // namespace

void add_event_routes(Router& router) { router.get("/events", events); }

}  // namespace estiba::docker
