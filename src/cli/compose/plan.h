// What must happen to a service's containers so that they are as the project says. Pure: what is done with it is converge.h's.
#pragma once
#include <string>
#include <vector>

#include "cli/compose/context.h"

namespace estiba::cli::compose {

struct Action {
  enum class Step : unsigned char {
    keep,      ///< runs and is as it should be
    start,     ///< is as it should be, but does not run
    create,    ///< is missing
    recreate,  ///< is another one than it should be
    remove,    ///< is one too many
  };
  Step step = Step::keep;
  int64_t number = 0;
  Member member;  ///< the one that is there, unless created
};

struct Wanted {
  int64_t replicas = 1;
  std::string hash, image_id;  ///< image_id empty: not compared
  bool force_recreate = false, no_recreate = false;
};

/// By number; removals last. Containers keep their numbers; missing ones get the lowest free.
std::vector<Action> plan_service(const std::vector<Member>& present, const Wanted& wanted);

}  // namespace estiba::cli::compose
