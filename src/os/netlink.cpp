#include "os/netlink.h"

#include <sys/socket.h>

#include <cstring>

namespace estiba::os::netlink {

// --- building --------------------------------------------------------------------------------------------------------

void Batch::append(const void* data, size_t size) {
  if (size) bytes_.append(static_cast<const char*>(data), size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  // The header's length follows what is in the message; nobody has to close it.
  nlmsghdr header;
  size_t at = requests_.back().at;
  std::memcpy(&header, bytes_.data() + at, sizeof header);
  header.nlmsg_len = uint32_t(bytes_.size() - at);
  std::memcpy(bytes_.data() + at, &header, sizeof header);
}

void Batch::begin(uint16_t type, uint16_t flags, std::string what) {
  requests_.push_back({std::move(what), bytes_.size()});
  nlmsghdr header{
      .nlmsg_len = sizeof header, .nlmsg_type = type, .nlmsg_flags = uint16_t(flags | NLM_F_REQUEST), .nlmsg_seq = 0, .nlmsg_pid = 0};
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
}

void Batch::put(uint16_t attribute, const void* data, size_t size) {
  nlattr header{.nla_len = uint16_t(NLA_HDRLEN + size), .nla_type = attribute};
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
  append(data, size);
}

void Batch::put_name(uint16_t attribute, std::string_view text) { put(attribute, std::string(text).c_str(), text.size() + 1); }

void Batch::put_be64(uint16_t attribute, uint64_t value) {
  value = __builtin_bswap64(value);
  put(attribute, &value, 8);
}

size_t Batch::open(uint16_t attribute) {
  size_t at = bytes_.size();
  put(attribute | NLA_F_NESTED, nullptr, 0);
  return at;
}

void Batch::close(size_t nest) {
  uint16_t size = uint16_t(bytes_.size() - nest);
  std::memcpy(bytes_.data() + nest, &size, sizeof size);
}

void Batch::clear() {
  bytes_.clear();
  requests_.clear();
}

// --- reading ---------------------------------------------------------------------------------------------------------

void Attributes::each(UniqueFunction<void(uint16_t, std::string_view)> each) const {
  for (std::string_view rest = bytes_; rest.size() >= NLA_HDRLEN;) {
    nlattr header;
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.nla_len < NLA_HDRLEN || header.nla_len > rest.size()) return;
    each(header.nla_type & NLA_TYPE_MASK, rest.substr(NLA_HDRLEN, header.nla_len - NLA_HDRLEN));
    rest.remove_prefix(std::min<size_t>(NLA_ALIGN(header.nla_len), rest.size()));
  }
}

std::string_view Attributes::find(uint16_t attribute) const {
  std::string_view found;
  each([&](uint16_t number, std::string_view payload) {
    if (number == attribute && !found.data()) found = payload;
  });
  return found;
}

template <class N>
static N number(std::string_view payload, N otherwise) {
  N value;
  if (payload.size() < sizeof value) return otherwise;
  std::memcpy(&value, payload.data(), sizeof value);
  return value;
}

uint32_t Attributes::u32(uint16_t attribute, uint32_t otherwise) const { return number<uint32_t>(find(attribute), otherwise); }
uint8_t Attributes::u8(uint16_t attribute, uint8_t otherwise) const { return number<uint8_t>(find(attribute), otherwise); }
uint32_t Attributes::be32(uint16_t attribute, uint32_t otherwise) const {
  return __builtin_bswap32(number<uint32_t>(find(attribute), __builtin_bswap32(otherwise)));
}
uint16_t Attributes::be16(uint16_t attribute, uint16_t otherwise) const {
  return __builtin_bswap16(number<uint16_t>(find(attribute), __builtin_bswap16(otherwise)));
}
std::string_view Attributes::name(uint16_t attribute) const {
  std::string_view text = find(attribute);
  return text.substr(0, text.find('\0'));
}

Attributes Message::attributes(size_t header_size) const {
  return Attributes(body.substr(std::min(body.size(), size_t(NLMSG_ALIGN(header_size)))));
}

// --- the socket ------------------------------------------------------------------------------------------------------

Result<Socket> Socket::open(int family) {
  Socket socket;
  socket.fd_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family));
  if (!socket.fd_) return fail_errno("open a netlink socket");
  int fd = socket.fd_.get(), on = 1, size = 8 << 20;
  // A big transaction is one message to the socket, and its errors come all at once. FORCE needs CAP_NET_ADMIN, as all of this does.
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  sockaddr_nl address{.nl_family = AF_NETLINK};
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return fail_errno("bind a netlink socket");
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0) return fail_errno("read the address of a netlink socket");
  socket.port_ = address.nl_pid;
  socket.buffer_.resize(64 << 10);
  return socket;
}

