#pragma once
#include <string>

#include "apiserver/registry.h"

namespace estiba::apiserver {

/// `"metadata":{…}` of a list in any of its forms: its resourceVersion, unless nothing stores it, and where it goes on.
void append_list_metadata(std::string& out, const Page& page);

}  // namespace estiba::apiserver
