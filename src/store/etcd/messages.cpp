#include "store/etcd/messages.h"

#include "base/protobuf_wire.h"

namespace estiba::store::etcd {

namespace {

using wire::Field;
using wire::put_bytes;
using wire::put_int;
using wire::Reader;

void put_flag(std::string& out, uint32_t number, bool value) {
  if (value) put_int(out, number, 1);
}
void put_number(std::string& out, uint32_t number, int64_t value) {
  if (value) put_int(out, number, value);
}

std::string put_request(const Put& put) {
  std::string out;
  out.reserve(put.key.size() + put.value.size() + 16);
  put_bytes(out, 1, put.key);
  put_bytes(out, 2, put.value);
  return out;
}

std::string one_of(uint32_t number, std::string_view message) {
  std::string out;
  put_bytes(out, number, message);
  return out;
}

// The numbers of RequestOp's and ResponseOp's alternatives.
constexpr uint32_t op_range = 1, op_put = 2, op_delete = 3;

/// Calls visit(field) for each field of a message; false when it is no message.
template <class F>
bool each_field(std::string_view bytes, F&& visit) {
  Reader reader(bytes);
  while (!reader.done()) {
    auto field = reader.next();
    if (!field || !visit(*field)) return false;
  }
  return true;
}

bool read_header(const Field& field, Revision& revision) {
  return each_field(field.bytes, [&](const Field& inner) {
    if (inner.number == 3) revision = Revision(inner.integer);
    return true;
  });
}

bool read_kv(std::string_view bytes, KeyValue& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: out.key = field.bytes; break;
      case 2: out.create_revision = Revision(field.integer); break;
      case 3: out.mod_revision = Revision(field.integer); break;
      case 4: out.version = int64_t(field.integer); break;
      case 5: out.value = field.bytes; break;
    }
    return true;
  });
}

bool read_range(std::string_view bytes, RangeAnswer& out) {
  return each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return read_header(field, out.revision);
      case 2: return read_kv(field.bytes, out.kvs.emplace_back());
      case 3: out.more = field.integer != 0; break;
      case 4: out.count = int64_t(field.integer); break;
    }
    return true;
  });
}

bool read_event(std::string_view bytes, WatchEvent& out) {
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 1) out.removed = field.integer == 1;
    if (field.number == 2) return read_kv(field.bytes, out.kv);
    return true;
  });
}

std::unexpected<Error> not_a_message(std::string_view what) {
  return fail(Code::internal, "etcd's answer is not a " + std::string(what) + ": is the address that of an etcd?");
}

}  // namespace

std::string prefix_end(std::string_view prefix) {
  std::string out(prefix);
  while (!out.empty() && uint8_t(out.back()) == 0xff) out.pop_back();
  if (out.empty()) return std::string(1, '\0');  // etcd's sign for "to the end"
  out.back() = char(uint8_t(out.back()) + 1);
  return out;
}

std::string encode(const RangeRequest& request) {
  std::string out;
  put_bytes(out, 1, request.key);
  if (!request.end.empty()) put_bytes(out, 2, request.end);
  put_number(out, 3, request.limit);
  put_number(out, 4, request.revision);
  put_flag(out, 8, request.keys_only);
  put_flag(out, 9, request.count_only);
  return out;
}

std::string encode_txn(const std::vector<Step>& steps) {
  std::string out;
  size_t bytes = 0;
  for (const Step& step : steps) bytes += 3 * step.key.size() + (step.put ? step.put->value.size() : 0) + 64;
  out.reserve(bytes);
  for (const Step& step : steps) {
    if (!step.compare) continue;
    std::string inner;
    put_number(inner, 1, int64_t(step.compare->relation));
    put_number(inner, 2, int64_t(step.compare->target));
    put_bytes(inner, 3, step.compare->key);
    put_int(inner, 4 + uint32_t(step.compare->target), step.compare->operand);  // a member of a oneof: zero is written too
    put_bytes(out, 1, inner);
  }
  for (const Step& step : steps)
    put_bytes(out, 2, step.put ? one_of(op_put, put_request(*step.put)) : one_of(op_delete, one_of(1, step.key)));
  for (const Step& step : steps) put_bytes(out, 3, one_of(op_range, encode(RangeRequest{.key = step.key, .keys_only = true})));
  return out;
}

std::string encode_puts(const std::vector<Put>& puts) {
  std::string out;
  for (const Put& put : puts) put_bytes(out, 2, one_of(op_put, put_request(put)));
  return out;
}

std::string encode_delete(std::string_view key) { return one_of(1, key); }

std::string encode_compaction(Revision revision) {
  std::string out;
  put_int(out, 1, revision);
  return out;
}

std::string encode_watch(std::string_view key, std::string_view end, Revision from) {
  std::string create;
  put_bytes(create, 1, key);
  put_bytes(create, 2, end);
  put_int(create, 3, from);
  put_flag(create, 4, true);
  return one_of(1, create);
}

Result<RangeAnswer> decode_range(std::string_view bytes) {
  RangeAnswer out;
  if (!read_range(bytes, out)) return not_a_message("RangeResponse");
  return out;
}

Result<TxnAnswer> decode_txn(std::string_view bytes) {
  TxnAnswer out;
  bool good = each_field(bytes, [&](const Field& field) {
    if (field.number == 1) return read_header(field, out.revision);
    if (field.number == 2) out.succeeded = field.integer != 0;
    if (field.number != 3) return true;
    return each_field(field.bytes, [&](const Field& op) {
      if (op.number != op_range) return true;
      RangeAnswer range;
      if (!read_range(op.bytes, range)) return false;
      out.found.push_back(range.kvs.empty() ? std::optional<KeyValue>() : range.kvs[0]);
      return true;
    });
  });
  if (!good) return not_a_message("TxnResponse");
  return out;
}

Result<WatchAnswer> decode_watch(std::string_view bytes) {
  WatchAnswer out;
  bool good = each_field(bytes, [&](const Field& field) {
    switch (field.number) {
      case 1: return read_header(field, out.revision);
      case 3: out.created = field.integer != 0; break;
      case 4: out.canceled = field.integer != 0; break;
      case 5: out.compacted = Revision(field.integer); break;
      case 6: out.reason = field.bytes; break;
      case 11: return read_event(field.bytes, out.events.emplace_back());
    }
    return true;
  });
  if (!good) return not_a_message("WatchResponse");
  return out;
}

Result<Revision> decode_revision(std::string_view bytes) {
  Revision out = 0;
  bool good = each_field(bytes, [&](const Field& field) { return field.number != 1 || read_header(field, out); });
  if (!good) return not_a_message("message with a header");
  return out;
}

}  // namespace estiba::store::etcd
