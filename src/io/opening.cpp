#include "io/opening.h"

#include "io/tls_peer.h"

namespace estiba::io {

namespace {

class OpenedStream final : public TlsStream {
 public:
  OpenedStream(StreamPtr stream, TlsPeer peer, std::string alpn)
      : stream_(std::move(stream)), peer_(std::move(peer)), alpn_(std::move(alpn)) {}

  std::string_view alpn() const override { return alpn_; }
  Task<Result<size_t>> read(char* to, size_t size) override { return stream_->read(to, size); }
  Task<Result<void>> write(std::string_view bytes) override { return stream_->write(bytes); }
  Task<Result<void>> write_parts(std::span<const std::string_view> parts) override { return stream_->write_parts(parts); }
  Task<void> readable() override { return stream_->readable(); }
  Task<Result<void>> shutdown_write() override { return stream_->shutdown_write(); }
  void close() override { stream_->close(); }
  void notify_hangup(Event* event) override { stream_->notify_hangup(event); }
  const Peer& peer() const override { return peer_; }

 private:
  StreamPtr stream_;
  TlsPeer peer_;
  std::string alpn_;
};

}  // namespace

std::unique_ptr<TlsStream> opened(StreamPtr plain, std::string address) {
  TlsPeer peer;
  static_cast<Peer&>(peer) = plain->peer();
  if (!address.empty()) peer.address = std::move(address);
  return std::make_unique<OpenedStream>(std::move(plain), std::move(peer), std::string());
}

std::unique_ptr<TlsStream> opened(std::unique_ptr<TlsStream> secured, std::string address) {
  if (address.empty()) return secured;
  auto peer = static_cast<const TlsPeer&>(secured->peer());
  peer.address = std::move(address);
  std::string alpn(secured->alpn());
  return std::make_unique<OpenedStream>(std::move(secured), std::move(peer), std::move(alpn));
}

}  // namespace estiba::io
