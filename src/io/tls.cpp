#include "io/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "base/strings.h"
#include "io/opening.h"
#include "io/openssl.h"
#include "io/socket.h"
#include "io/tls_choice.h"
#include "io/tls_peer.h"
#include "io/tls_renewal.h"

namespace estiba::io {

class TlsContext {
 public:
  explicit TlsContext(SSL_CTX* context) : context(context) {}
  ~TlsContext() {
    clear();
    SSL_CTX_free(context);
  }
  SSL_CTX* const context;
  std::string server_name;  // a client verifies this instead of the host, when not empty
  std::string alpn;         // what a server offers, in the wire's form
  TlsChooser chooser;       // of a server with several certificates
  Opening opening;          // what a server does instead of a handshake

  // A client's last session with each server, to resume it.
  std::mutex mutex;
  std::map<std::string, SSL_SESSION*> sessions;  // guarded by mutex
  void remember(const std::string& server, SSL_SESSION* session) {
    std::lock_guard lock(mutex);
    if (sessions.size() > 256) clear();
    SSL_SESSION*& slot = sessions[server];
    if (slot) SSL_SESSION_free(slot);
    slot = session;
  }
  void forget() {
    std::lock_guard lock(mutex);
    clear();
  }
  void resume(const std::string& server, SSL* ssl) {
    std::lock_guard lock(mutex);
    auto it = sessions.find(server);
    if (it != sessions.end()) SSL_set_session(ssl, it->second);
  }

 private:
  void clear() {
    for (auto& [_, session] : sessions) SSL_SESSION_free(session);
    sessions.clear();
  }
};

namespace {

constexpr size_t record_size = 16 * 1024;

class TlsSocket final : public TlsStream {
 public:
  TlsSocket(TlsContextRef context, int fd) : context_(std::move(context)), socket_(fd), ssl_(SSL_new(context_->context)) {
    SSL_set_fd(ssl_, fd);
    SSL_set_app_data(ssl_, this);
    socket_.peer.tls = true;
  }
  ~TlsSocket() override {
    TlsSocket::close();
    SSL_free(ssl_);
  }

  SSL* ssl() { return ssl_; }
  Task<Result<void>> handshake();
  void set_server(std::string server) { server_ = std::move(server); }
  void note_verify_error(int error) {
    if (socket_.peer.certificate_error.empty()) socket_.peer.certificate_error = X509_verify_cert_error_string(error);
  }
  static int choose(SSL* ssl, int* alert, void* chooser);
  static int new_session(SSL* ssl, SSL_SESSION* session) {
    auto* self = static_cast<TlsSocket*>(SSL_get_app_data(ssl));
    if (self->server_.empty()) return 0;
    self->context_->remember(self->server_, session);
    return 1;  // the reference is ours now
  }

  std::string_view alpn() const override {
    const unsigned char* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl_, &name, &length);
    return {reinterpret_cast<const char*>(name), length};
  }
  Task<Result<size_t>> read(char* to, size_t size) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> write_parts(std::span<const std::string_view> parts) override;
  Task<void> readable() override {
    if (!socket_.closed() && !SSL_has_pending(ssl_)) co_await socket_.readable();
  }
  Task<Result<void>> shutdown_write() override;
  void close() override;
  void notify_hangup(Event* event) override { socket_.notify_hangup(event); }
  const Peer& peer() const override { return peer_; }

 private:
  // Waits for what OpenSSL asked for with `result`; its failure otherwise.
  Task<Result<void>> wait(int result, std::string_view operation);
  void take_peer_certificate();

  TlsContextRef context_, chosen_;
  Socket socket_;
  TlsPeer peer_;  // from the handshake on
  SSL* ssl_;
  std::string server_;   // the key of the client's session
  bool usable_ = false;  // after the handshake, and until something failed
};

Task<Result<void>> TlsSocket::wait(int result, std::string_view operation) {
  int saved = errno;
  int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ) {
    co_await socket_.readable();
  } else if (error == SSL_ERROR_WANT_WRITE) {
    co_await socket_.writable();
  } else {
    usable_ = false;
    std::string what = std::string(operation) + " " + socket_.peer.address;
    if (error == SSL_ERROR_SYSCALL && saved) co_return fail_errno(what, saved);
    if (long verify = SSL_get_verify_result(ssl_); verify != X509_V_OK && !SSL_is_server(ssl_) && !SSL_is_init_finished(ssl_))
      co_return fail(Code::unavailable, what + ": the server's certificate is not accepted: " + X509_verify_cert_error_string(verify));
    co_return fail(Code::unavailable, what + ": " + openssl_error("the connection ended without TLS's closing message"));
  }
  if (socket_.closed()) co_return closed_here();
  co_return {};
}

Task<Result<void>> TlsSocket::handshake() {
  for (;;) {
    ERR_clear_error();
    errno = 0;
    int done = SSL_do_handshake(ssl_);
    if (done == 1) break;
    CO_TRY(co_await wait(done, "TLS handshake with"));
  }
  usable_ = true;
  if (SSL_is_server(ssl_)) take_peer_certificate();
  static_cast<Peer&>(peer_) = std::move(socket_.peer);
  socket_.peer.address = peer_.address;  // for messages
  if (const char* name = SSL_is_server(ssl_) ? SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name) : nullptr)
    peer_.server_name = to_lower(name);
  co_return {};
}

