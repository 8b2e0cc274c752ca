#include "client/attachments.h"

#include "io/hmac.h"

namespace estiba::client {

std::string attachment_name(std::string_view handle, std::string_view driver, std::string_view node) {
  return "csi-" + io::sha256_hex(std::string(handle).append(driver).append(node));
}

std::string unique_volume_name(std::string_view handle, std::string_view driver) {
  return std::string("kubernetes.io/csi/").append(driver).append("^").append(handle);
}

}  // namespace estiba::client
