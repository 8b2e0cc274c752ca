// The shim's side of the protocol: connections, requests, events; and the pod with its containers and exec sessions.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <string>

#include "model/json.h"
#include "os/cgroup.h"
#include "runtime/shim_container.h"
#include "runtime/shim_loop.h"
#include "runtime/shim_wire.h"

namespace estiba::runtime {

class ShimServer {
 public:
  explicit ShimServer(PodOptions options);

  /// Makes directory, namespaces, cgroup and socket. `first` is the connection that the launching server holds already.
  Result<void> open(os::Fd first, wire::Reader reader = {});
  /// Until shut down.
  void run() { loop_.run(); }

 private:
  struct Connection {
    os::Fd socket;
    wire::Reader reader;
    wire::Writer writer;
    bool closing = false;
  };
  using ConnectionRef = std::shared_ptr<Connection>;
  struct ExecState {
    std::string container;
    os::Fd terminal;
    bool ended = false;
    int exit_code = 0;
    std::vector<std::pair<std::weak_ptr<Connection>, int64_t>> waiting;  // requests to be answered at its end
  };
  // What a handler has for the answer. `deferred` leaves the answering to somebody later.
  struct Reply {
    json::Document document;
    json::Node* result = nullptr;
    std::vector<os::Fd> fds;
    bool deferred = false;
  };
  struct Request {
    const ConnectionRef& connection;
    int64_t id;
    const json::Node& arguments;
    std::vector<os::Fd>& fds;
  };
  using Handler = Result<void> (ShimServer::*)(const Request&, Reply&);
  struct Operation {
    std::string_view name;
    Handler handler;
  };
  static const Operation operations[];

  Result<void> make_namespaces();
  Result<void> enter_new(int kinds);
  Result<void> write_sysctls();
  Result<void> start_pid_namespace();
  Result<void> start_pid_namespace_inside();
  Result<void> make_cgroup();
  Result<void> watch_children();

  void add_connection(os::Fd socket, wire::Reader reader = {});
  void serve_frames(const ConnectionRef& connection);
  void serve(const ConnectionRef& connection, uint32_t events);
  void drop(const ConnectionRef& connection);
  void handle(const ConnectionRef& connection, wire::Frame& frame);
  void send(const ConnectionRef& connection, std::string text, std::vector<os::Fd> fds = {});
  void answer(const ConnectionRef& connection, int64_t id, Reply& reply, const Result<void>& result);
  void emit(const ShimEvent& event);
  void reap();
  void ended(pid_t pid, const os::ExitStatus& status);
  void await_end(pid_t pid);
  void end_exec(uint64_t session, const os::ExitStatus& status);
  Result<ShimContainer*> find(const Request& request);
  Result<ShimContainer*> create(const Request& request);
  json::Node& describe(json::Document& document) const;
  static json::Node& put_session(Reply& reply, Session& session);

  Result<void> op_state(const Request&, Reply&);
  Result<void> op_create(const Request&, Reply&);
  Result<void> op_start(const Request&, Reply&);
  Result<void> op_run(const Request&, Reply&);
  Result<void> op_kill(const Request&, Reply&);
  Result<void> op_stop(const Request&, Reply&);
  Result<void> op_remove(const Request&, Reply&);
  Result<void> op_pause(const Request&, Reply&);
  Result<void> op_resume(const Request&, Reply&);
  Result<void> op_update(const Request&, Reply&);
  Result<void> op_stats(const Request&, Reply&);
  Result<void> op_pids(const Request&, Reply&);
  Result<void> op_exec(const Request&, Reply&);
  Result<void> op_wait_exec(const Request&, Reply&);
  Result<void> op_kill_exec(const Request&, Reply&);
  Result<void> op_attach(const Request&, Reply&);
  Result<void> op_resize(const Request&, Reply&);
  Result<void> op_close_stdin(const Request&, Reply&);
  Result<void> op_reopen_log(const Request&, Reply&);
  Result<void> op_shutdown(const Request&, Reply&);

  PodOptions options_;
  ShimLoop loop_;
  ShimContext context_;
  os::Fd listener_, signals_, user_namespace_;
  std::optional<os::Cgroup> cgroup_;
  pid_t init_ = 0;  // of the shared pid namespace
  std::list<ConnectionRef> connections_;
  std::map<std::string, std::unique_ptr<ShimContainer>> containers_;
  std::map<uint64_t, ExecState> execs_;
  std::map<pid_t, uint64_t> exec_pids_;
  bool ending_ = false;
};

/// The options as the init request carries them.
Result<PodOptions> parse_pod_options(const json::Node& node);

}  // namespace estiba::runtime
