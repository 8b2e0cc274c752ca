#include "docker/streams/multiplex.h"

namespace estiba::docker {

std::array<char, 8> frame_header(Channel channel, size_t size) {
  return {char(channel), 0, 0, 0, char(size >> 24), char(size >> 16), char(size >> 8), char(size)};
}

void append_frame(std::string& out, Channel channel, std::string_view bytes) {
  const auto header = frame_header(channel, bytes.size());
  out.append(header.data(), header.size()).append(bytes);
}

Result<bool> FrameReader::next(Frame& frame) {
  if (buffer_.size() < 8) return false;
  auto byte = [&](size_t i) { return uint32_t(uint8_t(buffer_[i])); };
  if (byte(0) > 2 || byte(1) || byte(2) || byte(3)) return fail(Code::malformed, "unrecognized input header: " + std::to_string(byte(0)));
  const size_t size = byte(4) << 24 | byte(5) << 16 | byte(6) << 8 | byte(7);
  if (buffer_.size() < 8 + size) return false;
  frame.channel = Channel(byte(0));
  frame.bytes = buffer_.substr(8, size);
  buffer_.erase(0, 8 + size);
  return true;
}

}  // namespace estiba::docker
