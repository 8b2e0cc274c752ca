// A connection to D-Bus for a short conversation with systemd: one call after the other, each waited for. The loop's client is no part of
// estiba-oci. https://dbus.freedesktop.org/doc/dbus-specification.html
#pragma once
#include <chrono>
#include <deque>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "os/dbus_message.h"

namespace estiba::runtime {

/// Everything on it takes `limit` together, Code::timeout then.
class SystemdBus {
 public:
  /// To $DBUS_SYSTEM_BUS_ADDRESS if that is set ("unix:path=…"), else to /run/dbus/system_bus_socket, else, as root, to
  /// /run/systemd/private, which is systemd itself. Code::unavailable, with the way out, where systemd does not run.
  static Result<SystemdBus> connect(std::chrono::milliseconds limit);

  /// Calls a method of systemd's manager. An error of the service has its name in the message; Code::not_found for a unit that is not
  /// loaded, already_exists for one that is, unsupported for a property that this systemd does not know.
  Result<os::DbusMessage> call(std::string member, std::string signature, std::string body);
  /// Has the manager's signal sent to us.
  Result<void> subscribe(const std::string& member);
  /// The next signal, those first that came while an answer was waited for.
  Result<os::DbusMessage> next_signal();

 private:
  using Clock = std::chrono::steady_clock;
  SystemdBus(Fd fd, Clock::time_point end, bool direct) : fd_(std::move(fd)), end_(end), direct_(direct) {}
  Result<void> authenticate();
  Result<os::DbusMessage> ask(os::DbusMessage message);
  Result<void> send(std::string_view bytes);
  Result<void> receive();
  Result<void> wait(short events);
  Result<os::DbusMessage> next();

  Fd fd_;
  Clock::time_point end_;
  bool direct_;  // to systemd itself: nobody gives names or passes signals on
  std::string in_;
  std::deque<os::DbusMessage> signals_;
  uint32_t last_serial_ = 0;
};

}  // namespace estiba::runtime
