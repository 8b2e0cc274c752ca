// Why a container could not be started, as Docker tells it: its clients choose exit code 126 or 127 by words in the message.
#pragma once
#include "base/result.h"

namespace estiba::docker {

struct StartError {
  Error error;          ///< code and message for the client
  int exit_code = 128;  ///< 127: the command does not exist; 126: it cannot be run
};

StartError start_error(const Error& from_engine);

}  // namespace estiba::docker
