#include "io/spdy.h"

#include <deque>
#include <map>

#include "io/frame_lock.h"
#include "io/http1.h"
#include "io/spdy_headers.h"

namespace estiba::io {

using namespace std::chrono_literals;

namespace {

enum Type : uint16_t {
  syn_stream = 1,
  syn_reply = 2,
  rst_stream = 3,
  settings = 4,
  ping = 6,
  goaway = 7,
  headers_frame = 8,
  window_update = 9
};
constexpr uint8_t flag_fin = 1;
constexpr uint32_t status_cancel = 5;
constexpr size_t most_control = 64 * 1024;
constexpr size_t most_data = 4 * 1024 * 1024;
constexpr size_t most_queued = 1024 * 1024;  // a stream's unread bytes, before the connection is not read any further
constexpr size_t most_streams = 1000;
constexpr size_t data_piece = 32 * 1024;

std::string control_head(uint16_t type, uint8_t flags, size_t length) {
  std::string out;
  put_u32(out, 0x80030000u | type);
  put_u32(out, uint32_t(flags) << 24 | uint32_t(length));
  return out;
}

}  // namespace

struct SpdySession::State {
  uint32_t id = 0;
  Headers headers;
  std::string in;
  size_t in_at = 0;
  bool in_ended = false, out_ended = false, reset = false, replied = false;
  bool abandoned = false;  // nobody holds the stream
  Event changed;           // bytes, end, reset or reply came
  Event room;              // bytes were taken
};

struct SpdySession::Core {
  Core(StreamPtr s, bool server) : stream(std::move(s)), lock(*stream), server(server), next_id(server ? 2 : 1) {}
  StreamPtr stream;
  FrameLock lock;
  SpdyHeaderCodec codec;
  ReadBuffer buffer;
  bool server;
  uint32_t next_id;
  std::map<uint32_t, std::shared_ptr<State>> streams;
  std::deque<std::shared_ptr<State>> opened;
  Event arrived, finished;
  bool over = false;
  TaskGroup resets;  // RST_STREAMs of streams that were let go

