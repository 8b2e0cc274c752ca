#include "runtime/systemd_bus.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "os/fd.h"
#include "os/file.h"

namespace estiba::runtime {

namespace {

constexpr const char* service = "org.freedesktop.systemd1";
constexpr const char* object = "/org/freedesktop/systemd1";
constexpr const char* manager = "org.freedesktop.systemd1.Manager";
constexpr const char* private_socket = "/run/systemd/private";

std::unexpected<Error> not_running(std::string_view why) {
  return fail(Code::unavailable,
              "systemd is not running (" + std::string(why) +
                  "): leave --systemd-cgroup out (--cgroup-manager cgroupfs), and name the group by a path in cgroupsPath");
}

std::vector<std::string> addresses() {
  const char* given = std::getenv("DBUS_SYSTEM_BUS_ADDRESS");
  std::string_view text = given ? given : "";
  constexpr std::string_view prefix = "unix:path=";
  if (text.starts_with(prefix)) {
    text.remove_prefix(prefix.size());
    return {std::string(text.substr(0, text.find_first_of(",;")))};
  }
  std::vector<std::string> out = {"/run/dbus/system_bus_socket"};
  if (::geteuid() == 0) out.emplace_back(private_socket);
  return out;
}

// What the service says, with a code for those errors that are met here.
std::unexpected<Error> refused(const os::DbusMessage& message) {
  static constexpr std::pair<std::string_view, Code> known[] = {
      {"org.freedesktop.systemd1.NoSuchUnit", Code::not_found},
      {"org.freedesktop.systemd1.UnitExists", Code::already_exists},
      {"org.freedesktop.DBus.Error.PropertyReadOnly", Code::unsupported},  // "or unknown property"
      {"org.freedesktop.DBus.Error.AccessDenied", Code::forbidden},
      {"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", Code::forbidden},
      {"org.freedesktop.DBus.Error.InvalidArgs", Code::invalid},
  };
  std::string text = message.error;
  if (message.signature.starts_with('s')) text += ": " + std::string(message.values().string());
  // A bus without systemd, or one that should start it and cannot.
  for (std::string_view end : {".ServiceUnknown", ".NameHasNoOwner"})
    if (message.error.ends_with(end)) return not_running("the bus says " + text);
  if (message.error.starts_with("org.freedesktop.DBus.Error.Spawn.")) return not_running("the bus says " + text);
  const auto* found = std::ranges::find(known, std::string_view(message.error), [](const auto& row) { return row.first; });
  return fail(found == std::end(known) ? Code::unavailable : found->second, std::move(text));
}

}  // namespace

Result<SystemdBus> SystemdBus::connect(std::chrono::milliseconds limit) {
  std::string why;
  bool there = os::exists("/run/systemd/system");
  for (const std::string& path : addresses()) {
    auto fd = os::connect_unix(path, SOCK_STREAM);
    if (!fd) {
      why += (why.empty() ? "" : "; ") + fd.error().message;
      there = there || fd.error().sys != ENOENT;
      continue;
    }
    SystemdBus bus(std::move(*fd), Clock::now() + limit, path == private_socket);
    TRY_AS("D-Bus at " + path, bus.authenticate());
    if (!bus.direct_) {
      TRY_AS("D-Bus at " + path, bus.ask({.path = "/org/freedesktop/DBus",
                                          .interface = "org.freedesktop.DBus",
                                          .member = "Hello",
                                          .destination = "org.freedesktop.DBus"}));
    }
    return bus;
  }
  if (!there) return not_running(why);
  return fail(Code::unavailable, "systemd cannot be asked for the container's group: " + why);
}

Result<void> SystemdBus::authenticate() {
  std::string uid;
  for (const char digit : std::to_string(::geteuid())) uid += "3" + std::string(1, digit);  // in hexadecimal
  // All of it at once, and no call before it is answered: systemd itself does not look at a call that came with BEGIN until more comes.
  TRY(send(std::string("\0AUTH EXTERNAL ", 15) + uid + "\r\nBEGIN\r\n"));
  size_t end;
  while ((end = in_.find("\r\n")) == std::string::npos) {
    if (in_.size() > 4096) return fail(Code::malformed, "it sends no line");
    TRY(receive());
  }
  const std::string line = in_.substr(0, end);
  in_.erase(0, end + 2);
  if (!line.starts_with("OK ")) return fail(Code::unauthorized, "it refuses: " + line);
  return {};
}

Result<void> SystemdBus::wait(short events) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    pollfd poll_for{fd_.get(), events, 0};
    const int n = ::poll(&poll_for, 1, int(std::clamp<int64_t>(left, 0, 3600'000)));
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return fail_errno("poll");
    if (left <= 0) return fail(Code::timeout, "systemd does not answer in time");
  }
}

Result<void> SystemdBus::send(std::string_view bytes) {
  while (!bytes.empty()) {
    TRY(wait(POLLOUT));
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) bytes.remove_prefix(size_t(sent));
    else if (errno == EPIPE) return fail(Code::unavailable, "the bus has closed the connection");
    else if (errno != EAGAIN && errno != EINTR) return fail_errno("send");
  }
  return {};
}

Result<void> SystemdBus::receive() {
  char buffer[4096];
  for (;;) {
    TRY(wait(POLLIN));
    const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return fail(Code::unavailable, "the bus has closed the connection");
    if (got > 0) {
      in_.append(buffer, size_t(got));
      return {};
    }
    if (errno != EAGAIN && errno != EINTR) return fail_errno("recv");
  }
}

Result<os::DbusMessage> SystemdBus::next() {
  for (;;) {
    const auto size = TRY(os::dbus_message_size(in_));
    if (size && in_.size() >= *size) {
      auto message = os::parse_dbus_message(std::string_view(in_).substr(0, *size));
      in_.erase(0, *size);
      return message;
    }
    TRY(receive());
  }
}

Result<os::DbusMessage> SystemdBus::ask(os::DbusMessage message) {
  const uint32_t serial = message.serial = ++last_serial_;
  TRY_AS(message.member, send(os::print(message)));
  for (;;) {
    os::DbusMessage came = TRY_AS(message.member, next());
    if (came.type == os::DbusMessage::Type::signal) signals_.push_back(std::move(came));
    else if (came.reply_to != serial) continue;
    else if (came.type == os::DbusMessage::Type::error) return refused(came);
    else return came;
  }
}

Result<os::DbusMessage> SystemdBus::call(std::string member, std::string signature, std::string body) {
  return ask({.path = object,
              .interface = manager,
              .member = std::move(member),
              .destination = service,
              .signature = std::move(signature),
              .body = std::move(body)});
}

Result<void> SystemdBus::subscribe(const std::string& member) {
  if (!direct_) {
    const std::string rule =
        "type='signal',sender='" + std::string(service) + "',path='" + object + "',interface='" + manager + "',member='" + member + "'";
    TRY(ask({.path = "/org/freedesktop/DBus",
             .interface = "org.freedesktop.DBus",
             .member = "AddMatch",
             .destination = "org.freedesktop.DBus",
             .signature = "s",
             .body = os::DbusWriter().string(rule).take()}));
  }
  TRY(call("Subscribe", "", ""));
  return {};
}

Result<os::DbusMessage> SystemdBus::next_signal() {
  while (signals_.empty()) {
    os::DbusMessage came = TRY(next());
    if (came.type == os::DbusMessage::Type::signal) return came;
  }
  os::DbusMessage first = std::move(signals_.front());
  signals_.pop_front();
  return first;
}

}  // namespace estiba::runtime
