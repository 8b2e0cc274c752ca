#include <sys/stat.h>

#include <cstdio>

#include "base/log.h"
#include "os/signals.h"
#include "server/agent.h"
#include "server/daemonize.h"

namespace estiba::server {

namespace {

Task<void> start(Agent* agent, Result<void>* started, Event* over) {
  *started = co_await agent->start();
  if (!*started) co_return over->set();
  log::info("agent", "ready");
  notify("READY=1");
}

Task<void> wait_for_signal(io::Loop* loop, int signals, Event* over) {
  co_await loop->readable(signals);
  over->set();
}

Task<Result<void>> serve(io::Loop* loop, AgentOptions options, int signals) {
  Agent agent(std::move(options), *loop);
  Result<void> started;
  Event over;
  {
    // Both at once: a start may wait for its server for long.
    const Job starting(start(&agent, &started, &over)), signalled(wait_for_signal(loop, signals, &over));
    co_await over.wait();
  }
  log::info("agent", "stopping; containers go on");
  notify("STOPPING=1");
  co_await agent.stop();
  co_return started;
}

}  // namespace

Result<int> run_agent(const cli::Arguments& arguments) {
  AgentOptions options = TRY(read_agent_options(arguments));
  if (options.help) {
    std::fputs(options.help_text.c_str(), stdout);
    return 0;
  }
  log::configure(options.verbosity > 0 ? log::Level::debug : log::Level::info,
                 options.log_format == "json" ? log::Format::json : log::Format::text);
  settle_memory();
  umask(022);
  Fd signals = TRY(os::ending_signals());
  io::Loop loop;
  TRY(loop.block_on(serve(&loop, std::move(options), signals.get())));
  return 0;
}

}  // namespace estiba::server
