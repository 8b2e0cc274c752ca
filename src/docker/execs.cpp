#include "docker/execs.h"

#include "base/strings.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/json_writer.h"
#include "docker/lives.h"
#include "docker/streams/detach_keys.h"
#include "engine/engine.h"

namespace estiba::docker {

namespace {

constexpr size_t most_ended = 32;  // of one container

/// For detached ones: takes everything.
class Nobody final : public Client {
 public:
  Task<Result<std::string>> read() override { co_return std::string(); }
  Task<Result<void>> write(Channel, std::string_view) override { co_return {}; }
  bool framed() const override { return false; }
  Task<Result<void>> write_ready(std::string) override { co_return {}; }
  void close() override {}
};

Result<void> must_run(const Container& container) {
  if (!container.running()) return not_running(container.id);
  if (container.status == Status::paused)
    return fail(Code::conflict, "container " + container.id + " is paused, unpause the container before exec");
  return {};
}

/// "CMD=…" shown by events, as dockerd joins it.
std::string command_line(const ExecConfig& config) { return join(config.command, " "); }

/// The sentence that `docker exec` shows; runc's words, which scripts look for.
std::string start_failure(const Exec& exec, const Error& error) {
  const std::string head = "OCI runtime exec failed: exec failed: unable to start container process: ";
  if (error.code == Code::not_found || error.code == Code::forbidden) {
    const std::string& program = exec.config.command.front();
    const bool missing = error.code == Code::not_found;
    if (error.message.find(program) != std::string::npos) {
      const bool by_path = program.find('/') != std::string::npos;
      return head + "exec: " + quoted(program) + ": " + (by_path ? "stat " + program + ": " : "") +
             (!missing  ? "permission denied"
              : by_path ? "no such file or directory"
                        : "executable file not found in $PATH") +
             ": unknown";
    }
  }
  return head + error.message + ": unknown";
}

}  // namespace

Result<ExecConfig> parse_exec_config(const json::Node& body) {
  ExecConfig out;
  if (!body.is_object()) return fail(Code::invalid, "the exec configuration must be a JSON object");
  auto truth = [&](std::string_view key) { return body.find(key) && body.find(key)->as_bool(); };
  auto strings = [&](std::string_view key, std::vector<std::string>& to) -> Result<void> {
    const json::Node* list = body.find(key);
    if (!list || list->is_null()) return {};
    if (list->is_string()) {
      to.emplace_back(list->as_string());
      return {};
    }
    if (!list->is_array()) return fail(Code::invalid, std::string(key) + " must be a list of strings");
    for (const json::Node& item : *list) {
      if (!item.is_string()) return fail(Code::invalid, std::string(key) + " must be a list of strings");
      to.emplace_back(item.as_string());
    }
    return {};
  };
  TRY(strings("Cmd", out.command));
  TRY(strings("Env", out.env));
  if (out.command.empty() || out.command.front().empty()) return fail(Code::invalid, "No exec command specified");
  for (const std::string& text : out.command)
    if (text.find('\0') != std::string::npos) return fail(Code::invalid, "Cmd must not contain NUL bytes");
  out.user = body.string_at("User");
  out.working_dir = body.string_at("WorkingDir");
  if (!out.working_dir.empty() && !out.working_dir.starts_with('/'))
    return fail(Code::invalid,
                "OCI runtime exec failed: exec failed: unable to start container process: Cwd must be an absolute path: unknown");
  out.detach_keys = body.string_at("DetachKeys");
  TRY(parse_detach_keys(out.detach_keys));
  out.attach_in = truth("AttachStdin");
  out.attach_out = truth("AttachStdout");
  out.attach_err = truth("AttachStderr");
  out.tty = truth("Tty");
  out.privileged = truth("Privileged");
  if (const json::Node* size = body.find("ConsoleSize"); size && size->is_array() && size->size() == 2) {
    out.rows = uint16_t((*size)[0].as_int().value_or(0));
    out.columns = uint16_t((*size)[1].as_int().value_or(0));
  }
  return out;
}

std::string print_exec(const Exec& exec) {
  const auto code = exec.code();
  JsonWriter json;
  json.object().put("ID", exec.id).put("Running", exec.running());
  if (code) json.put("ExitCode", *code);
  else json.put_null("ExitCode");
  json.object("ProcessConfig").put("tty", exec.config.tty).put("entrypoint", exec.config.command.front());
  json.put_list("arguments", std::span(exec.config.command).subspan(1));
  json.put("privileged", exec.config.privileged);
  if (!exec.config.user.empty()) json.put("user", exec.config.user);
  json.end();
  json.put("OpenStdin", exec.config.attach_in).put("OpenStderr", exec.config.attach_err).put("OpenStdout", exec.config.attach_out);
  json.put("CanRemove", exec.state == Exec::State::ended);
  json.put("ContainerID", exec.container->id).put("DetachKeys", exec.config.detach_keys).put("Pid", exec.pid);
  json.end();
  return json.take();
}

Result<ExecRef> Execs::create(std::shared_ptr<Container> container, ExecConfig config) {
  TRY(must_run(*container));
  return add(std::move(container), std::move(config));
}

ExecRef Execs::add(std::shared_ptr<Container> container, ExecConfig config) {
  auto exec = std::make_shared<Exec>();
  exec->id = hex_encode(random_bytes(32));
  exec->container = std::move(container);
  exec->config = std::move(config);
  by_id_.emplace(exec->id, exec);
  exec->container->exec_ids.push_back(exec->id);
  tell(*exec, "exec_create: " + command_line(exec->config));
  return exec;
}

Result<ExecRef> Execs::find(std::string_view id) const {
  auto found = by_id_.find(id);
  if (found == by_id_.end()) return fail(Code::not_found, "No such exec instance: " + std::string(id));
  return found->second;
}

Result<void> Execs::check_start(const Exec& exec) const {
  if (exec.state == Exec::State::ended) return fail(Code::conflict, "exec command " + exec.id + " has already run");
  if (exec.state != Exec::State::created) return fail(Code::conflict, "exec command " + exec.id + " is already running");
  return must_run(*exec.container);
}

Task<Result<void>> Execs::start(ExecRef exec, std::shared_ptr<Client> client) {
  CO_TRY(check_start(*exec));
  exec->state = Exec::State::starting;
  const ExecConfig& config = exec->config;
  engine::ExecSpec spec;
  spec.command = config.command;
  for (const std::string& variable : config.env) {
    auto [name, value] = split_once(variable, '=');
    spec.env.emplace_back(name, value.value_or(std::string_view{}));
  }
  spec.tty = config.tty;
  spec.with_stdin = config.attach_in;
  spec.with_stdout = config.attach_out || !client;
  spec.with_stderr = (config.attach_err || !client) && !config.tty;
  spec.columns = config.columns;
  spec.rows = config.rows;
  spec.user = config.user;
  spec.working_dir = config.working_dir;
  spec.privileged = config.privileged;
  tell(*exec, "exec_start: " + command_line(config));
  const uint16_t columns = config.columns, rows = config.rows;
  auto session = co_await daemon_.engine().exec(exec->container->id, std::move(spec));
  if (!session) {
    ended(*exec, session.error().code == Code::not_found ? 127 : 126);
    co_return fail(session.error().code, start_failure(*exec, session.error()));
  }
  exec->pid = (*session)->pid();
  PumpOptions options;
  options.in = client && config.attach_in;
  options.out = config.attach_out;
  options.err = config.attach_err;
  options.tty = config.tty;
  options.detach_keys = CO_TRY(parse_detach_keys(config.detach_keys));
  if (!client) client = std::make_shared<Nobody>();
  exec->pump = std::make_shared<Pump>(std::move(*session), std::move(client), std::move(options));
  exec->state = Exec::State::running;
  exec->changed.set();
  daemon_.tasks().start(run(this, exec));
  // A size that came while it was being started.
  auto pump = exec->pump;  // held: it may end meanwhile
  if (pump && (exec->config.columns != columns || exec->config.rows != rows))
    (void)co_await pump->session().resize(exec->config.columns, exec->config.rows);
  co_return {};
}

Task<void> Execs::run(Execs* self, ExecRef exec) {
  const PumpEnd how = co_await exec->pump->run();
  if (how == PumpEnd::detached) self->tell(*exec, "exec_detach");
  auto code = co_await exec->pump->finish();
  exec->pump.reset();
  self->ended(*exec, code.value_or(137));  // its shim has died, and it with it
}

void Execs::ended(Exec& exec, int code) {
  exec.state = Exec::State::ended;
  exec.exit_code = code;
  exec.changed.set();
  tell(exec, "exec_die", {{"exitCode", std::to_string(code)}});
  std::erase(exec.container->exec_ids, exec.id);
  auto& done = done_[exec.container->id];
  done.push_back(exec.id);
  if (done.size() <= most_ended) return;
  by_id_.erase(done.front());
  done.erase(done.begin());
}

ExecRef Execs::begin(std::shared_ptr<Container> container, std::vector<std::string> command) {
  auto exec = add(std::move(container), {.command = std::move(command), .attach_out = true, .attach_err = true});
  exec->state = Exec::State::starting;
  tell(*exec, "exec_start: " + command_line(exec->config));
  return exec;
}

void Execs::end(Exec& exec, int code) {
  if (by_id_.contains(exec.id)) ended(exec, code);  // else its container has been removed
}

Task<Result<void>> Execs::resize(ExecRef exec, uint16_t columns, uint16_t rows) {
  exec->config.columns = columns;
  exec->config.rows = rows;
  if (exec->state == Exec::State::ended || exec->code()) co_return fail(Code::conflict, "exec command " + exec->id + " has already run");
  auto pump = exec->pump;  // held: it may end meanwhile
  if (!exec->config.tty || !pump) co_return {};
  co_return co_await pump->session().resize(columns, rows);
}

void Execs::forget(const Container& container) {
  done_.erase(container.id);
  std::erase_if(by_id_, [&](const auto& entry) { return entry.second->container.get() == &container && !entry.second->pump; });
}

void Execs::tell(const Exec& exec, std::string action, std::vector<std::pair<std::string, std::string>> more) {
  more.emplace_back("execID", exec.id);
  daemon_.lives().tell(*exec.container, std::move(action), std::move(more));
}

}  // namespace estiba::docker
