#include "image/stream.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

namespace estiba::image {

Result<size_t> FileSource::read(std::span<char> buffer) {
  size_t want = buffer.size();
  if (positioned_) want = std::min<uint64_t>(want, left_);
  if (want == 0) return 0;
  for (;;) {
    ssize_t n = positioned_ ? ::pread(fd_, buffer.data(), want, off_t(offset_)) : ::read(fd_, buffer.data(), want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read");
    if (positioned_) {
      if (n == 0) return fail(Code::malformed, "the file ends early: " + std::to_string(left_) + " more bytes expected");
      offset_ += uint64_t(n);
      left_ -= uint64_t(n);
    }
    return size_t(n);
  }
}

Result<size_t> StringSource::read(std::span<char> buffer) {
  size_t n = text_.copy(buffer.data(), buffer.size());
  text_.remove_prefix(n);
  return n;
}

Result<size_t> HashingSource::read(std::span<char> buffer) {
  size_t n = TRY(inner_.read(buffer));
  std::string_view bytes(buffer.data(), n);
  hash_.update(bytes);
  count_ += n;
  if (tee_ && n) TRY(tee_->write(bytes));
  return n;
}

Result<void> FileSink::write(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write");
    bytes.remove_prefix(size_t(n));
  }
  return {};
}

Result<void> HashingSink::write(std::string_view bytes) {
  hash_.update(bytes);
  count_ += bytes.size();
  return inner_.write(bytes);
}

struct Decompressor::State {
  std::unique_ptr<char[]> buffer = std::make_unique<char[]>(chunk_size);
  size_t begin = 0, end = 0;
  bool detected = false, input_ended = false;
  bool in_frame = false;  // of gzip or zstd, so that an end of input means truncation
  z_stream gzip{};
  bool gzip_ready = false;
  ZSTD_DStream* zstd = nullptr;

  ~State() {
    if (gzip_ready) inflateEnd(&gzip);
    if (zstd) ZSTD_freeDStream(zstd);
  }
};

Decompressor::Decompressor(Source& inner) : inner_(inner), state_(std::make_unique<State>()) {}
Decompressor::~Decompressor() = default;

/// True when there is input, false at its end.
Result<bool> Decompressor::refill() {
  State& s = *state_;
  if (s.begin < s.end) return true;
  if (s.input_ended) return false;
  s.begin = 0;
  s.end = TRY(inner_.read({s.buffer.get(), chunk_size}));
  if (s.end == 0) s.input_ended = true;
  return s.end > 0;
}

Result<void> Decompressor::detect() {
  State& s = *state_;
  s.detected = true;
  while (s.end < 4) {
    size_t n = TRY(inner_.read({s.buffer.get() + s.end, chunk_size - s.end}));
    if (n == 0) {
      s.input_ended = true;
      break;
    }
    s.end += n;
  }
  std::string_view head(s.buffer.get(), s.end);
  if (head.starts_with("\x1f\x8b")) {
    if (inflateInit2(&s.gzip, 15 + 16) != Z_OK) return fail(Code::internal, "zlib: no memory");
    s.gzip_ready = true;
    compression_ = Compression::gzip;
  } else if (head.starts_with("\x28\xb5\x2f\xfd")) {
    s.zstd = ZSTD_createDStream();
    // A window of 128 MiB is what `zstd --long` makes; more would let an archive ask for any amount of memory.
    ZSTD_DCtx_setParameter(s.zstd, ZSTD_d_windowLogMax, 27);
    compression_ = Compression::zstd;
  }
  return {};
}

Result<Compression> Decompressor::find_compression() {
  if (!state_->detected) TRY(detect());
  return compression_;
}

Result<size_t> Decompressor::read(std::span<char> buffer) {
  if (!state_->detected) TRY(detect());
  if (compression_ == Compression::gzip) return read_gzip(buffer);
  if (compression_ == Compression::zstd) return read_zstd(buffer);
  State& s = *state_;
  if (s.begin == s.end) return s.input_ended ? Result<size_t>(0) : inner_.read(buffer);
  size_t n = std::min(buffer.size(), s.end - s.begin);
  std::memcpy(buffer.data(), s.buffer.get() + s.begin, n);
  s.begin += n;
  return n;
}

Result<size_t> Decompressor::read_gzip(std::span<char> buffer) {
  State& s = *state_;
  s.gzip.next_out = reinterpret_cast<Bytef*>(buffer.data());
  s.gzip.avail_out = uInt(std::min<size_t>(buffer.size(), 1u << 30));
  const uInt room = s.gzip.avail_out;
  while (s.gzip.avail_out == room) {
    if (!TRY(refill())) {
      if (s.in_frame) return fail(Code::malformed, "the gzip data ends early: the archive is truncated");
      return 0;
    }
    if (!s.in_frame) {  // a further member: gzip files may be concatenated; zero padding behind the last is ignored
      if (s.buffer[s.begin] == '\0') {
        ++s.begin;
        continue;
      }
      inflateReset(&s.gzip);
      s.in_frame = true;
    }
    s.gzip.next_in = reinterpret_cast<Bytef*>(s.buffer.get() + s.begin);
    s.gzip.avail_in = uInt(s.end - s.begin);
    int status = inflate(&s.gzip, Z_NO_FLUSH);
    s.begin = s.end - s.gzip.avail_in;
    if (status == Z_STREAM_END) s.in_frame = false;
    else if (status != Z_OK && status != Z_BUF_ERROR)
      return fail(Code::malformed, std::string("the gzip data is damaged: ") + (s.gzip.msg ? s.gzip.msg : "unknown error"));
  }
  return room - s.gzip.avail_out;
}

Result<size_t> Decompressor::read_zstd(std::span<char> buffer) {
  State& s = *state_;
  ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
  while (out.pos == 0) {
    bool more = TRY(refill());
    if (!more && !s.in_frame) return 0;
    ZSTD_inBuffer in{s.buffer.get(), s.end, s.begin};
    size_t left = ZSTD_decompressStream(s.zstd, &out, &in);
    if (ZSTD_isError(left)) return fail(Code::malformed, std::string("the zstd data is damaged: ") + ZSTD_getErrorName(left));
    s.begin = in.pos;
    s.in_frame = left != 0;
    if (!more && out.pos == 0) return fail(Code::malformed, "the zstd data ends early: the archive is truncated");
  }
  return out.pos;
}

struct ZstdSink::State {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  std::unique_ptr<char[]> buffer = std::make_unique<char[]>(chunk_size);
  ~State() { ZSTD_freeCCtx(context); }
};

ZstdSink::ZstdSink(Sink& inner) : inner_(inner), state_(std::make_unique<State>()) {
  ZSTD_CCtx_setParameter(state_->context, ZSTD_c_compressionLevel, 1);
  ZSTD_CCtx_setParameter(state_->context, ZSTD_c_checksumFlag, 1);
}
ZstdSink::~ZstdSink() = default;

Result<void> ZstdSink::step(std::string_view bytes, int mode) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{state_->buffer.get(), chunk_size, 0};
    size_t left = ZSTD_compressStream2(state_->context, &out, &in, ZSTD_EndDirective(mode));
    if (ZSTD_isError(left)) return fail(Code::internal, std::string("zstd: ") + ZSTD_getErrorName(left));
    if (out.pos) TRY(inner_.write({state_->buffer.get(), out.pos}));
    if (mode == ZSTD_e_end ? left == 0 : in.pos == in.size) return {};
  }
}
Result<void> ZstdSink::write(std::string_view bytes) { return step(bytes, ZSTD_e_continue); }
Result<void> ZstdSink::finish() { return step({}, ZSTD_e_end); }

