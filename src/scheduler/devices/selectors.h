// Compiled selectors of device classes and requests, by their text.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "scheduler/devices/slices.h"

namespace estiba::cel {
class Program;
}

namespace estiba::scheduler::devices {

class Selectors {
 public:
  Selectors();
  ~Selectors();
  Selectors(const Selectors&) = delete;
  Selectors& operator=(const Selectors&) = delete;

  /// Whether the device is selected. Fails where the text cannot be compiled, or not be evaluated for this device.
  Result<bool> match(const std::string& text, const Slice& slice, const Device& device);

 private:
  struct Compiled;
  const Compiled& compiled(const std::string& text);
  std::map<std::string, std::unique_ptr<Compiled>, std::less<>> programs_;
};

}  // namespace estiba::scheduler::devices
