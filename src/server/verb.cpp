#include "server/verb.h"

#include <sys/stat.h>

#include "base/log.h"
#include "os/signals.h"
#include "server/daemonize.h"
#include "server/server.h"

namespace estiba::server {

namespace {

Task<Result<void>> serve(io::Loop* loop, Options options, int signals) {
  Server server(std::move(options));
  auto started = co_await server.start();
  if (started) {
    log::info("server", "ready");
    notify("READY=1");
    co_await loop->readable(signals);
    log::info("server", "stopping; containers go on");
    notify("STOPPING=1");
  }
  co_await server.stop();
  co_return started;
}

}  // namespace

Result<int> run(const cli::Arguments& arguments) {
  Options options = TRY(read_options(arguments));
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
