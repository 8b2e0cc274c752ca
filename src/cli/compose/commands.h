// Compose's commands; the table in compose.cpp names them.
#pragma once
#include "base/result.h"

namespace estiba::cli::compose {

struct Context;

Result<int> build(Context& context);
Result<int> config(Context& context);
Result<int> copy(Context& context);
Result<int> create(Context& context);
Result<int> down(Context& context);
Result<int> events(Context& context);
Result<int> exec(Context& context);
Result<int> images(Context& context);
Result<int> kill(Context& context);
Result<int> logs(Context& context);
Result<int> ls(Context& context);
Result<int> pause(Context& context);
Result<int> port(Context& context);
Result<int> ps(Context& context);
Result<int> pull(Context& context);
Result<int> push(Context& context);
Result<int> restart(Context& context);
Result<int> rm(Context& context);
Result<int> run(Context& context);
Result<int> scale(Context& context);
Result<int> start(Context& context);
Result<int> stats(Context& context);
Result<int> stop(Context& context);
Result<int> top(Context& context);
Result<int> unpause(Context& context);
Result<int> up(Context& context);
Result<int> version(Context& context);
Result<int> wait(Context& context);
Result<int> watch(Context& context);

}  // namespace estiba::cli::compose
