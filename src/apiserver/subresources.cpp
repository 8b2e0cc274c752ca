#include "apiserver/subresources.h"

namespace estiba::apiserver {

Act special_action(const Action&) {
  return nullptr;
}

}  // namespace estiba::apiserver
