// Keys and certificates of a node that has joined, below its data directory:
//
//   agent/ca.crt                    the cluster's
//   agent/client.crt, client.key    system:node:NAME, by which it speaks to the server
//   agent/serving.crt, serving.key  of its own API
#pragma once
#include <optional>
#include <string>

#include "base/executor.h"
#include "io/pki.h"

namespace estiba::server {

struct Identity {
  std::string ca_pem;
  std::optional<io::KeyPair> client, serving;  ///< none, or expired
};

/// What is there of a node of this name. Conflict when the directory is another node's.
Result<Identity> load_identity(const std::string& dir, const std::string& node, WallTime now);
Result<void> store_ca(const std::string& dir, const std::string& ca_pem);
Result<void> store_client(const std::string& dir, const io::KeyPair& pair);
Result<void> store_serving(const std::string& dir, const io::KeyPair& pair);

/// When a certificate that was just loaded or issued is to be replaced: after seven tenths of the time that is left to it.
WallTime renewal_of(const io::KeyPair& pair, WallTime now);
/// Whether the certificate has this address.
bool covers(const io::KeyPair& pair, const std::string& address);

}  // namespace estiba::server
