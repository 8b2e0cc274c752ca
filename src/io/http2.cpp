#include "io/http2.h"

#include "base/strings.h"

namespace estiba::io {

// --- Http2Stream -----------------------------------------------------------------------------------------------------------

void Http2Stream::push(Chunk chunk) {
  if (closed || chunk.size() == 0) return;
  out_bytes += chunk.size();
  out.push_back(std::move(chunk));
  if (std::exchange(deferred, false)) nghttp2_session_resume_data(connection->session(), id);
  connection->wake_writer();
}

void Http2Stream::end() {
  if (closed || out_ended) return;
  out_ended = true;
  if (std::exchange(deferred, false)) nghttp2_session_resume_data(connection->session(), id);
  connection->wake_writer();
}

Task<Result<void>> Http2Stream::wait_room(size_t limit) {
  while (!closed && out_bytes >= limit) {
    out_room.reset();
    co_await out_room.wait();
  }
  if (closed) co_return failure();
  co_return {};
}

Task<Result<std::string>> Http2Stream::read_piece() {
  while (in.empty() && !in_ended) {
    if (closed) co_return failure();
    in_ready.reset();
    co_await in_ready.wait();
  }
  std::string piece = std::exchange(in, {});
  if (!closed && !piece.empty()) {
    nghttp2_session_consume_stream(connection->session(), id, piece.size());
    connection->wake_writer();
  }
  co_return piece;
}

nghttp2_data_provider Http2Stream::provider() {
  auto read = [](nghttp2_session* session, int32_t id, uint8_t* to, size_t room, uint32_t* flags, nghttp2_data_source* source,
                 void*) -> ssize_t {
    auto* self = static_cast<Http2Stream*>(source->ptr);
    size_t copied = 0;
    while (copied < room && self->out_at < self->out.size()) {
      std::string_view bytes = self->out[self->out_at].bytes().substr(self->out_offset);
      size_t count = std::min(bytes.size(), room - copied);
      memcpy(to + copied, bytes.data(), count);
      copied += count;
      self->out_offset += count;
      if (count == bytes.size()) {
        self->out[self->out_at++] = {};
        self->out_offset = 0;
      }
    }
    if (self->out_at == self->out.size()) {
      self->out.clear();
      self->out_at = 0;
    }
    self->out_bytes -= copied;
    if (copied) self->out_room.set();
    if (self->out_bytes > 0) return ssize_t(copied);
    if (self->out_ended && self->out_broken) return copied ? ssize_t(copied) : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (self->out_ended) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!self->trailers.empty()) {
        std::vector<nghttp2_nv> pairs;
        std::vector<std::string> names;
        add_http2_headers(pairs, names, self->trailers);
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, pairs.data(), pairs.size());
      }
      return ssize_t(copied);
    }
    if (copied) return ssize_t(copied);
    self->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  };
  return {.source = {.ptr = this}, .read_callback = read};
}

// --- helpers -----------------------------------------------------------------------------------------------------------------

std::unexpected<Error> http2_failure(uint32_t code) {
  if (code == NGHTTP2_NO_ERROR) return fail(Code::unavailable, "the connection ended");
  return fail(Code::unavailable, "the stream was reset (" + std::string(nghttp2_http2_strerror(code)) + ")");
}

std::unexpected<Error> Http2Stream::failure() const {
  auto out = http2_failure(error);
  if (error == NGHTTP2_NO_ERROR && !connection->end_reason().empty()) out.error().message += ": " + connection->end_reason();
  return out;
}

nghttp2_nv http2_pair(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())), reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
          name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

static bool forbidden_in_http2(std::string_view name) {
  return name == "connection" || name == "transfer-encoding" || name == "keep-alive" || name == "upgrade" || name == "proxy-connection" ||
         name == "host";
}

void add_http2_headers(std::vector<nghttp2_nv>& pairs, std::vector<std::string>& names, const Headers& headers) {
  names.reserve(names.size() + headers.size());  // the pairs point into it
  for (const Header& header : headers) {
    std::string name = to_lower(header.name);
    if (forbidden_in_http2(name) || !is_http_value(header.value)) continue;
    names.push_back(std::move(name));
    pairs.push_back(http2_pair(names.back(), header.value));
  }
}

// --- callbacks ---------------------------------------------------------------------------------------------------------------

