// What a client of exec or attach has, joined with what the engine has.
#pragma once
#include "engine/engine.h"
#include "io/remote_command.h"

namespace estiba::engine {

/// Copies until the process has ended and its output has been read, whose end the client is then told, or until the client has gone.
Task<void> join_remote(io::RemoteCommandServer& client, Session& session, io::RemoteCommandStreams streams);

}  // namespace estiba::engine