  static Task<void> run(std::shared_ptr<Core> core);
  static Task<Result<void>> read_frames(Core* core);
  Task<Result<void>> need(size_t bytes);
  Task<Result<void>> control_frame(uint32_t word, uint8_t flags, std::string_view payload);
  Task<Result<void>> data_frame(uint32_t id, uint8_t flags, size_t length);
  Result<void> on_syn_stream(uint8_t flags, std::string_view payload);
  Task<Result<void>> send_control(uint16_t type, std::string payload);
  Task<Result<void>> send_data(State* state, std::string_view bytes, uint8_t flags);
  void forget_if_done(const std::shared_ptr<State>& state);
  std::shared_ptr<State> find(uint32_t id) {
    auto it = streams.find(id);
    return it == streams.end() ? nullptr : it->second;
  }
};

// --- receiving -----------------------------------------------------------------------------------------------------------------

Task<Result<void>> SpdySession::Core::need(size_t bytes) {
  while (buffer.bytes().size() < bytes)
    if (CO_TRY(co_await buffer.fill(*stream)) == 0) co_return fail(Code::unavailable, "SPDY: the connection ended");
  co_return {};
}

Task<void> SpdySession::Core::run(std::shared_ptr<Core> core) {
  co_await read_frames(core.get());
  core->over = true;
  core->stream->close();
  for (auto& [_, state] : core->streams) {
    if (!state->in_ended) state->reset = true;
    state->changed.set();
    state->room.set();
  }
  core->arrived.set();
  core->finished.set();
}

Task<Result<void>> SpdySession::Core::read_frames(Core* core) {
  for (;;) {
    if (core->buffer.empty()) {
      core->buffer.release();
      co_await core->stream->readable();
    }
    CO_TRY(co_await core->need(8));
    uint32_t word = get_u32(core->buffer.bytes(), 0), second = get_u32(core->buffer.bytes(), 4);
    uint8_t flags = uint8_t(second >> 24);
    size_t length = second & 0xffffff;
    core->buffer.consume(8);
    if (!(word & 0x80000000u)) {
      CO_TRY(co_await core->data_frame(word, flags, length));
      continue;
    }
    if (length > most_control) co_return fail(Code::too_large, "SPDY: a control frame is too large");
    CO_TRY(co_await core->need(length));
    std::string payload(core->buffer.bytes().substr(0, length));
    core->buffer.consume(length);
    CO_TRY(co_await core->control_frame(word, flags, payload));
  }
}

Task<Result<void>> SpdySession::Core::data_frame(uint32_t id, uint8_t flags, size_t length) {
  if (length > most_data) co_return fail(Code::too_large, "SPDY: a data frame is too large");
  auto state = find(id);
  while (length > 0) {
    CO_TRY(co_await need(1));
    std::string_view bytes = buffer.bytes().substr(0, length);
    if (state && !state->abandoned && !state->reset) {
      state->in += bytes;
      state->changed.set();
    }
    length -= bytes.size();
    buffer.consume(bytes.size());
    // What is not read is not taken from the transport, which holds the sender back.
    while (state && !state->abandoned && !state->reset && state->in.size() - state->in_at > most_queued) {
      state->room.reset();
      co_await state->room.wait();
    }
  }
  if (state && (flags & flag_fin)) {
    state->in_ended = true;
    state->changed.set();
    forget_if_done(state);
  }
  co_return {};
}

Result<void> SpdySession::Core::on_syn_stream(uint8_t flags, std::string_view payload) {
  if (payload.size() < 10) return fail(Code::malformed, "SPDY: a SYN_STREAM frame is too short");
  auto state = std::make_shared<State>();
  state->id = get_u32(payload, 0) & 0x7fffffff;
  state->headers = TRY(codec.decode(payload.substr(10)));
  state->in_ended = flags & flag_fin;
  bool from_peer = (state->id % 2 == 1) == server;
  if (!from_peer || streams.contains(state->id) || streams.size() >= most_streams)
    return fail(Code::malformed, "SPDY: a stream cannot be opened");
  streams[state->id] = state;
  opened.push_back(std::move(state));
  arrived.set();
  return {};
}

Task<Result<void>> SpdySession::Core::control_frame(uint32_t word, uint8_t flags, std::string_view payload) {
  uint16_t version = (word >> 16) & 0x7fff, type = word & 0xffff;
  if (version != 3) co_return fail(Code::malformed, "SPDY: version " + std::to_string(version) + " is not supported");
  switch (type) {
    case syn_stream:
      co_return on_syn_stream(flags, payload);
    case syn_reply:
    case headers_frame: {
      if (payload.size() < 4) co_return fail(Code::malformed, "SPDY: a frame is too short");
      CO_TRY(codec.decode(payload.substr(4)));  // keeps the compression's state right
      auto state = find(get_u32(payload, 0) & 0x7fffffff);
      if (!state) break;
      if (type == syn_reply) state->replied = true;
      if (flags & flag_fin) state->in_ended = true;
      state->changed.set();
      break;
    }
    case rst_stream: {
      if (payload.size() < 8) co_return fail(Code::malformed, "SPDY: a frame is too short");
      auto state = find(get_u32(payload, 0) & 0x7fffffff);
      if (!state) break;
      state->reset = true;
      state->changed.set();
      state->room.set();
      streams.erase(state->id);
      break;
    }
    case ping: {
      if (payload.size() < 4) co_return fail(Code::malformed, "SPDY: a frame is too short");
      bool from_peer = (get_u32(payload, 0) % 2 == 1) == server;
      if (from_peer) CO_TRY(co_await send_control(ping, std::string(payload.substr(0, 4))));
      break;
    }
    default:
      break;  // SETTINGS, GOAWAY, WINDOW_UPDATE: nothing to do; the peer closes the connection when it is done
  }
  co_return {};
}

void SpdySession::Core::forget_if_done(const std::shared_ptr<State>& state) {
  if (state->in_ended && state->out_ended) streams.erase(state->id);
}

// --- sending -------------------------------------------------------------------------------------------------------------------

Task<Result<void>> SpdySession::Core::send_control(uint16_t type, std::string payload) {
  auto turn = co_await lock.take();
  std::string head = control_head(type, 0, payload.size());
  co_return co_await turn.write(head, payload);
}

Task<Result<void>> SpdySession::Core::send_data(State* state, std::string_view bytes, uint8_t flags) {
  do {
    if (state->reset || state->out_ended || over) co_return fail(Code::unavailable, "SPDY: the stream has ended");
    std::string_view piece = bytes.substr(0, data_piece);
    bytes.remove_prefix(piece.size());
    std::string head;
    put_u32(head, state->id);
    put_u32(head, uint32_t(bytes.empty() ? flags : 0) << 24 | uint32_t(piece.size()));
    auto turn = co_await lock.take();
    CO_TRY(co_await turn.write(head, piece));
  } while (!bytes.empty());
  co_return {};
}

// --- SpdySession ---------------------------------------------------------------------------------------------------------------

SpdySession::SpdySession(StreamPtr stream, bool server)
    : core_(std::make_shared<Core>(std::move(stream), server)), reader_(Core::run(core_)) {}

SpdySession::~SpdySession() {
  core_->over = true;
  reader_.cancel();
  core_->stream->close();
  for (auto& [_, state] : core_->streams) {
    state->reset = true;
    state->changed.set();
    state->room.set();
  }
}

Task<SpdyStreamPtr> SpdySession::accept() {
  auto core = core_;
  for (;;) {
    if (!core->opened.empty()) {
      auto state = core->opened.front();
      core->opened.pop_front();
      SpdyStreamPtr stream(new SpdyStream(core, state));
      auto turn = co_await core->lock.take();
      std::string payload;
      put_u32(payload, state->id);
      payload += core->codec.encode({});
      std::string head = control_head(syn_reply, 0, payload.size());
      if (!co_await turn.write(head, payload)) co_return nullptr;
      co_return stream;
    }
    if (core->over) co_return nullptr;
    core->arrived.reset();
    co_await core->arrived.wait();
  }
}

Task<Result<SpdyStreamPtr>> SpdySession::open(Headers headers) {
  auto core = core_;
  auto state = std::make_shared<State>();
  state->headers = std::move(headers);
  SpdyStreamPtr stream(new SpdyStream(core, state));
  {
    auto turn = co_await core->lock.take();
    if (core->over) co_return fail(Code::unavailable, "SPDY: the connection has ended");
    state->id = core->next_id;
    core->next_id += 2;
    core->streams[state->id] = state;
    std::string payload;
    put_u32(payload, state->id);
    put_u32(payload, 0);
    payload.append(2, '\0');  // priority and slot
    payload += core->codec.encode(state->headers);
    std::string head = control_head(syn_stream, 0, payload.size());
    CO_TRY(co_await turn.write(head, payload));
  }
  while (!state->replied) {
    if (state->reset) co_return fail(Code::unavailable, "SPDY: the peer refused the stream");
    state->changed.reset();
    co_await state->changed.wait();
  }
  co_return stream;
}

Task<void> SpdySession::ended() {
  auto core = core_;
  if (!core->over) co_await core->finished.wait();
}

Task<void> SpdySession::close() {
  auto core = core_;
  std::string payload;
  put_u32(payload, 0);
  put_u32(payload, 0);
  auto sent = co_await with_timeout(2s, core->send_control(goaway, std::move(payload)));
  if (sent && *sent && !core->over) {
    co_await core->stream->shutdown_write();
    co_await core->finished.wait_for(2s);
  }
  core->over = true;
  core->stream->close();
}

// --- SpdyStream ----------------------------------------------------------------------------------------------------------------

SpdyStream::SpdyStream(std::shared_ptr<SpdySession::Core> core, std::shared_ptr<SpdySession::State> state)
    : core_(std::move(core)), state_(std::move(state)) {}

SpdyStream::~SpdyStream() { close(); }

const Headers& SpdyStream::headers() const { return state_->headers; }
uint32_t SpdyStream::id() const { return state_->id; }
const Peer& SpdyStream::peer() const { return core_->stream->peer(); }

Task<Result<size_t>> SpdyStream::read(char* to, size_t size) {
  auto state = state_;
  while (state->in_at == state->in.size()) {
    if (state->in_ended) co_return 0;
    if (state->reset) co_return fail(Code::unavailable, "SPDY: the stream was reset");
    state->changed.reset();
    co_await state->changed.wait();
  }
  size = std::min(size, state->in.size() - state->in_at);
  memcpy(to, state->in.data() + state->in_at, size);
  state->in_at += size;
  if (state->in_at == state->in.size()) {
    std::string().swap(state->in);
    state->in_at = 0;
  }
  state->room.set();
  co_return size;
}

Task<Result<void>> SpdyStream::write(std::string_view bytes) {
  auto core = core_;
  auto state = state_;
  if (bytes.empty()) co_return {};
  co_return co_await core->send_data(state.get(), bytes, 0);
}

Task<Result<void>> SpdyStream::shutdown_write() {
  auto core = core_;
  auto state = state_;
  if (state->out_ended) co_return {};
  CO_TRY(co_await core->send_data(state.get(), {}, flag_fin));
  state->out_ended = true;
  core->forget_if_done(state);
  co_return {};
}

void SpdyStream::close() {
  bool unfinished = state_->id != 0 && !state_->reset && !(state_->in_ended && state_->out_ended) && !core_->over;
  state_->abandoned = true;
  state_->reset = state_->reset || unfinished;
  state_->changed.set();
  state_->room.set();
  core_->streams.erase(state_->id);
  if (!unfinished) return;
  struct Reset {
    static Task<void> go(SpdySession::Core* core, uint32_t id) {
      std::string payload;
      put_u32(payload, id);
      put_u32(payload, status_cancel);
      co_await core->send_control(rst_stream, std::move(payload));
    }
  };
  core_->resets.start(Reset::go(core_.get(), state_->id));
}

}  // namespace estiba::io