struct GzipSink::State {
  z_stream stream{};
  std::unique_ptr<char[]> buffer = std::make_unique<char[]>(chunk_size);
  ~State() { deflateEnd(&stream); }
};

GzipSink::GzipSink(Sink& inner, int level) : inner_(inner), state_(std::make_unique<State>()) {
  deflateInit2(&state_->stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}
GzipSink::~GzipSink() = default;

Result<void> GzipSink::step(std::string_view bytes, int mode) {
  z_stream& z = state_->stream;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = uInt(bytes.size());
  for (;;) {
    z.next_out = reinterpret_cast<Bytef*>(state_->buffer.get());
    z.avail_out = uInt(chunk_size);
    int status = deflate(&z, mode);
    if (status == Z_STREAM_ERROR) return fail(Code::internal, "zlib: cannot compress");
    size_t n = chunk_size - z.avail_out;
    if (n) TRY(inner_.write({state_->buffer.get(), n}));
    if (mode == Z_FINISH ? status == Z_STREAM_END : z.avail_in == 0 && z.avail_out != 0) return {};
  }
}
Result<void> GzipSink::write(std::string_view bytes) {
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, 1u << 30);
    TRY(step(part, Z_NO_FLUSH));
    bytes.remove_prefix(part.size());
  }
  return {};
}
Result<void> GzipSink::finish() { return step({}, Z_FINISH); }

Result<uint64_t> copy_all(Source& source, Sink* sink, uint64_t limit) {
  auto buffer = std::make_unique_for_overwrite<char[]>(chunk_size);
  uint64_t total = 0;
  for (;;) {
    size_t n = TRY(source.read({buffer.get(), chunk_size}));
    if (n == 0) return total;
    total += n;
    if (total > limit) return fail(Code::too_large, "more than " + std::to_string(limit) + " bytes");
    if (sink) TRY(sink->write({buffer.get(), n}));
  }
}

Result<std::string> read_all(Source& source, uint64_t limit) {
  struct StringSink final : Sink {
    std::string text;
    Result<void> write(std::string_view bytes) override {
      text += bytes;
      return {};
    }
  } sink;
  TRY(copy_all(source, &sink, limit));
  return std::move(sink.text);
}

}  // namespace estiba::image
