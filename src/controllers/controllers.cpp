#include "controllers/controllers.h"

#include "controllers/framework.h"

namespace estiba::controllers {

struct Controllers::State {
  Options options;
  client::Client& client;
  Executor& executor;
  client::Informers informers{client};
  Context context{client, executor, informers, options};
  std::vector<std::unique_ptr<Controller>> running;  // before the informers whose changes they hear
};

Controllers::Controllers(client::Client& client, Executor& executor, Options options)
    : state_(new State{.options = std::move(options), .client = client, .executor = executor}) {}

Controllers::~Controllers() = default;

void Controllers::start() {
  for (const ControllerEntry& entry : controller_table()) {
    auto made = entry.make(state_->context);
    if (!made) continue;
    state_->running.push_back(std::move(made));
    state_->running.back()->start();
  }
}

}  // namespace estiba::controllers
