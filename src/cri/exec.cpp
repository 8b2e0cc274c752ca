// Runtime: commands in containers, and connections to sandboxes.
#include "cri/runtime.h"

namespace estiba::cri {

Task<Result<v1::ExecSyncResponse>> Runtime::exec_sync(v1::ExecSyncRequest request) {
  const ContainerRecord container = CO_TRY(known_container(request.container_id));
  if (request.cmd.empty()) co_return fail(Code::invalid, "ExecSync needs a command");
  if (state_of(container) != v1::ContainerState::running) co_return fail(Code::conflict, "container " + container.id + " is not running");
  auto done = co_await parts_.engine.exec_sync(container.id, request.cmd, std::chrono::seconds(std::max<int64_t>(request.timeout, 0)));
  if (!done) {
    if (done.error().code == Code::not_found) done.error().code = Code::internal;  // the command, not the container
    co_return std::unexpected(std::move(done.error()));
  }
  co_return v1::ExecSyncResponse{std::move(done->output), std::move(done->error), done->exit_code};
}

Task<Result<v1::ExecResponse>> Runtime::exec(v1::ExecRequest request) {
  const ContainerRecord container = CO_TRY(known_container(request.container_id));
  if (request.cmd.empty()) co_return fail(Code::invalid, "Exec needs a command");
  if (request.tty && request.stderr) co_return fail(Code::invalid, "Exec: with tty there is no stderr of its own");
  if (!request.stdin && !request.stdout && !request.stderr)
    co_return fail(Code::invalid, "Exec: at least one of stdin, stdout and stderr must be asked for");
  if (state_of(container) != v1::ContainerState::running) co_return fail(Code::conflict, "container " + container.id + " is not running");
  co_return v1::ExecResponse{CO_TRY(streaming_.url(
      {Streaming::Ticket::Kind::exec, container.id, request.cmd, {request.stdin, request.stdout, request.stderr, request.tty}, {}}))};
}

Task<Result<v1::AttachResponse>> Runtime::attach(v1::AttachRequest request) {
  const ContainerRecord container = CO_TRY(known_container(request.container_id));
  if (request.tty && request.stderr) co_return fail(Code::invalid, "Attach: with tty there is no stderr of its own");
  if (!request.stdin && !request.stdout && !request.stderr)
    co_return fail(Code::invalid, "Attach: at least one of stdin, stdout and stderr must be asked for");
  if (state_of(container) != v1::ContainerState::running) co_return fail(Code::conflict, "container " + container.id + " is not running");
  co_return v1::AttachResponse{CO_TRY(streaming_.url(
      {Streaming::Ticket::Kind::attach, container.id, {}, {request.stdin, request.stdout, request.stderr, request.tty}, {}}))};
}

Task<Result<v1::PortForwardResponse>> Runtime::port_forward(v1::PortForwardRequest request) {
  const SandboxRecord sandbox = CO_TRY(known_sandbox(request.pod_sandbox_id));
  if (!ready(sandbox)) co_return fail(Code::conflict, "sandbox " + sandbox.id + " is not running");
  co_return v1::PortForwardResponse{CO_TRY(streaming_.url({Streaming::Ticket::Kind::port_forward, sandbox.id, {}, {}, {}}))};
}

}  // namespace estiba::cri
