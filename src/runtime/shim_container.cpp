#include "runtime/shim_container.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <ctime>

#include "base/strings.h"
#include "model/json.h"
#include "os/credentials.h"
#include "os/file.h"
#include "os/pty.h"
#include "runtime/container.h"
#include "runtime/hooks.h"
#include "runtime/shim_wire.h"

namespace estiba::runtime {

ContainerStats to_container_stats(const os::CgroupStats& s) {
  return {.at = wire::wall_now(),
          .cpu_usage_ns = s.cpu_usage_ns,
          .cpu_throttled_ns = s.cpu_throttled_ns,
          .memory_usage = s.memory_usage,
          .memory_working_set = s.memory_working_set,
          .memory_rss = s.memory_rss,
          .memory_limit = s.memory_limit,
          .page_faults = s.page_faults,
          .major_page_faults = s.major_page_faults,
          .pids = s.pids,
          .io_read_bytes = s.io_read_bytes,
          .io_write_bytes = s.io_write_bytes,
          .cpu_user_ns = s.cpu_user_ns,
          .cpu_system_ns = s.cpu_system_ns,
          .cpu_periods = s.cpu_periods,
          .cpu_throttled_periods = s.cpu_throttled_periods,
          .memory_max = s.memory_max_usage,
          .memory_failures = s.memory_failures,
          .pids_limit = s.pids_limit,
          .oom_kills = s.oom_kills,
          .cpu_each_ns = s.cpu_each_ns,
          .memory_stat = s.memory_stat,
          .io = s.io};
}

Result<SpecProcess> exec_process(const SpecProcess& container, const ExecOptions& options) {
  if (options.args.empty()) return fail(Code::invalid, "exec: no command given");
  SpecProcess process = container;
  process.args = options.args;
  process.terminal = options.tty;
  process.oom_score_adj.reset();
  process.console_size.reset();
  if (options.columns && options.rows) process.console_size = {options.columns, options.rows};
  if (!options.cwd.empty()) process.cwd = options.cwd;
  for (const std::string& entry : options.env) {
    std::string name = entry.substr(0, entry.find('=')) + "=";
    std::erase_if(process.env, [&](const std::string& there) { return there.starts_with(name); });
    process.env.push_back(entry);
  }
  if (!options.user.empty()) {
    auto [uid, groups] = split_once(options.user, ':');
    std::vector<uint32_t> numbers;
    bool good = true;
    for (std::string_view group : split(groups.value_or("0"), ',')) {
      auto number = parse_number<uint32_t>(group);
      good = good && number;
      numbers.push_back(number.value_or(0));
    }
    auto uid_number = parse_number<uint32_t>(uid);
    if (!uid_number || !good)
      return fail(Code::invalid, "exec: user " + quoted(options.user) + " must be <uid>[:<gid>[,<gid>…]] in numbers");
    process.user.uid = *uid_number;
    process.user.gid = numbers[0];
    process.user.additional_gids.assign(numbers.begin() + 1, numbers.end());
  }
  if (options.all_capabilities) {
    SpecCapabilities& all = process.capabilities.emplace();
    for (int i = 0; i <= os::last_capability(); i++)
      if (auto name = os::capability_name(i); !name.empty()) all.bounding.emplace_back(name);
    all.effective = all.permitted = all.bounding;
    process.no_new_privileges = false;
  }
  return process;
}

ShimContainer::~ShimContainer() {
  for (os::Fd* fd : {&stdout_, &stderr_}) {
    if (*fd) context_.loop.forget(fd->get());
  }
  if (oom_) context_.loop.forget(oom_->fd());
  if (grace_timer_) context_.loop.cancel(grace_timer_);
}

Result<void> ShimContainer::save() const {
  json::Document document;
  json::Node& node = wire::put_container(document, info_);
  if (cgroup_) document.set(node, "cgroup", cgroup_->path());
  return os::write_file_atomic(context_.dir + "/containers/" + info_.id + ".json", json::print(node), 0600, false);
}

bool ShimContainer::own_pid_namespace() const {
  const SpecNamespace* ns = spec_.find_namespace(CLONE_NEWPID);
  return ns && ns->path.empty();
}

Result<void> ShimContainer::need_running() const {
  if (info_.status == ContainerStatus::running || info_.status == ContainerStatus::paused || info_.status == ContainerStatus::created)
    return {};
  return fail(Code::not_found, "container " + info_.id + " is not running");
}

Result<void> ShimContainer::prepare_cgroup() {
  if (spec_.linux_.cgroups_path.empty()) return {};
  cgroup_ = TRY(os::Cgroup::at(cgroup_path_for(spec_, options_.id)));
  TRY(cgroup_->create());
  TRY_AS("linux.resources", cgroup_->apply(with_usual_devices(spec_.linux_.resources.value_or(os::CgroupResources{}), spec_)));
  return {};
}

Result<void> ShimContainer::launch_process(StartStreams& streams) {
  LaunchOptions launch_options{
      .id = options_.id, .bundle = options_.bundle, .spec = &spec_, .process = &spec_.process, .cgroup = cgroup_, .die_with_parent = true};
  os::Fd theirs[3];
  if (!spec_.process.terminal) {
    if (options_.stdin_open && streams.input) {
      theirs[0] = std::move(streams.input);
      stdin_ = std::move(streams.input_writer);
    } else if (options_.stdin_open) {
      auto [read_end, write_end] = TRY(os::make_pipe());
      theirs[0] = std::move(read_end);
      stdin_ = std::move(write_end);
    } else {
      theirs[0] = TRY(os::open_file("/dev/null", O_RDONLY));
    }
    auto [out_read, out_write] = TRY(os::make_pipe());
    auto [err_read, err_write] = TRY(os::make_pipe());
    (void)os::grow_pipe(out_read.get(), 256 << 10);  // a busy writer need not wait for every turn of ours
    stdout_ = std::move(out_read);
    stderr_ = std::move(err_read);
    theirs[1] = std::move(out_write);
    theirs[2] = std::move(err_write);
    for (int i = 0; i < 3; i++) launch_options.stdio[i] = theirs[i].get();
  }
  process_ = TRY(launch(launch_options));
  info_.pid = process_.pid;
  if (process_.terminal) {
    stdin_ = TRY(os::duplicate(process_.terminal.get()));
    stdout_ = std::move(process_.terminal);
  }
  return {};
}

std::unique_ptr<AttachPipe> ShimContainer::attach_pipe(os::Fd write_end, bool hold) {
  UniqueFunction<void()> taken;
  if (hold) taken = [this] { let_streams_flow(); };
  return std::make_unique<AttachPipe>(context_.loop, std::move(write_end), std::move(taken));
}

// Those who were there before the container.
Result<void> ShimContainer::take_streams(StartStreams& streams) {
  for (StartStreams::Attached& ends : streams.attached) {
    Attached attached{context_.next_session++, nullptr, nullptr};
    for (os::Fd* fd : {&ends.out, &ends.err})
      if (*fd) TRY(os::set_nonblocking(fd->get()));
    attached.out = attach_pipe(std::move(ends.out), true);
    if (!spec_.process.terminal) attached.err = attach_pipe(std::move(ends.err), true);
    attached_.push_back(std::move(attached));
  }
  streams.attached.clear();
  if (!spec_.process.terminal || !streams.input || !options_.stdin_open) return {};
  input_ = std::make_unique<InputPump>(context_.loop, std::move(streams.input), TRY(os::duplicate(stdin_.get())));
  return input_->start();
}

void ShimContainer::let_streams_flow() {
  if (!held_) return;
  for (const Attached& attached : attached_)
    if (attached.out->full() || (attached.err && attached.err->full())) return;
  held_ = false;
  for (os::Fd* fd : {&stdout_, &stderr_})
    if (*fd) (void)context_.loop.change(fd->get(), EPOLLIN);
}

Result<void> ShimContainer::watch_streams() {
  for (os::Fd* fd : {&stdin_, &stdout_, &stderr_}) {
    if (*fd) TRY(os::set_nonblocking(fd->get()));
  }
  if (stdout_) TRY(context_.loop.watch(stdout_.get(), EPOLLIN, [this](uint32_t) { stream_ready(stdout_, ContainerLog::standard_output); }));
  if (stderr_) TRY(context_.loop.watch(stderr_.get(), EPOLLIN, [this](uint32_t) { stream_ready(stderr_, ContainerLog::standard_error); }));
  return {};
}

void ShimContainer::stream_ready(os::Fd& fd, ContainerLog::Stream stream) {
  // Who writes pieces of a few KiB one right after the other wakes this process for each, which costs more than to write down its lines. A
  // moment's rest lets many gather in the pipe. Single lines, and what comes less often, wait for nothing; a terminal gives no more at
  // once.
  constexpr auto close_by = std::chrono::microseconds(200);
  constexpr timespec rest{0, 100'000};
  constexpr size_t piece = 2 << 10, enough = 64 << 10;
  const Instant woken = std::chrono::steady_clock::now();
  const size_t n = read_stream(fd, stream);
  const bool often = woken - read_at_ < close_by;
  read_at_ = std::chrono::steady_clock::now();
  if (!often || n < piece || n >= enough || spec_.process.terminal) return;
  nanosleep(&rest, nullptr);
  read_at_ = std::chrono::steady_clock::now();
}

void ShimContainer::watch_memory() {
  if (!cgroup_) return;
  auto watch = os::OomWatch::open(*cgroup_);
  if (!watch) return;  // no memory controller: then there is no limit to be killed for, either
  oom_ = std::move(*watch);
  (void)context_.loop.watch(oom_->fd(), EPOLLIN, [this](uint32_t) { check_memory(); });
}

void ShimContainer::check_memory() {
  if (!oom_) return;
  uint64_t kills = oom_->check().value_or(0);
  if (kills <= oom_kills_) return;
  oom_kills_ = kills;
  context_.emit({.kind = ShimEvent::Kind::oom, .container = info_.id, .oom_killed = true, .at = wire::wall_now()});
}

Result<std::unique_ptr<ShimContainer>> ShimContainer::create(ShimContext& context, const ContainerOptions& options, StartStreams streams) {
  std::unique_ptr<ShimContainer> c(new ShimContainer(context, options));
  std::string file = options.bundle + "/config.json";
  c->spec_ = TRY(within(file, parse_spec(TRY(os::read_file(file)))));
  if (!c->spec_.has_process) return fail(Code::invalid, file + ": process: is required");
  c->info_.id = options.id;
  c->info_.bundle = options.bundle;
  c->info_.log_path = options.log.path;
  c->info_.created_at = wire::wall_now();
  auto work = [&]() -> Result<void> {
    TRY(c->log_.open(options.log));
    TRY(c->prepare_cgroup());
    TRY(c->launch_process(streams));
    TRY(c->take_streams(streams));
    TRY(c->watch_streams());
    c->watch_memory();
    c->info_.status = ContainerStatus::created;
    return c->save();
  };
  if (auto done = work(); !done) {
    if (c->process_.pid > 0) {
      (void)os::send_signal(c->process_.pid, SIGKILL);
      (void)os::wait_child(c->process_.pid);
    }
    if (c->cgroup_) (void)c->cgroup_->remove();
    return std::unexpected(std::move(done.error()));
  }
  return c;
}

Result<void> ShimContainer::start() {
  if (info_.status != ContainerStatus::created) {
    return fail(Code::conflict, "cannot start container " + info_.id + ": it is " + std::string(to_string(info_.status)));
  }
  info_.started_at = wire::wall_now();
  TRY(process_.start());
  info_.status = ContainerStatus::running;
  TRY(save());
  if (!spec_.hooks.poststart.empty()) {
    TRY(run_hooks("poststart", spec_.hooks.poststart, state_json(info_.id, "running", info_.pid, info_.bundle, spec_)));
  }
  return {};
}

Result<void> ShimContainer::signal(int number, bool all) {
  TRY(need_running());
  if (!all || !cgroup_) return os::send_signal(process_.pidfd, process_.pid, number);
  if (number != SIGKILL) {
    for (pid_t pid : TRY(cgroup_->pids(true))) (void)os::send_signal(pid, number);
    return {};
  }
  // The first process takes its whole pid namespace with it, and so does not need to be waited for here.
  if (own_pid_namespace()) {
    if (info_.status == ContainerStatus::paused) TRY(resume());
    return os::send_signal(process_.pidfd, process_.pid, SIGKILL);
  }
  return cgroup_->kill_all();
}

Result<void> ShimContainer::stop(int number, Duration grace) {
  TRY(need_running());
  if (grace <= Duration::zero() || info_.status == ContainerStatus::created) return signal(SIGKILL, true);
  if (info_.status == ContainerStatus::paused) TRY(resume());
  TRY(signal(number, false));
  if (grace_timer_) context_.loop.cancel(grace_timer_);
  grace_timer_ = context_.loop.at(std::chrono::steady_clock::now() + grace, [this] {
    grace_timer_ = 0;
    (void)signal(SIGKILL, true);
  });
  return {};
}

Result<void> ShimContainer::pause() {
  if (info_.status != ContainerStatus::running) return fail(Code::conflict, "container " + info_.id + " is not running");
  if (!cgroup_) return fail(Code::unsupported, "container " + info_.id + " has no cgroup, so it cannot be paused");
  TRY(cgroup_->freeze());
  info_.status = ContainerStatus::paused;
  return save();
}

Result<void> ShimContainer::resume() {
  if (info_.status != ContainerStatus::paused) return fail(Code::conflict, "container " + info_.id + " is not paused");
  TRY(cgroup_->thaw());
  info_.status = ContainerStatus::running;
  return save();
}

Result<void> ShimContainer::update(const std::string& text) {
  if (!cgroup_) return fail(Code::unsupported, "container " + info_.id + " has no cgroup");
  json::Document document = TRY(json::Document::parse(text));
  return cgroup_->apply(TRY(parse_resources(document.root(), "resources")));
}

Result<ContainerStats> ShimContainer::stats() const {
  if (!cgroup_) return fail(Code::unsupported, "container " + info_.id + " has no cgroup");
  return to_container_stats(TRY(cgroup_->stats()));
}

Result<std::vector<pid_t>> ShimContainer::pids() const {
  TRY(need_running());
  if (cgroup_) return cgroup_->pids(true);
  return std::vector<pid_t>{info_.pid};
}

Result<ShimContainer::Exec> ShimContainer::exec(const ExecOptions& options) {
  if (info_.status != ContainerStatus::running) {
    return fail(Code::conflict, "cannot exec in container " + info_.id + ": it is " + std::string(to_string(info_.status)));
  }
  SpecProcess process = TRY(exec_process(spec_.process, options));
  LaunchOptions launch_options{.id = info_.id,
                               .bundle = info_.bundle,
                               .spec = &spec_,
                               .process = &process,
                               .join = info_.pid,
                               .cgroup = cgroup_,
                               .die_with_parent = true};
  Exec out;
  os::Fd theirs[3];
  if (!options.tty) {
    if (options.stdin_open) {
      auto [read_end, write_end] = TRY(os::make_pipe());
      theirs[0] = std::move(read_end);
      out.session.stdin_fd = std::move(write_end);
      TRY(os::set_nonblocking(out.session.stdin_fd.get()));
    } else {
      theirs[0] = TRY(os::open_file("/dev/null", O_RDONLY));
    }
    for (int i = 1; i < 3; i++) {
      auto [read_end, write_end] = TRY(os::make_pipe());
      TRY(os::set_nonblocking(read_end.get()));
      (i == 1 ? out.session.stdout_fd : out.session.stderr_fd) = std::move(read_end);
      theirs[i] = std::move(write_end);
    }
    for (int i = 0; i < 3; i++) launch_options.stdio[i] = theirs[i].get();
  }
  Launched launched = TRY(launch(launch_options));
  out.session.pid = launched.pid;
  if (options.tty) {
    TRY(os::set_nonblocking(launched.terminal.get()));
    out.session.stdout_fd = TRY(os::duplicate(launched.terminal.get()));
    out.session.stdin_fd = TRY(os::duplicate(launched.terminal.get()));
    out.terminal = std::move(launched.terminal);
  }
  if (auto started = launched.start(); !started) {
    (void)os::wait_child(launched.pid);
    return std::unexpected(std::move(started.error()));
  }
  out.session.id = context_.next_session++;
  return out;
}

Result<Session> ShimContainer::attach(bool with_stdin, bool hold) {
  TRY(need_running());
  Session session;
  Attached attached{context_.next_session++, nullptr, nullptr};
  session.id = attached.id;
  session.pid = info_.pid;
  for (bool err : {false, true}) {
    if (err && spec_.process.terminal) break;
    auto [read_end, write_end] = TRY(os::make_pipe(O_NONBLOCK));
    (err ? session.stderr_fd : session.stdout_fd) = std::move(read_end);
    (err ? attached.err : attached.out) = attach_pipe(std::move(write_end), hold);
  }
  if (with_stdin && stdin_) {
    // With stdinOnce the only write end goes away, so that its closing is the end of the container's input.
    if (options_.stdin_once && !spec_.process.terminal) session.stdin_fd = std::move(stdin_);
    else session.stdin_fd = TRY(os::duplicate(stdin_.get()));
  }
  attached_.push_back(std::move(attached));
  return session;
}

Result<void> ShimContainer::resize(uint16_t columns, uint16_t rows) {
  if (!spec_.process.terminal || !stdout_) return fail(Code::invalid, "container " + info_.id + " has no terminal");
  return os::set_window_size(stdout_.get(), columns, rows);
}

bool ShimContainer::has_session(uint64_t id) const {
  for (const Attached& attached : attached_) {
    if (attached.id == id) return true;
  }
  return false;
}

size_t ShimContainer::read_stream(os::Fd& fd, ContainerLog::Stream stream) {
  static char buffer[256 << 10];
  ssize_t n = read(fd.get(), buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n <= 0) {
    // The end, or EIO: the last one that had the terminal open has closed it.
    context_.loop.forget(fd.get());
    fd.reset();
    return 0;
  }
  // Who fills a pipe of the usual size until this process gets its turn has much to say: a greater one means fewer turns. A terminal has
  // none.
  constexpr int usual = 64 << 10;
  if (n >= usual && fcntl(fd.get(), F_GETPIPE_SZ) == usual) (void)fcntl(fd.get(), F_SETPIPE_SZ, int(sizeof buffer));
  log_.write(stream, {buffer, size_t(n)}, wire::wall_now());
  static bool trimming = false;
  if (n > 16384 && !trimming) {
    // After a burst its memory is not needed any more.
    trimming = true;
    context_.loop.at(std::chrono::steady_clock::now() + std::chrono::seconds(2), [] {
      trimming = false;
      os::give_back(buffer, sizeof buffer);
      ContainerLog::trim();
    });
  }
  bool hold = false;
  for (auto it = attached_.begin(); it != attached_.end();) {
    AttachPipe* pipe = stream == ContainerLog::standard_output ? it->out.get() : it->err.get();
    if (pipe) pipe->write({buffer, size_t(n)});
    hold = hold || (pipe && pipe->full());
    bool gone = it->out->closed() && (!it->err || it->err->closed());
    it = gone ? attached_.erase(it) : std::next(it);
  }
  if (hold && !held_) {
    held_ = true;
    for (os::Fd* each : {&stdout_, &stderr_})
      if (*each) (void)context_.loop.change(each->get(), 0);
  }
  return size_t(n);
}

// Takes what is still in the pipes. Whoever else has them open (a process that got away to another session) is not waited for.
void ShimContainer::end_streams() {
  auto drain = [this](os::Fd& fd, ContainerLog::Stream stream) {
    // What was written to a terminal may still be on its way to this end (a work queue of the kernel); read(2) waits for that, FIONREAD
    // does not (n_tty_read() in drivers/tty/n_tty.c).
    for (size_t left = spec_.process.terminal ? 4 << 20 : 0, n = 1; fd && left > 0 && n > 0; left -= std::min(left, n))
      n = read_stream(fd, stream);
    while (fd) {
      int available = 0;
      if (ioctl(fd.get(), FIONREAD, &available) < 0 || available == 0) break;
      read_stream(fd, stream);
    }
    if (fd) context_.loop.forget(fd.get());
    fd.reset();
  };
  drain(stdout_, ContainerLog::standard_output);
  drain(stderr_, ContainerLog::standard_error);
  input_.reset();
  stdin_.reset();
  for (Attached& attached : attached_) {
    attached.out->finish();
    if (attached.err) attached.err->finish();
  }
}

void ShimContainer::reaped(const os::ExitStatus& status) {
  info_.finished_at = wire::wall_now();
  if (grace_timer_) context_.loop.cancel(std::exchange(grace_timer_, 0));
  // Where the pid namespace is not the container's own, what it started lives on; a container ends as a whole.
  if (!own_pid_namespace() && cgroup_) (void)cgroup_->kill_all();
  check_memory();
  end_streams();
  log_.finish(info_.finished_at);
  info_.status = ContainerStatus::stopped;
  info_.exit_code = status.code;
  info_.signal = status.signal;
  info_.oom_killed = oom_kills_ > 0 && status.code != 0;
  process_ = {};
  if (oom_) context_.loop.forget(oom_->fd());
  oom_.reset();
  (void)save();
  context_.emit({.kind = ShimEvent::Kind::container_exit,
                 .container = info_.id,
                 .exit_code = info_.exit_code,
                 .signal = info_.signal,
                 .oom_killed = info_.oom_killed,
                 .at = info_.finished_at});
}

Result<void> ShimContainer::remove(bool force) {
  if (info_.status != ContainerStatus::stopped) {
    if (!force)
      return fail(Code::conflict, "container " + info_.id + " is " + std::string(to_string(info_.status)) + "; stop it first or force");
    if (info_.status == ContainerStatus::paused) (void)resume();
    (void)os::send_signal(process_.pidfd, process_.pid, SIGKILL);
    context_.await_end(info_.pid);
  }
  if (cgroup_ && cgroup_->exists()) {
    TRY(cgroup_->kill_all());
    TRY(cgroup_->remove());
  }
  if (!spec_.hooks.poststop.empty()) {
    (void)run_hooks("poststop", spec_.hooks.poststop, state_json(info_.id, "stopped", 0, info_.bundle, spec_));
  }
  return os::remove_file(context_.dir + "/containers/" + info_.id + ".json");
}

}  // namespace estiba::runtime
