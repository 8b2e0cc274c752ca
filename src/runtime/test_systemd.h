// For tests: stands in for systemd, or for a bus without one, on a unix socket. It answers in the protocol what systemd's manager would.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "os/dbus_message.h"
#include "os/fd.h"

namespace estiba::runtime {

struct FakeSystemd {
  std::string result = "done";  ///< of every job
  /// By method: names of errors, one an answer; when there is none left it does what it should.
  std::map<std::string, std::vector<std::string>> errors;
  std::string silent_at, hangs_up_at;  ///< methods
  bool signal_first = false;           ///< the job ends before its call is answered
  std::function<void(const os::DbusMessage&)> on_call;
  std::vector<os::DbusMessage> calls;  ///< of the manager; to be read after the end of serve()

  explicit FakeSystemd(const std::string& path) : listener(*os::listen_unix(path, SOCK_STREAM)) {
    setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + path).c_str(), 1);
  }
  ~FakeSystemd() {
    end();
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
  }

  void start() {
    thread = std::thread([this] { serve(); });
  }
  void end() {
    shutdown(listener.get(), SHUT_RDWR);
    if (thread.joinable()) thread.join();
  }

  /// One connection after the other, until end().
  void serve() {
    for (;;) {
      auto fd = os::accept_unix(listener.get());
      if (!fd) return;
      if (begin(fd->get())) converse(fd->get());
    }
  }

  /// Each property with its value as text.
  static std::map<std::string, std::string> properties(os::DbusReader& reader) {
    std::map<std::string, std::string> out;
    const uint32_t size = reader.u32();
    reader.align(8);
    const size_t end = reader.at() + size;
    while (reader.at() < end && !reader.failed()) {
      reader.align(8);
      const std::string name(reader.string());
      const std::string_view type = reader.signature();
      std::string& value = out[name];
      if (type == "s") value = reader.string();
      else if (type == "b") value = reader.boolean() ? "true" : "false";
      else if (type == "t") value = std::to_string(reader.u64());
      else if (type == "au" || type == "ay")
        for (const size_t list_end = reader.u32() + reader.at(); reader.at() < list_end && !reader.failed();)
          value += (value.empty() ? "" : " ") + std::to_string(type == "au" ? reader.u32() : reader.u8());
      else if (type == "a(ss)") value = pairs(reader);
      else ADD_FAILURE() << name << " of type " << type;
    }
    EXPECT_EQ(reader.at(), end);
    EXPECT_FALSE(reader.failed());
    return out;
  }

 private:
  static std::string pairs(os::DbusReader& reader) {
    std::string out;
    const uint32_t size = reader.u32();
    reader.align(8);
    for (const size_t end = reader.at() + size; reader.at() < end && !reader.failed();) {
      reader.align(8);
      out += (out.empty() ? "" : ", ") + std::string(reader.string());
      out += " " + std::string(reader.string());
    }
    return out;
  }

  bool begin(int fd) {
    const std::string wanted("\0AUTH EXTERNAL 30\r\nBEGIN\r\n", 26);
    std::string text;
    while (text.size() < wanted.size())
      if (!more(fd, text)) return false;
    EXPECT_EQ(text, wanted) << "a call with it would not be seen by systemd";
    (void)os::write_all(fd, "OK 1234\r\n");
    return true;
  }

  void converse(int fd) {
    std::string in;
    for (;;) {
      const auto size = os::dbus_message_size(in);
      if (!size) return;
      if (!*size || in.size() < **size) {
        if (!more(fd, in)) return;
        continue;
      }
      auto call = os::parse_dbus_message(std::string_view(in).substr(0, **size));
      in.erase(0, **size);
      if (!call || call->member == hangs_up_at) return;
      if (call->member == silent_at) continue;
      answer(fd, *call);
    }
  }

  void answer(int fd, const os::DbusMessage& call) {
    os::DbusMessage reply{.type = os::DbusMessage::Type::reply, .serial = ++serial, .reply_to = call.serial};
    if (call.destination != "org.freedesktop.DBus") {
      EXPECT_EQ(call.interface, "org.freedesktop.systemd1.Manager");
      EXPECT_EQ(call.path, "/org/freedesktop/systemd1");
      calls.push_back(call);
    }
    if (auto& left = errors[call.member]; !left.empty()) {
      reply.type = os::DbusMessage::Type::error;
      reply.error = left.front();
      left.erase(left.begin());
      reply.signature = "s";
      reply.body = os::DbusWriter().string("it says so").take();
      (void)os::write_all(fd, os::print(reply));
      return;
    }
    if (on_call) on_call(call);
    const bool job = call.member == "StartTransientUnit" || call.member == "StopUnit";
    const std::string name = "/org/freedesktop/systemd1/job/" + std::to_string(++jobs);
    if (job) {
      reply.signature = "o";
      reply.body = os::DbusWriter().string(name).take();
    }
    const std::string unit = job ? std::string(call.values().string()) : "";
    if (job) tell_end(fd, "/org/freedesktop/systemd1/job/other", "other.service", "failed");
    if (job && signal_first) tell_end(fd, name, unit, result);
    (void)os::write_all(fd, os::print(reply));
    if (job && !signal_first) tell_end(fd, name, unit, result);
  }

  void tell_end(int fd, const std::string& job, const std::string& unit, const std::string& how) {
    os::DbusMessage signal{.type = os::DbusMessage::Type::signal,
                           .serial = ++serial,
                           .path = "/org/freedesktop/systemd1",
                           .interface = "org.freedesktop.systemd1.Manager",
                           .member = "JobRemoved",
                           .signature = "uoss"};
    signal.body = os::DbusWriter().u32(1).string(job).string(unit).string(how).take();
    (void)os::write_all(fd, os::print(signal));
  }

  static bool more(int fd, std::string& text) {
    char buffer[4096];
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got > 0) text.append(buffer, size_t(got));
    return got > 0;
  }

  os::Fd listener;
  std::thread thread;
  uint32_t serial = 0, jobs = 0;
};

}  // namespace estiba::runtime
