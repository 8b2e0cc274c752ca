// Hashes, and keyed ones (RFC 2104).
#pragma once
#include <string>
#include <string_view>

namespace estiba::io {

/// SHA-256 in hexadecimal digits.
std::string sha256_hex(std::string_view text);
/// The 32 bytes of HMAC-SHA-256.
std::string hmac_sha256(std::string_view key, std::string_view text);
/// A detached JSON Web Signature (RFC 7515, appendix F) by HS256, "header..signature", with the header {"alg":"HS256","kid":…}.
std::string detached_jws(std::string_view key, std::string_view key_id, std::string_view payload);
/// In a time that does not tell how much of it was right.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace estiba::io
