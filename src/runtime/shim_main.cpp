#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "model/json.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "os/process.h"
#include "runtime/shim.h"
#include "runtime/shim_server.h"
#include "runtime/shim_wire.h"

namespace estiba::runtime {

namespace {

constexpr int init_fd = 3;  // the socket that the server passes

// Makes another waiting shim, which serves `its` socket: there this returns true. It is much quicker than a program's start, and has from
// the beginning what every shim reads about the machine.
Result<bool> fork_shim(const os::Fd& its) {
  // Its children are reaped by nobody; a shim's own must be.
  signal(SIGCHLD, SIG_IGN);
  (void)os::cgroup_host();
  tzset();
  if (!its) return fail(Code::malformed, "shim: a fork request needs a socket");
  if (TRY(os::clone_process({})) > 0) return false;
  signal(SIGCHLD, SIG_DFL);
  setsid();
  return true;
}

Result<PodOptions> receive_options(os::Fd& socket, wire::Reader& reader) {
  while (true) {
    if (auto frame = reader.next()) {
      json::Document document = TRY(json::Document::parse(frame->text, {.max_depth = 64}));
      const std::string_view op = document.root().string_at("op");
      if (op == "fork") {
        os::Fd its = frame->fds.empty() ? os::Fd() : std::move(frame->fds[0]);
        if (TRY(fork_shim(its))) {
          socket = std::move(its);
          reader = {};
        }
        continue;
      }
      const json::Node* arguments = document.root().find("args");
      if (op != "init" || !arguments) return fail(Code::malformed, "shim: an init request is wanted first");
      return parse_pod_options(*arguments);
    }
    pollfd poll_for{socket.get(), POLLIN, 0};
    poll(&poll_for, 1, -1);
    if (!TRY(reader.fill(socket.get())) && reader.empty()) return fail(Code::cancelled, "the server has gone away");
  }
}

// A shim that was started ahead of need has a place for the id among its arguments, where ps shows it.
void show_id(const std::string& id, char* place) {
  if (!place || *place != '-') return;
  size_t room = strlen(place);
  memset(place, 0, room);
  memcpy(place, id.data(), std::min(room, id.size()));
}

Result<void> serve(os::Fd& socket, char* shown_id, std::unique_ptr<ShimServer>& server) {
  wire::Reader reader;
  PodOptions options = TRY(receive_options(socket, reader));
  show_id(options.id, shown_id);
  server = std::make_unique<ShimServer>(std::move(options));
  os::Fd first = TRY(os::duplicate(socket.get()));
  return server->open(std::move(first), std::move(reader));
}

void tell_failure(int socket, const Error& error) {
  json::Document document;
  json::Node& node = document.make_object();
  document.set(node, "event", std::string_view("failed"));
  wire::put_error(document, node, error);
  wire::Writer writer;
  writer.add(json::print(node));
  (void)writer.flush(socket);
}

}  // namespace

int shim_main(int argc, char** argv) {
  // The server waits for this first process; the second one belongs to nobody and so is nobody's zombie.
  auto pid = os::clone_process({});
  if (!pid) return 1;
  if (*pid > 0) return 0;
  setsid();
  if (chdir("/") < 0) return 1;
  os::block_signals();
  os::set_process_name("estiba-shim");
  os::Fd socket(init_fd);
  (void)os::set_cloexec(init_fd, true);
  std::unique_ptr<ShimServer> server;
  if (auto done = serve(socket, argc > 0 ? argv[0] : nullptr, server); !done) {
    tell_failure(socket.get(), done.error());
    return 1;
  }
  socket.reset();
  server->run();
  return 0;
}

}  // namespace estiba::runtime