struct Http2Connection::Callbacks {
  static Http2Connection& self(void* user) { return *static_cast<Http2Connection*>(user); }
  static Http2Stream* find(nghttp2_session* session, int32_t id) {
    return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    auto stream = self(user).make_stream();
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream.get());
    self(user).adopt(frame->hd.stream_id, std::move(stream));
    return 0;
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* n, size_t n_size, const uint8_t* v, size_t v_size,
                    uint8_t, void* user) {
    Http2Stream* stream = find(session, frame->hd.stream_id);
    if (!stream || (stream->head_complete && !stream->keep_trailers)) return 0;
    std::string_view name(reinterpret_cast<const char*>(n), n_size), value(reinterpret_cast<const char*>(v), v_size);
    Http2Connection& connection = self(user);
    stream->header_bytes += n_size + v_size + 32;  // as RFC 9113 6.5.2 counts
    if (stream->header_bytes > connection.settings_.max_header_bytes || stream->headers.size() >= connection.settings_.max_headers) {
      stream->too_many_headers = true;
      return 0;
    }
    if (name.starts_with(':')) return connection.pseudo_header(*stream, name, value) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    Headers& kept = stream->head_complete ? stream->received_trailers : stream->headers;
    kept.add(std::string(name), std::string(value));
    return 0;
  }

  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Http2Stream* stream = find(session, frame->hd.stream_id);
    if (!stream) return 0;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
      stream->in_ended = true;
      stream->in_ready.set();
    }
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->head_complete) self(user).on_head(*stream);
    return 0;
  }

  static int data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void*) {
    // One stream whose reader is slow must not stop the others: only the stream's own window waits for the reader.
    nghttp2_session_consume_connection(session, size);
    Http2Stream* stream = find(session, id);
    if (!stream) return 0;
    stream->in.append(reinterpret_cast<const char*>(bytes), size);
    stream->in_ready.set();
    return 0;
  }

  static int frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (!self(user).settings_.server || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) return 0;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    Http2Stream* stream = find(session, frame->hd.stream_id);
    // The answer is complete; what the client may still send is not wanted (RFC 9113, 8.1).
    if (stream && !stream->in_ended) nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static int stream_closed(nghttp2_session* session, int32_t id, uint32_t code, void* user) {
    Http2Stream* stream = find(session, id);
    if (!stream) return 0;
    stream->closed = true;
    stream->error = code;
    stream->in_ready.set();
    stream->out_room.set();
    self(user).closed_.push_back(id);
    return 0;
  }

  static nghttp2_session_callbacks* table() {
    static nghttp2_session_callbacks* callbacks = [] {
      nghttp2_session_callbacks* c;
      nghttp2_session_callbacks_new(&c);
      nghttp2_session_callbacks_set_on_begin_headers_callback(c, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(c, header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame_received);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data);
      nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
      nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_closed);
      return c;
    }();
    return callbacks;
  }
};

// --- Http2Connection -----------------------------------------------------------------------------------------------------------

Http2Connection::Http2Connection(StreamPtr stream, Http2Settings settings) : stream_(std::move(stream)), settings_(settings) {
  nghttp2_option* option;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  // Clients that open streams only to reset them (CVE-2023-44487): 500 at once, 50 a second after that.
  nghttp2_option_set_stream_reset_rate_limit(option, 500, 50);
  if (settings.server) {
    nghttp2_session_server_new2(&session_, Callbacks::table(), this, option);
  } else {
    nghttp2_session_client_new2(&session_, Callbacks::table(), this, option);
  }
  nghttp2_option_del(option);
  nghttp2_settings_entry entries[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings.max_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, uint32_t(settings.max_header_bytes)},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries, settings.server ? 3 : 4);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, settings.connection_window);
}

Http2Connection::~Http2Connection() {
  streams_.clear();
  nghttp2_session_del(session_);
}

void Http2Connection::adopt(int32_t id, std::unique_ptr<Http2Stream> stream) {
  stream->id = id;
  stream->connection = this;
  streams_[id] = std::move(stream);
  on_streams_changed();
}

void Http2Connection::reset(Http2Stream& stream, uint32_t code) {
  if (stream.closed) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, code);
  wake_writer();
}

void Http2Connection::close_all() {
  for (auto& [id, stream] : streams_) {
    if (stream->closed) continue;
    stream->closed = true;
    stream->in_ready.set();
    stream->out_room.set();
    closed_.push_back(id);
  }
  sweep();
}

void Http2Connection::sweep() {
  if (closed_.empty()) return;
  auto closed = std::exchange(closed_, {});
  for (int32_t id : closed) {
    auto it = streams_.find(id);
    if (it == streams_.end()) continue;
    if (!may_forget(*it->second)) {
      closed_.push_back(id);
      continue;
    }
    auto gone = std::move(it->second);
    streams_.erase(it);
  }
  on_streams_changed();
}

Task<void> Http2Connection::read_loop(Event* done) {
  for (;;) {
    co_await stream_->readable();
    std::unique_ptr<char[]> buffer(new char[16 * 1024]);
    auto got = co_await stream_->read(buffer.get(), 16 * 1024);
    if (!got) end_reason_ = std::move(got.error().message);
    if (!got || *got == 0) break;
    ssize_t used = nghttp2_session_mem_recv(session_, reinterpret_cast<uint8_t*>(buffer.get()), *got);
    buffer.reset();
    if (used < 0) {
      nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
      wake_writer();
      co_await sleep_for(std::chrono::seconds(1));
      break;
    }
    sweep();
    after_receive();
    wake_writer();
    if (!nghttp2_session_want_read(session_)) break;
  }
  // What is queued (a GOAWAY) may still go out: the writer ends the connection after it.
  if (!nghttp2_session_want_read(session_)) co_await sleep_for(std::chrono::seconds(1));
  done->set();
}

Task<void> Http2Connection::write_loop(Event* done) {
  std::string out;
  for (;;) {
    out.clear();
    const uint8_t* bytes;
    ssize_t size = 0;
    while (out.size() < 64 * 1024 && (size = nghttp2_session_mem_send(session_, &bytes)) > 0)
      out.append(reinterpret_cast<const char*>(bytes), size_t(size));
    if (size < 0) break;
    sweep();
    if (!out.empty()) {
      if (!co_await stream_->write(out)) break;
      continue;
    }
    if (!nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_)) break;
    if (out.capacity() > 4096) std::string().swap(out);
    write_wanted_.reset();
    co_await write_wanted_.wait();
  }
  done->set();
}

Task<void> Http2Connection::run_connection() {
  Event done;
  Job writer(write_loop(&done));
  Job reader(read_loop(&done));
  co_await done.wait();
}

}  // namespace estiba::io
