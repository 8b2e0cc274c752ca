#include "runtime/shim_wire.h"

#include <sys/socket.h>

#include <cstring>

#include "runtime/decode.h"

namespace estiba::runtime {

std::string_view to_string(ContainerStatus status) {
  switch (status) {
    case ContainerStatus::creating: return "creating";
    case ContainerStatus::created: return "created";
    case ContainerStatus::running: return "running";
    case ContainerStatus::paused: return "paused";
    case ContainerStatus::stopped: return "stopped";
  }
  return "unknown";
}

namespace wire {

namespace {
constexpr size_t header_size = 8;

std::string header(size_t length, size_t fds) {
  std::string out(header_size, '\0');
  for (int i = 0; i < 4; i++) out[size_t(i)] = char(length >> (8 * i));
  out[4] = char(fds);
  out[5] = char(fds >> 8);
  return out;
}

uint32_t number_at(const std::string& bytes, size_t at, int size) {
  uint32_t value = 0;
  for (int i = 0; i < size; i++) value |= uint32_t(static_cast<unsigned char>(bytes[at + size_t(i)])) << (8 * i);
  return value;
}
}  // namespace

Result<bool> Reader::fill(int socket) {
  char chunk[8192];
  std::vector<os::Fd> fds;
  while (true) {
    auto n = os::receive_with_fds(socket, chunk, sizeof chunk, fds, MSG_DONTWAIT);
    for (os::Fd& fd : fds) fds_.push_back(std::move(fd));
    fds.clear();
    if (!n && (n.error().sys == EAGAIN || n.error().sys == EWOULDBLOCK)) break;
    if (!n && n.error().sys == ECONNRESET) return false;
    if (!n) return std::unexpected(std::move(n.error()));
    if (*n == 0) return false;
    buffer_.append(chunk, *n);
    if (buffer_.size() >= header_size && number_at(buffer_, 0, 4) > max_frame)
      return fail(Code::malformed, "shim protocol: frame too long");
  }
  return true;
}

std::optional<Frame> Reader::next() {
  if (buffer_.size() < header_size) return std::nullopt;
  size_t length = number_at(buffer_, 0, 4), count = number_at(buffer_, 4, 2);
  if (buffer_.size() < header_size + length || fds_.size() < count) return std::nullopt;
  Frame frame;
  frame.text = buffer_.substr(header_size, length);
  buffer_.erase(0, header_size + length);
  for (size_t i = 0; i < count; i++) {
    frame.fds.push_back(std::move(fds_.front()));
    fds_.pop_front();
  }
  return frame;
}

void Writer::add(std::string text, std::vector<os::Fd> fds) {
  std::string bytes = header(text.size(), fds.size());
  bytes += text;
  pieces_.push_back({std::move(bytes), 0, std::move(fds)});
}

Result<bool> Writer::flush(int socket) {
  while (!pieces_.empty()) {
    Piece& piece = pieces_.front();
    std::vector<int> numbers;
    for (const os::Fd& fd : piece.fds) numbers.push_back(fd.get());
    auto n = os::send_with_fds(socket, std::string_view(piece.bytes).substr(piece.sent), numbers, MSG_DONTWAIT);
    if (!n && (n.error().sys == EAGAIN || n.error().sys == EWOULDBLOCK)) return false;
    if (!n) return std::unexpected(std::move(n.error()));
    piece.fds.clear();  // they went with the first bytes
    piece.sent += *n;
    if (piece.sent == piece.bytes.size()) pieces_.pop_front();
  }
  return true;
}

void put_error(json::Document& document, json::Node& object, const Error& error) {
  json::Node& node = document.make_object();
  document.set(node, "code", estiba::to_string(error.code));
  if (error.sys) document.set(node, "errno", document.make_int(error.sys));
  document.set(node, "message", error.message);
  document.set(object, "error", node);
}

Error get_error(const json::Node& node) {
  Error error;
  std::string_view name = node.string_at("code");
  for (int i = 0; i <= int(Code::internal); i++) {
    if (estiba::to_string(static_cast<Code>(i)) == name) error.code = static_cast<Code>(i);
  }
  if (const json::Node* sys = node.find("errno")) error.sys = int(sys->as_int().value_or(0));
  error.message = node.string_at("message");
  return error;
}

int64_t to_ns(WallTime time) { return time.time_since_epoch().count(); }
WallTime from_ns(int64_t ns) { return WallTime(Duration(ns)); }
WallTime wall_now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

json::Node& put_container(json::Document& document, const ContainerInfo& info) {
  json::Node& node = document.make_object();
  document.set(node, "id", info.id);
  document.set(node, "bundle", info.bundle);
  document.set(node, "status", to_string(info.status));
  document.set(node, "pid", document.make_int(info.pid));
  document.set(node, "exitCode", document.make_int(info.exit_code));
  document.set(node, "signal", document.make_int(info.signal));
  document.set(node, "oomKilled", document.make_bool(info.oom_killed));
  document.set(node, "createdAt", document.make_int(to_ns(info.created_at)));
  document.set(node, "startedAt", document.make_int(to_ns(info.started_at)));
  document.set(node, "finishedAt", document.make_int(to_ns(info.finished_at)));
  document.set(node, "logPath", info.log_path);
  return node;
}

Result<ContainerInfo> get_container(const json::Node& node) {
  ContainerInfo info;
  int64_t created = 0, started = 0, finished = 0;
  TRY(read(node, "id", "", info.id));
  TRY(read(node, "bundle", "", info.bundle));
  TRY(read(node, "pid", "", info.pid));
  TRY(read(node, "exitCode", "", info.exit_code));
  TRY(read(node, "signal", "", info.signal));
  TRY(read(node, "oomKilled", "", info.oom_killed));
  TRY(read(node, "createdAt", "", created));
  TRY(read(node, "startedAt", "", started));
  TRY(read(node, "finishedAt", "", finished));
  TRY(read(node, "logPath", "", info.log_path));
  info.created_at = from_ns(created);
  info.started_at = from_ns(started);
  info.finished_at = from_ns(finished);
  std::string_view status = node.string_at("status");
  for (int i = 0; i <= int(ContainerStatus::stopped); i++) {
    if (to_string(static_cast<ContainerStatus>(i)) == status) info.status = static_cast<ContainerStatus>(i);
  }
  return info;
}

namespace {
struct StatField {
  std::string_view name;
  uint64_t ContainerStats::* member;
};
constexpr StatField stat_fields[] = {
    {"cpuUsageNs", &ContainerStats::cpu_usage_ns},
    {"cpuThrottledNs", &ContainerStats::cpu_throttled_ns},
    {"memoryUsage", &ContainerStats::memory_usage},
    {"memoryWorkingSet", &ContainerStats::memory_working_set},
    {"memoryRss", &ContainerStats::memory_rss},
    {"memoryLimit", &ContainerStats::memory_limit},
    {"pageFaults", &ContainerStats::page_faults},
    {"majorPageFaults", &ContainerStats::major_page_faults},
    {"pids", &ContainerStats::pids},
    {"ioReadBytes", &ContainerStats::io_read_bytes},
    {"ioWriteBytes", &ContainerStats::io_write_bytes},
    {"cpuUserNs", &ContainerStats::cpu_user_ns},
    {"cpuSystemNs", &ContainerStats::cpu_system_ns},
    {"cpuPeriods", &ContainerStats::cpu_periods},
    {"cpuThrottledPeriods", &ContainerStats::cpu_throttled_periods},
    {"memoryMax", &ContainerStats::memory_max},
    {"memoryFailures", &ContainerStats::memory_failures},
    {"pidsLimit", &ContainerStats::pids_limit},
    {"oomKills", &ContainerStats::oom_kills},
};
}  // namespace

json::Node& put_stats(json::Document& document, const ContainerStats& stats) {
  json::Node& node = document.make_object();
  document.set(node, "at", document.make_int(to_ns(stats.at)));
  auto number = [&](uint64_t value) -> json::Node& { return document.make_number(std::to_string(value)); };
  for (const StatField& field : stat_fields) document.set(node, field.name, number(stats.*field.member));
  json::Node& each = document.make_array();
  for (uint64_t ns : stats.cpu_each_ns) document.append(each, number(ns));
  document.set(node, "cpuEachNs", each);
  json::Node& memory = document.make_object();
  for (const auto& [name, value] : stats.memory_stat) document.set(memory, name, number(value));
  document.set(node, "memoryStat", memory);
  json::Node& io = document.make_array();
  for (const os::CgroupIo& one : stats.io) {
    json::Node& row = document.make_array();
    for (uint64_t value : {one.major, one.minor, one.read_bytes, one.write_bytes, one.read_ops, one.write_ops})
      document.append(row, number(value));
    document.append(io, row);
  }
  document.set(node, "io", io);
  return node;
}

ContainerStats get_stats(const json::Node& node) {
  ContainerStats stats;
  auto number = [](const json::Node& value) { return parse_number<uint64_t>(value.number_text()).value_or(0); };
  if (const json::Node* at = node.find("at")) stats.at = from_ns(at->as_int().value_or(0));
  for (const StatField& field : stat_fields) {
    if (const json::Node* value = node.find(field.name)) stats.*field.member = number(*value);
  }
  if (const json::Node* each = node.find("cpuEachNs"))
    for (const json::Node& value : *each) stats.cpu_each_ns.push_back(number(value));
  if (const json::Node* memory = node.find("memoryStat"))
    for (const json::Node& value : *memory) stats.memory_stat.emplace(value.key(), number(value));
  if (const json::Node* io = node.find("io")) {
    for (const json::Node& row : *io) {
      uint64_t values[6] = {};
      size_t at = 0;
      for (const json::Node& value : row)
        if (at < 6) values[at++] = number(value);
      stats.io.push_back({values[0], values[1], values[2], values[3], values[4], values[5]});
    }
  }
  return stats;
}

}  // namespace wire
}  // namespace estiba::runtime
