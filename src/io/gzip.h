// Answers as gzip (RFC 1952), for clients that take it.
#pragma once
#include <string>

#include "base/task.h"
#include "io/http_server.h"

namespace estiba::io {

/// Compressed at zlib's level 1: most of the gain for the least time.
std::string gzip(const Body& body);

/// Whether the answer has more than `threshold` bytes, is whole (not streamed) and not encoded yet, and the client's Accept-Encoding
/// names gzip.
bool may_compress(const Request& request, const Response& response, size_t threshold);

/// Replaces the answer by its gzip form. The work is done on the shared pool; the loop goes on meanwhile.
Task<void> compress_answer(Response& response);

}  // namespace estiba::io
