// Names of devices in the Container Device Interface (CDI specification, "Kind" and "CDI Devices"): VENDOR/CLASS=DEVICE, as in
// "vendor.com/gpu=0". They stand in this layer because clients tell them from paths as well (`docker run --device`).
#pragma once
#include <optional>
#include <string_view>

namespace estiba::model {

struct CdiName {
  std::string_view kind;    ///< "vendor.com/gpu"
  std::string_view device;  ///< "0"
};

/// Of a whole name; nullopt when it is none.
std::optional<CdiName> parse_cdi_name(std::string_view text);
/// "vendor.com/gpu": a letter, then letters, digits, "_", "-" and ".", and a letter or digit last, on both sides of the slash.
bool is_cdi_kind(std::string_view text);
/// The same with ":" and a digit as the first one too.
bool is_cdi_device(std::string_view text);

}  // namespace estiba::model
