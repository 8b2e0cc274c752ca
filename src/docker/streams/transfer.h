// Bodies of any length between a client and code that blocks (tars read from and written to disk): the code runs on a thread of its own
// behind a socket pair, so that a slow client holds up neither the daemon's loop nor its pool.
#pragma once
#include <string>

#include "base/function.h"
#include "base/result.h"
#include "base/task.h"
#include "image/stream.h"
#include "io/http_server.h"

namespace estiba::docker {

/// Runs `produce` and sends what it writes as the body of an answer; `headers` go out with the first bytes, so that a failure before them
/// is still the caller's to answer. A failure after them is too late to be told: the body ends early. When the client goes away,
/// `produce`'s next write fails.
Task<Result<void>> send_produced(io::Response& response, io::Headers headers, UniqueFunction<Result<void>(image::Sink&)> produce);

/// Runs `consume` on the request's body. Returns when it has ended, whether or not it read all. When the client goes away, its source
/// fails.
Task<Result<void>> receive_body(io::Request& request, UniqueFunction<Result<void>(image::Source&)> consume);

/// Runs `work` on a thread of its own; dropping the task drops only the waiting.
Task<Result<void>> on_own_thread(UniqueFunction<Result<void>()> work);

}  // namespace estiba::docker
