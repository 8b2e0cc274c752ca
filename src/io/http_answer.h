// What a proxy asks of an answer beyond its body. Internal to io/.
#pragma once
#include "io/http_client.h"

namespace estiba::io {

/// Every answer of an HttpClient and of an Http2ClientConnection is one.
class HttpAnswer : public ClientResponse {
 public:
  /// The whole body came together with the head and nothing follows it: the next read() returns all of it at once.
  virtual bool at_hand() const = 0;
  /// The fields after the body, complete once read() has returned the end; by HTTP/2 only.
  virtual const Headers& trailers() const = 0;
};

inline HttpAnswer& http_answer(ClientResponse& answer) { return static_cast<HttpAnswer&>(answer); }

}  // namespace estiba::io
