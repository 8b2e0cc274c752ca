#include "network/ipam.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/fd.h"
#include "base/strings.h"

namespace estiba::network {

static constexpr std::string_view kStates[] = {"partial", "pool", "pod"};

static std::string_view protocol_name(Protocol protocol) {
  return protocol == Protocol::tcp ? "tcp" : protocol == Protocol::udp ? "udp" : "sctp";
}

std::string Record::text() const {
  std::string text = "state " + std::string(kStates[size_t(state)]) + "\n";
  for (const Address& other : also) text += "also " + other.text() + "\n";
  if (state != State::pod) return text;
  text += "uid " + pod.uid + "\npod " + pod.ns + "/" + pod.name + "\n";
  for (const HostPort& port : pod.host_ports)
    text.append("port ")
        .append(protocol_name(port.protocol))
        .append(" " + std::to_string(port.host_port) + " " + std::to_string(port.pod_port) +
                (port.host_ip.empty() ? "" : " " + port.host_ip) + "\n");
  if (pod.bandwidth.any()) text += "bandwidth " + std::to_string(pod.bandwidth.ingress) + " " + std::to_string(pod.bandwidth.egress) + "\n";
  return text;
}

static Result<HostPort> parse_port(std::string_view text) {
  auto words = split(text, ' ');
  if (words.size() == 3 || words.size() == 4) {
    auto host = parse_number<uint16_t>(words[1]), pod = parse_number<uint16_t>(words[2]);
    for (Protocol protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp})
      if (words[0] == protocol_name(protocol) && host && pod)
        return HostPort{protocol, *host, *pod, words.size() == 4 ? std::string(words[3]) : std::string()};
  }
  return fail(Code::malformed, "broken port " + quoted(text));
}

static Result<Bandwidth> parse_bandwidth(std::string_view text) {
  const auto [in, out] = split_once(text, ' ');
  const auto ingress = parse_number<uint64_t>(in), egress = parse_number<uint64_t>(out.value_or(""));
  if (!ingress || !egress) return fail(Code::malformed, "broken bandwidth " + quoted(text));
  return Bandwidth{*ingress, *egress};
}

Result<Record> Record::parse(std::string_view text) {
  Record record;
  bool known = false;
  for (std::string_view line : split(text, '\n')) {
    auto [key, value] = split_once(line, ' ');
    if (!value) continue;
    if (key == "state") {
      for (size_t i = 0; i < std::size(kStates); ++i)
        if (*value == kStates[i]) record.state = State(i), known = true;
    } else if (key == "also") {
      record.also.push_back(TRY(Address::parse(*value)));
    } else if (key == "uid") {
      record.pod.uid = *value;
    } else if (key == "pod") {
      auto [ns, name] = split_once(*value, '/');
      record.pod.ns = ns;
      record.pod.name = name.value_or("");
    } else if (key == "port") {
      record.pod.host_ports.push_back(TRY(parse_port(*value)));
    } else if (key == "bandwidth") {
      record.pod.bandwidth = TRY(parse_bandwidth(*value));
    }
  }
  if (!known || (record.state == State::pod && record.pod.uid.empty()))
    return fail(Code::malformed, "an address record without a state or uid");
  return record;
}

static Result<std::string> read_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path);
  std::string text;
  char buffer[4096];
  for (ssize_t size; (size = ::read(fd.get(), buffer, sizeof buffer)) != 0;) {
    if (size < 0) return fail_errno("read " + path);
    text.append(buffer, size_t(size));
  }
  return text;
}

static Result<void> write_file(const std::string& path, std::string_view text) {
  std::string draft = path + ".tmp";
  Fd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("open " + draft);
  ssize_t size = ::write(fd.get(), text.data(), text.size());
  if (size != ssize_t(text.size())) return fail_errno("write " + draft, size < 0 ? errno : ENOSPC);
  if (::rename(draft.c_str(), path.c_str()) < 0) return fail_errno("rename " + draft);
  return {};
}

static Result<void> make_dirs(const std::string& path) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    if (mkdir(path.substr(0, at).c_str(), 0755) < 0 && errno != EEXIST) return fail_errno("make the directory " + path.substr(0, at));
  }
  return {};
}

Result<void> Ipam::load() {
  records_.clear();
  std::string dir = dir_ + "/addresses";
  TRY(make_dirs(dir));
  std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(dir.c_str()), closedir);
  if (!entries) return fail_errno("open the directory " + dir);
  while (dirent* entry = readdir(entries.get())) {
    std::string_view name = entry->d_name;
    if (name.ends_with(".tmp")) unlink((dir + "/" + entry->d_name).c_str());
    auto address = Address::parse(name);
    if (!address) continue;
    Record record;
    if (auto text = read_file(dir + "/" + entry->d_name))
      if (auto parsed = Record::parse(*text)) record = std::move(*parsed);
    records_[*address] = std::move(record);
  }
  if (auto text = read_file(dir_ + "/last"))
    if (auto last = Address::parse(trim(*text)); last && parts_[0].contains(*last)) last_ = uint64_t(parts_[0].index_of(*last));
  return {};
}

// How many numbers there are: as many as the smallest part has. Nobody has so many pods as an IPv6 range has addresses.
uint64_t Ipam::size() const {
  int bits = 128;
  for (const Prefix& part : parts_) bits = std::min(bits, part.address.v6 ? std::min(part.host_bits(), 16) : part.host_bits());
  return uint64_t(1) << bits;
}

Result<Address> Ipam::take() {
  const uint64_t numbers = size();
  for (uint64_t tried = 0; tried < numbers; ++tried) {
    last_ = (last_ + 1) % numbers;
    if (last_ < 2 || last_ == numbers - 1) continue;  // network, gateway, broadcast
    Address address = TRY(parts_[0].nth(last_));
    if (records_.contains(address)) continue;
    Record& record = records_[address];
    for (size_t i = 1; i < parts_.size(); ++i) record.also.push_back(TRY(parts_[i].nth(last_)));
    TRY(update(address, {}));
    TRY(write_file(dir_ + "/last", address.text()));
    return address;
  }
  return fail(Code::exhausted, "no address is free in " + parts_[0].text() + ": " + std::to_string(records_.size()) + " are in use");
}

std::vector<Address> Ipam::all_of(const Address& primary) const {
  std::vector<Address> all{primary};
  if (auto record = records_.find(primary); record != records_.end()) std::ranges::copy(record->second.also, std::back_inserter(all));
  return all;
}

Result<void> Ipam::update(const Address& address, Record record) {
  if (auto known = records_.find(address); known != records_.end()) record.also = known->second.also;
  TRY(write_file(path(address), record.text()));
  records_[address] = std::move(record);
  return {};
}

Result<void> Ipam::release(const Address& address) {
  if (unlink(path(address).c_str()) < 0 && errno != ENOENT) return fail_errno("remove " + path(address));
  records_.erase(address);
  return {};
}

}  // namespace estiba::network