void TlsSocket::take_peer_certificate() {
  Peer& peer = socket_.peer;
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (!certificate) return;
  unsigned char* der = nullptr;
  int length = i2d_X509(certificate, &der);
  if (length > 0) peer.certificate_der.assign(reinterpret_cast<char*>(der), size_t(length));
  OPENSSL_free(der);
  // A resumed session skips the verification, so what has expired since is found here.
  if (long verify = SSL_get_verify_result(ssl_); verify != X509_V_OK) note_verify_error(int(verify));
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0) note_verify_error(X509_V_ERR_CERT_HAS_EXPIRED);
  if (!peer.certificate_error.empty()) return;
  peer.verified = true;
  auto names = name_entries(X509_get_subject_name(certificate), NID_commonName);
  if (!names.empty()) peer.common_name = names.front();
  peer.organizations = name_entries(X509_get_subject_name(certificate), NID_organizationName);
}

Task<Result<size_t>> TlsSocket::read(char* to, size_t size) {
  for (;;) {
    if (socket_.closed()) co_return closed_here();
    ERR_clear_error();
    errno = 0;
    size_t got = 0;
    int done = SSL_read_ex(ssl_, to, size, &got);
    if (done == 1) co_return got;
    if (SSL_get_error(ssl_, done) == SSL_ERROR_ZERO_RETURN) co_return 0;
    CO_TRY(co_await wait(done, "read from"));
  }
}

Task<Result<void>> TlsSocket::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (socket_.closed()) co_return closed_here();
    ERR_clear_error();
    errno = 0;
    size_t put = 0;
    int done = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &put);
    if (done == 1) {
      bytes.remove_prefix(put);
    } else {
      CO_TRY(co_await wait(done, "write to"));
    }
  }
  co_return {};
}

// The last record's memory, for the next one of this thread; who waits for a socket has it to himself.
static thread_local std::string spare_record;

Task<Result<void>> TlsSocket::write_parts(std::span<const std::string_view> parts) {
  size_t offset = 0;
  while (!parts.empty()) {
    std::string_view first = parts[0].substr(offset);
    if (parts.size() == 1 || first.size() >= record_size) {
      CO_TRY(co_await write(first));
      parts = parts.subspan(1);
      offset = 0;
      continue;
    }
    // Small parts share a record: gathering them costs less than a record and a system call each.
    std::string record = std::exchange(spare_record, {});
    record.clear();
    record.reserve(record_size);
    while (!parts.empty() && record.size() < record_size) {
      std::string_view take = parts[0].substr(offset, record_size - record.size());
      record.append(take);
      offset += take.size();
      if (offset == parts[0].size()) {
        parts = parts.subspan(1);
        offset = 0;
      }
    }
    CO_TRY(co_await write(record));
    spare_record = std::move(record);
  }
  co_return {};
}

Task<Result<void>> TlsSocket::shutdown_write() {
  while (!socket_.closed() && usable_) {
    ERR_clear_error();
    errno = 0;
    int done = SSL_shutdown(ssl_);
    if (done >= 0) co_return {};
    CO_TRY(co_await wait(done, "shut down the connection to"));
  }
  co_return closed_here();
}

void TlsSocket::close() {
  if (socket_.closed()) return;
  if (usable_ && SSL_is_init_finished(ssl_)) {
    ERR_clear_error();
    SSL_shutdown(ssl_);  // once: the peer need not answer
  }
  usable_ = false;
  socket_.close();
}

// Certificate, key and protocols become those of the chosen context, which OpenSSL counts, but not what its callbacks use.
int TlsSocket::choose(SSL* ssl, int* alert, void* chooser) {
  auto* self = static_cast<TlsSocket*>(SSL_get_app_data(ssl));
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  self->chosen_ = (*static_cast<TlsChooser*>(chooser))(name ? name : "");
  if (!self->chosen_ || !SSL_set_SSL_CTX(ssl, self->chosen_->context)) {
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  return SSL_TLSEXT_ERR_OK;
}

// --- contexts --------------------------------------------------------------------------------------------------------------

std::string alpn_wire(const std::vector<std::string>& names) {
  std::string wire;
  for (const std::string& name : names) {
    wire += char(name.size());
    wire += name;
  }
  return wire;
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* length, const unsigned char* in, unsigned in_length, void* wire) {
  auto* ours = static_cast<std::string*>(wire);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, length, reinterpret_cast<const unsigned char*>(ours->data()), unsigned(ours->size()), in, in_length) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// A client certificate that does not verify is an answer of 401, not a broken handshake.
int accept_any_client(int ok, X509_STORE_CTX* store) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  if (!ok) static_cast<TlsSocket*>(SSL_get_app_data(ssl))->note_verify_error(X509_STORE_CTX_get_error(store));
  return 1;
}

