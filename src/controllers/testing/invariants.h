// What must be true of every cluster that has come to rest: the promises of all controllers, read off the objects alone.
#pragma once
#include <string>
#include <vector>

#include "client/testing/fake_client.h"

namespace estiba::controllers {

/// One line for each promise that is broken, with the object and the numbers; empty when all hold. "At rest" means: nodes
/// that live have reported and run their pods, nobody changes anything, and every back-off has passed.
std::vector<std::string> broken_invariants(const client::testing::FakeClient& server);

}  // namespace estiba::controllers
