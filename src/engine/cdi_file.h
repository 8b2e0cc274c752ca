// One file of the Container Device Interface, read and checked (CDI specification, "CDI JSON Specification"; JSON or YAML).
#pragma once
#include <map>
#include <string>

#include "base/result.h"
#include "engine/cdi.h"

namespace estiba::engine {

struct CdiFile {
  std::string path;
  std::string kind;                         ///< "vendor.com/gpu"
  CdiEdits edits;                           ///< for whoever has any of its devices
  std::map<std::string, CdiEdits> devices;  ///< by name, "0"
};

/// Errors name the file and the field; a field that the specification does not have is one.
Result<CdiFile> read_cdi_file(const std::string& path);

}  // namespace estiba::engine
