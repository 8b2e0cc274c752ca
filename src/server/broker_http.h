// HTTP calls of the service catalogue's brokers, and digests by OpenSSL.
#pragma once
#include "controllers/catalog/brokers.h"

namespace estiba::server {

class HttpBrokers final : public controllers::Brokers {
 public:
  Task<Result<controllers::BrokerAnswer>> send(controllers::BrokerRequest request) override;
  std::string sha224(std::string_view text) const override;
  std::string sha256(std::string_view text) const override;
};

}  // namespace estiba::server
