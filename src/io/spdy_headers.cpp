#include "io/spdy_headers.h"

#include <zlib.h>

#include "base/strings.h"

namespace estiba::io {

// The draft prints it as bytes: words with their lengths before them, then loose text.
const std::string& spdy_dictionary() {
  static const std::string dictionary = [] {
    constexpr std::string_view words =
        "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization "
        "cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range "
        "content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since "
        "last-modified "
        "location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding "
        "upgrade user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive "
        "origin";
    std::string out;
    for (std::string_view word : split(words, ' ')) {
      put_u32(out, uint32_t(word.size()));
      out += word == "200_OK" ? "200 OK" : word;
    }
    out +=
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information"
        "204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
        "501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, "
        "Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
        "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
    return out;
  }();
  return dictionary;
}

void put_u32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += char(value >> shift);
}

uint32_t get_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | uint8_t(bytes[at + i]);
  return value;
}

struct SpdyHeaderCodec::State {
  z_stream deflate{}, inflate{};
};

static const Bytef* dictionary_bytes() { return reinterpret_cast<const Bytef*>(spdy_dictionary().data()); }

SpdyHeaderCodec::SpdyHeaderCodec() : state_(std::make_unique<State>()) {
  // A window of 2 KiB holds the dictionary; the default would cost 256 KiB a connection.
  deflateInit2(&state_->deflate, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 11, 4, Z_DEFAULT_STRATEGY);
  deflateSetDictionary(&state_->deflate, dictionary_bytes(), uInt(spdy_dictionary().size()));
  inflateInit(&state_->inflate);
}

SpdyHeaderCodec::~SpdyHeaderCodec() {
  deflateEnd(&state_->deflate);
  inflateEnd(&state_->inflate);
}

std::string SpdyHeaderCodec::encode(const Headers& headers) {
  std::string plain;
  put_u32(plain, uint32_t(headers.size()));
  for (const Header& header : headers) {
    put_u32(plain, uint32_t(header.name.size()));
    plain += to_lower(header.name);
    put_u32(plain, uint32_t(header.value.size()));
    plain += header.value;
  }
  z_stream& z = state_->deflate;
  std::string out(deflateBound(&z, plain.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(plain.data());
  z.avail_in = uInt(plain.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = uInt(out.size());
  deflate(&z, Z_SYNC_FLUSH);
  out.resize(out.size() - z.avail_out);
  return out;
}

static Result<std::string> inflate_block(z_stream& z, std::string_view block) {
  constexpr size_t most = 64 * 1024;
  std::string plain;
  char buffer[4096];
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  z.avail_in = uInt(block.size());
  do {
    z.next_out = reinterpret_cast<Bytef*>(buffer);
    z.avail_out = sizeof buffer;
    int result = inflate(&z, Z_SYNC_FLUSH);
    if (result == Z_NEED_DICT) result = inflateSetDictionary(&z, dictionary_bytes(), uInt(spdy_dictionary().size()));
    if (result != Z_OK && result != Z_BUF_ERROR) return fail(Code::malformed, "SPDY: a header block does not decompress");
    size_t got = sizeof buffer - z.avail_out;
    if (plain.size() + got > most) return fail(Code::too_large, "SPDY: a header block is larger than 64 KiB");
    plain.append(buffer, got);
    if (result == Z_BUF_ERROR) break;
  } while (z.avail_in > 0 || z.avail_out == 0);
  return plain;
}

Result<Headers> SpdyHeaderCodec::decode(std::string_view block) {
  std::string plain = TRY(inflate_block(state_->inflate, block));
  auto malformed = [] { return fail(Code::malformed, "SPDY: a header block is malformed"); };
  size_t at = 0;
  auto text = [&](std::string& out) {
    if (plain.size() - at < 4) return false;
    uint32_t size = get_u32(plain, at);
    at += 4;
    if (plain.size() - at < size) return false;
    out.assign(plain, at, size);
    at += size;
    return true;
  };
  if (plain.size() < 4) return malformed();
  uint32_t count = get_u32(plain, 0);
  at = 4;
  Headers headers;
  for (uint32_t i = 0; i < count; ++i) {
    std::string name, values;
    if (!text(name) || !text(values)) return malformed();
    for (std::string_view value : split(values, '\0')) headers.add(name, std::string(value));
  }
  return headers;
}

}  // namespace estiba::io