Result<void> use_certificate(SSL_CTX* context, std::string_view certificate_pem, std::string_view key_pem) {
  auto chain = TRY(certificates_from_pem(certificate_pem));
  auto key = TRY(key_from_pem(key_pem));
  if (SSL_CTX_use_certificate(context, chain[0].get()) != 1) return openssl_fail("use the TLS certificate");
  for (size_t i = 1; i < chain.size(); ++i) SSL_CTX_add1_chain_cert(context, chain[i].get());
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return openssl_fail("use the TLS key (does it belong to the certificate?)");
  return {};
}

Result<void> trust(SSL_CTX* context, std::string_view ca_pem, bool announce) {
  for (auto& ca : TRY(certificates_from_pem(ca_pem))) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get());
    if (announce) SSL_CTX_add_client_CA(context, ca.get());
  }
  return {};
}

TlsContextRef make_context(const SSL_METHOD* method) {
  SSL_CTX* context = SSL_CTX_new(method);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_read_ahead(context, 1);  // one system call a record
  return std::make_shared<TlsContext>(context);
}

// Sessions live in tickets that the clients keep, not in memory here.
void keep_sessions_in_tickets(SSL_CTX* context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>("estiba"), 6);
  SSL_CTX_set_num_tickets(context, 1);
}

}  // namespace

Result<TlsContextRef> make_tls_server(const TlsServerOptions& options) {
  auto context = make_context(TLS_server_method());
  SSL_CTX* ctx = context->context;
  TRY(use_certificate(ctx, options.certificate_pem, options.key_pem));
  if (!options.client_ca_pem.empty()) {
    TRY_AS("client CA", trust(ctx, options.client_ca_pem, true));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any_client);
  }
  context->alpn = alpn_wire(options.alpn);
  SSL_CTX_set_alpn_select_cb(ctx, select_alpn, &context->alpn);
  keep_sessions_in_tickets(ctx);
  return context;
}

TlsContextRef make_tls_server(TlsChooser chooser) {
  auto context = make_context(TLS_server_method());
  context->chooser = std::move(chooser);
  SSL_CTX_set_tlsext_servername_callback(context->context, TlsSocket::choose);
  SSL_CTX_set_tlsext_servername_arg(context->context, &context->chooser);
  keep_sessions_in_tickets(context->context);
  return context;
}

TlsContextRef make_opening(Opening opening) {
  auto context = std::make_shared<TlsContext>(nullptr);
  context->opening = std::move(opening);
  return context;
}

Result<TlsContextRef> make_tls_client(const TlsClientOptions& options) {
  auto context = make_context(TLS_client_method());
  SSL_CTX* ctx = context->context;
  context->server_name = options.server_name;
  if (!options.certificate_pem.empty()) TRY(use_certificate(ctx, options.certificate_pem, options.key_pem));
  if (!options.ca_pem.empty()) {
    TRY_AS("CA", trust(ctx, options.ca_pem, false));
  } else {
    SSL_CTX_set_default_verify_paths(ctx);
  }
  SSL_CTX_set_verify(ctx, options.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  std::string wire = alpn_wire(options.alpn);
  SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const unsigned char*>(wire.data()), unsigned(wire.size()));
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, TlsSocket::new_session);
  return context;
}

Result<void> replace_certificate(const TlsContextRef& context, std::string_view certificate_pem, std::string_view key_pem) {
  SSL_CTX_clear_chain_certs(context->context);
  TRY(use_certificate(context->context, certificate_pem, key_pem));
  context->forget();  // a resumed session would go on to show the old one
  return {};
}

Task<Result<std::unique_ptr<TlsStream>>> tls_accept(TlsContextRef context, int fd) {
  if (context->opening) co_return co_await context->opening(fd);
  auto stream = std::make_unique<TlsSocket>(std::move(context), fd);
  SSL_set_accept_state(stream->ssl());
  CO_TRY(co_await stream->handshake());
  co_return std::unique_ptr<TlsStream>(std::move(stream));
}

Task<Result<std::unique_ptr<TlsStream>>> connect_tls(TlsContextRef context, std::string host, uint16_t port, std::string alpn) {
  int fd = CO_TRY(co_await connect_socket(host, port));
  std::string name = context->server_name.empty() ? host : context->server_name;
  auto stream = std::make_unique<TlsSocket>(context, fd);
  SSL* ssl = stream->ssl();
  SSL_set_connect_state(ssl);
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl);
  if (!X509_VERIFY_PARAM_set1_ip_asc(verify, name.c_str())) {
    SSL_set1_host(ssl, name.c_str());
    SSL_set_tlsext_host_name(ssl, name.c_str());
  }
  if (!alpn.empty()) {
    std::string wire = alpn_wire({alpn});
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(wire.data()), unsigned(wire.size()));
  }
  std::string key = name + ":" + std::to_string(port) + "/" + alpn;
  context->resume(key, ssl);
  stream->set_server(std::move(key));
  CO_TRY(co_await stream->handshake());
  co_return std::unique_ptr<TlsStream>(std::move(stream));
}

}  // namespace estiba::io
