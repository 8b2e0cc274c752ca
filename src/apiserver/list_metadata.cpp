#include "apiserver/list_metadata.h"

namespace estiba::apiserver {

void append_list_metadata(std::string& out, const Page& page) {
  out += "\"metadata\":{";
  if (page.revision > 0) out += "\"resourceVersion\":\"" + std::to_string(page.revision) + '"';
  if (!page.continue_token.empty()) {
    out += ",\"continue\":\"" + page.continue_token + '"';
    if (page.remaining) out += ",\"remainingItemCount\":" + std::to_string(*page.remaining);
  }
  out += '}';
}

}  // namespace estiba::apiserver
