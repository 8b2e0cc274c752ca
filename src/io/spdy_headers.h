// SPDY/3's compressed header blocks. Internal to io/.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/http.h"

namespace estiba::io {

/// Both directions' compression of one connection; blocks must be coded in the order of their frames.
class SpdyHeaderCodec {
 public:
  SpdyHeaderCodec();
  ~SpdyHeaderCodec();
  /// Names are sent in lower case.
  std::string encode(const Headers& headers);
  Result<Headers> decode(std::string_view block);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The 1423 bytes that both sides' zlib begins with (2.6.10.1 of the draft).
const std::string& spdy_dictionary();
void put_u32(std::string& out, uint32_t value);
uint32_t get_u32(std::string_view bytes, size_t at);

}  // namespace estiba::io