Result<void> Socket::send(Batch& batch) {
  for (auto& request : batch.requests_) {
    uint32_t sequence = ++sequence_;
    std::memcpy(batch.bytes_.data() + request.at + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
  }
  sockaddr_nl kernel{.nl_family = AF_NETLINK};
  ssize_t sent;
  do {
    sent = sendto(fd_.get(), batch.bytes_.data(), batch.bytes_.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0)
    return fail_errno("send " + std::to_string(batch.count()) + " netlink requests, the first to " + batch.requests_.front().what);
  return {};
}

Result<size_t> Socket::receive(int flags) {
  for (;;) {
    ssize_t size = recv(fd_.get(), buffer_.data(), buffer_.size(), flags | MSG_TRUNC);
    if (size >= 0 && size_t(size) <= buffer_.size()) return size_t(size);
    if (size >= 0) return fail(Code::internal, "a netlink answer of " + std::to_string(size) + " bytes is too long");
    if (errno == EAGAIN) return size_t(0);
    if (errno != EINTR) return fail_errno("receive a netlink answer");
  }
}

// Calls f(header, body) for each message in the bytes until f returns false.
template <class F>
static void each_message(std::string_view bytes, F f) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) return;
    if (!f(header, bytes.substr(sizeof header, header.nlmsg_len - sizeof header))) return;
    bytes.remove_prefix(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
  }
}

// The request's name, the errno's text and, with NETLINK_EXT_ACK, the kernel's own words.
static Error refused(std::string_view what, int error, const nlmsghdr& header, std::string_view body) {
  Error refusal = fail_errno(what, error).error();
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) && body.size() > sizeof(nlmsgerr)) {
    size_t skip = sizeof(nlmsgerr);
    if (!(header.nlmsg_flags & NLM_F_CAPPED)) {
      nlmsgerr inner;
      std::memcpy(&inner, body.data(), sizeof inner);
      skip = sizeof(int) + NLMSG_ALIGN(inner.msg.nlmsg_len);
    }
    if (skip < body.size()) {
      std::string_view words = Attributes(body.substr(skip)).name(NLMSGERR_ATTR_MSG);
      if (!words.empty()) refusal.message.append(" (").append(words).append(")");
    }
  }
  return refusal;
}

Result<void> Socket::run(Batch& batch) {
  if (batch.empty()) return {};
  for (auto& request : batch.requests_) {
    uint16_t flags;
    char* at = batch.bytes_.data() + request.at + offsetof(nlmsghdr, nlmsg_flags);
    std::memcpy(&flags, at, sizeof flags);
    flags |= NLM_F_ACK;
    std::memcpy(at, &flags, sizeof flags);
  }
  uint32_t first = sequence_ + 1;
  TRY(send(batch));
  Result<void> result;
  for (size_t answered = 0; answered < batch.count();) {
    size_t size = TRY(receive(0));
    each_message(std::string_view(buffer_).substr(0, size), [&](const nlmsghdr& header, std::string_view body) {
      if (header.nlmsg_type != NLMSG_ERROR || header.nlmsg_seq - first >= batch.count() || body.size() < sizeof(int)) return true;
      ++answered;
      int error;
      std::memcpy(&error, body.data(), sizeof error);
      auto& request = batch.requests_[header.nlmsg_seq - first];
      if (error && -error != request.tolerated && result) result = std::unexpected(refused(request.what, -error, header, body));
      return true;
    });
  }
  return result;
}

