// Schedules of CronJobs: five fields (minute, hour, day of month, month, day of week), @daily and its kin, "@every 1h30m".
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/time_zone.h"

namespace estiba::model {

class CronSchedule {
 public:
  /// Code::invalid; messages are those of github.com/robfig/cron/v3, which users of Kubernetes know.
  static Result<CronSchedule> parse(std::string_view text);

  /// The first time after `time`; nullopt when there is none within five years (February 30).
  std::optional<WallTime> next(WallTime time, const TimeZone& zone) const;

 private:
  bool day_matches(const ClockTime& clock) const;

  // A bit a value; any_day says that the field was * or ?.
  uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;
  bool any_day_ = false, any_weekday_ = false;
  Duration every_{};
};

}  // namespace estiba::model
