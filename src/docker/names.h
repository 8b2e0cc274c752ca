// Names for containers that were given none.
#pragma once
#include <string>

namespace estiba::docker {

/// "brave_turing"; with a digit appended once `attempt` is above zero, as the pairs run out.
std::string random_name(int attempt);

}  // namespace estiba::docker