Result<void> Socket::commit(Batch& batch) {
  uint32_t first = sequence_ + 1;
  TRY(send(batch));
  // nfnetlink handles a transaction within sendmsg, and only speaks of what it refuses: what there is to read is there now.
  Result<void> result;
  for (;;) {
    size_t size = TRY(receive(MSG_DONTWAIT));
    if (size == 0) return result;
    each_message(std::string_view(buffer_).substr(0, size), [&](const nlmsghdr& header, std::string_view body) {
      if (header.nlmsg_type != NLMSG_ERROR || header.nlmsg_seq - first >= batch.count() || body.size() < sizeof(int)) return true;
      int error;
      std::memcpy(&error, body.data(), sizeof error);
      if (error && result) result = std::unexpected(refused(batch.requests_[header.nlmsg_seq - first].what, -error, header, body));
      return true;
    });
  }
}

Result<void> Socket::dump(Batch& request, UniqueFunction<void(const Message&)> each) {
  TRY(send(request));
  Result<void> result;
  for (bool done = false; !done;) {
    size_t size = TRY(receive(0));
    each_message(std::string_view(buffer_).substr(0, size), [&](const nlmsghdr& header, std::string_view body) {
      if (header.nlmsg_seq != sequence_) return true;  // the rest of a dump that was given up
      int error = 0;
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
        if (body.size() >= sizeof error) std::memcpy(&error, body.data(), sizeof error);
        if (error < 0) result = std::unexpected(refused(request.requests_.front().what, -error, header, body));
        done = true;
        return false;
      }
      each(Message{header.nlmsg_type, body});
      return true;
    });
  }
  return result;
}

Result<void> Socket::get(Batch& request, UniqueFunction<void(const Message&)> answer) {
  TRY(send(request));
  Result<void> result;
  for (bool done = false; !done;) {
    size_t size = TRY(receive(0));
    each_message(std::string_view(buffer_).substr(0, size), [&](const nlmsghdr& header, std::string_view body) {
      if (header.nlmsg_seq != sequence_) return true;
      done = true;
      int error = 0;
      if (header.nlmsg_type == NLMSG_ERROR) {
        if (body.size() >= sizeof error) std::memcpy(&error, body.data(), sizeof error);
        result = std::unexpected(refused(request.requests_.front().what, -error, header, body));
      } else {
        answer(Message{header.nlmsg_type, body});
      }
      return false;
    });
  }
  return result;
}

Result<Fd> watch(int family, unsigned group) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, family));
  if (!fd) return fail_errno("open a netlink socket");
  // Without a bind its port number is 0, which the kernel's own messages leave out as their sender.
  sockaddr_nl address{.nl_family = AF_NETLINK};
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return fail_errno("bind a netlink socket");
  if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
    return fail_errno("join the netlink group " + std::to_string(group));
  return fd;
}

bool take(int fd, UniqueFunction<void(const Message&, uint32_t)> each) {
  std::string buffer(64 << 10, '\0');
  bool all = true;
  for (;;) {
    ssize_t size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != ENOBUFS) return all;
    if (size <= 0 || size_t(size) > buffer.size()) {
      all = false;
      if (size == 0) return all;
      continue;
    }
    each_message(std::string_view(buffer).substr(0, size_t(size)), [&](const nlmsghdr& header, std::string_view body) {
      each({header.nlmsg_type, body}, header.nlmsg_pid);
      return true;
    });
  }
}

void drain(int fd) {
  char bytes[4096];
  // ENOBUFS says that more came than there was room for: that too is news, and is over once it is told.
  while (::recv(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC) > 0 || errno == ENOBUFS || errno == EINTR) {
  }
}

}  // namespace estiba::os::netlink
