#include "runtime/systemd_scope.h"

#include <algorithm>

#include "base/strings.h"
#include "os/file.h"

namespace estiba::runtime {

namespace {

using Properties = std::vector<UnitProperty>;
constexpr uint64_t no_limit = UINT64_MAX, usual_period_us = 100'000, second_us = 1'000'000;

// Of structs.
template <class Elements>
void put_array(os::DbusWriter& out, Elements elements) {
  const size_t length = out.align(4).size();
  out.u32(0).align(8);  // the padding up to the first element does not count
  const size_t begin = out.size();
  elements();
  out.set_u32(length, uint32_t(out.size() - begin));
}

void put(os::DbusWriter& out, const UnitProperty& property) {
  out.align(8).string(property.name);
  if (const auto* flag = std::get_if<bool>(&property.value)) {
    out.signature("b").boolean(*flag);
  } else if (const auto* number = std::get_if<uint64_t>(&property.value)) {
    out.signature("t").u64(*number);
  } else if (const auto* text = std::get_if<std::string>(&property.value)) {
    out.signature("s").string(*text);
  } else if (const auto* numbers = std::get_if<std::vector<uint32_t>>(&property.value)) {
    out.signature("au").u32(uint32_t(numbers->size() * sizeof(uint32_t)));
    for (uint32_t one : *numbers) out.u32(one);
  } else if (const auto* bytes = std::get_if<std::vector<uint8_t>>(&property.value)) {
    out.signature("ay").u32(uint32_t(bytes->size()));
    for (uint8_t one : *bytes) out.u8(one);
  } else if (const auto* pairs = std::get_if<UnitProperty::Pairs>(&property.value)) {
    out.signature("a(ss)");
    put_array(out, [&] {
      for (const auto& [first, second] : *pairs) out.align(8).string(first).string(second);
    });
  }
}

void put(os::DbusWriter& out, const Properties& properties, bool with_newer) {
  put_array(out, [&] {
    for (const UnitProperty& property : properties)
      if (with_newer || !property.newer) put(out, property);
  });
}

// Calls with all properties, and where systemd refuses one as unknown, once more without the newer ones.
template <class Call>
auto with_known(const Properties& properties, Call call) {
  auto done = call(true);
  const bool newer = std::ranges::any_of(properties, &UnitProperty::newer);
  return !done && done.error().code == Code::unsupported && newer ? call(false) : std::move(done);
}

uint64_t or_no_limit(int64_t value) { return value < 0 ? no_limit : uint64_t(value); }

// A list such as "0-3,8" as bits, the first CPU the lowest of the first byte.
Result<std::vector<uint8_t>> bits_of(std::string_view list, std::string_view field) {
  constexpr uint32_t most = 64 << 10;
  std::vector<uint8_t> out;
  for (std::string_view part : split(trim(list), ',')) {
    if (trim(part).empty()) continue;
    auto [low, high] = split_once(trim(part), '-');
    const auto from = parse_number<uint32_t>(low), to = parse_number<uint32_t>(high.value_or(low));
    if (!from || !to || *from > *to || *to >= most)
      return fail(Code::invalid, std::string(field) + ": " + quoted(list) + " is no list of numbers and ranges");
    if (out.size() <= *to / 8) out.resize(*to / 8 + 1);
    for (uint32_t i = *from; i <= *to; i++) out[i / 8] |= uint8_t(1 << (i % 8));
  }
  return out;
}

Result<void> add_bits(Properties& out, std::string name, std::string_view list, std::string_view field) {
  auto bits = TRY(bits_of(list, field));
  if (!bits.empty()) out.push_back({std::move(name), std::move(bits), true});
  return {};
}

void add_quota(Properties& out, int64_t quota_us, uint64_t period_us) {
  uint64_t each_second = no_limit;
  // systemd counts in whole hundredths of a CPU; a container gets what it was promised, so up.
  if (quota_us > 0) each_second = (uint64_t(quota_us) * second_us / period_us + 9'999) / 10'000 * 10'000;
  out.push_back({"CPUQuotaPerSecUSec", each_second});
  out.push_back({"CPUQuotaPeriodUSec", period_us, true});
}

void add_cpu(Properties& out, const os::CgroupResources& r, os::CgroupMode mode) {
  if (r.cpu_shares && *r.cpu_shares) {
    const uint64_t shares = std::clamp<uint64_t>(*r.cpu_shares, 2, 262144);
    if (mode == os::CgroupMode::v1) out.push_back({"CPUShares", shares});
    else out.push_back({"CPUWeight", uint64_t(1 + ((shares - 2) * 9999) / 262142)});  // as os::Cgroup writes it
  }
  if (r.cpu_quota_us) add_quota(out, *r.cpu_quota_us, r.cpu_period_us && *r.cpu_period_us ? *r.cpu_period_us : usual_period_us);
}

void add_memory(Properties& out, const os::CgroupResources& r, os::CgroupMode mode) {
  const bool limited = r.memory_limit && *r.memory_limit > 0;
  if (r.memory_limit) {
    const char* name = mode == os::CgroupMode::v1 ? "MemoryLimit" : "MemoryMax";
    out.push_back({name, *r.memory_limit == 0 ? no_limit : or_no_limit(*r.memory_limit)});
  }
  if (mode == os::CgroupMode::v1) return;
  if (r.memory_reservation) out.push_back({"MemoryLow", or_no_limit(*r.memory_reservation)});
  // The config counts memory and swap together.
  if (!r.memory_swap || *r.memory_swap == 0) return;
  if (*r.memory_swap < 0) out.push_back({"MemorySwapMax", no_limit});
  else if (limited && *r.memory_swap >= *r.memory_limit) out.push_back({"MemorySwapMax", uint64_t(*r.memory_swap - *r.memory_limit)});
}

// As systemd names devices: by number, or all of a driver's by its name in /proc/devices. Empty for what it has no name for.
std::string device_name(const os::DeviceRule& rule) {
  const std::string kind = rule.type == 'b' ? "block" : "char";
  if (rule.major && rule.minor) return "/dev/" + kind + "/" + std::to_string(*rule.major) + ":" + std::to_string(*rule.minor);
  if (!rule.major) return rule.minor ? std::string() : kind + "-*";
  const std::string all = os::read_file("/proc/devices").value_or("");
  const size_t blocks = std::min(all.find("Block devices:"), all.size());
  const std::string_view text = rule.type == 'b' ? std::string_view(all).substr(blocks) : std::string_view(all).substr(0, blocks);
  for (std::string_view line : split(text, '\n')) {
    auto [number, name] = split_once(trim(line), ' ');
    if (name && parse_number<int64_t>(number) == *rule.major) return kind + "-" + std::string(*name);
  }
  return {};
}

// Version 1: without these a daemon-reload would open all devices. Rules that are no list of what is allowed are for the files alone.
void add_devices(Properties& out, const std::vector<os::DeviceRule>& rules) {
  UnitProperty::Pairs allowed;
  bool restricted = false;
  for (const os::DeviceRule& rule : rules) {
    if (rule.type == 'a') {
      restricted = !rule.allow;
      allowed.clear();
    } else if (!rule.allow) {
      return;
    } else if (std::string name = device_name(rule); restricted && !name.empty()) {
      if (std::pair entry(std::move(name), rule.access); std::ranges::find(allowed, entry) == allowed.end())
        allowed.push_back(std::move(entry));
    }
  }
  if (!restricted) return;
  out.push_back({"DevicePolicy", "strict"});
  out.push_back({"DeviceAllow", UnitProperty::Pairs()});  // takes away what there was
  out.push_back({"DeviceAllow", std::move(allowed)});
}

// Files of version 2 that the config writes itself; values that are no number are the kernel's to refuse.
Result<void> add_unified(Properties& out, const os::CgroupResources& r) {
  static constexpr std::pair<std::string_view, const char*> numbers[] = {
      {"cpu.weight", "CPUWeight"}, {"memory.high", "MemoryHigh"},        {"memory.low", "MemoryLow"}, {"memory.max", "MemoryMax"},
      {"memory.min", "MemoryMin"}, {"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"}};
  for (const auto& [file, text] : r.unified) {
    const std::string_view value = trim(text);
    for (const auto& [name, property] : numbers) {
      if (file != name) continue;
      if (const auto number = parse_number<uint64_t>(value)) out.push_back({property, *number});
      else if (value == "max") out.push_back({property, no_limit});
    }
    if (file == "cpuset.cpus") TRY(add_bits(out, "AllowedCPUs", value, "linux.resources.unified[cpuset.cpus]"));
    if (file == "cpuset.mems") TRY(add_bits(out, "AllowedMemoryNodes", value, "linux.resources.unified[cpuset.mems]"));
    if (file != "cpu.max") continue;
    auto [quota, period] = split_once(value, ' ');
    const uint64_t period_us = parse_number<uint64_t>(period.value_or("")).value_or(usual_period_us);
    const auto quota_us = quota == "max" ? std::optional<int64_t>(-1) : parse_number<int64_t>(quota);
    if (quota_us && period_us) add_quota(out, *quota_us, period_us);
  }
  return {};
}

}  // namespace

Result<ScopeName> scope_name(const std::string& cgroups_path, const std::string& id) {
  if (cgroups_path.empty()) return ScopeName{"system.slice", "estiba-oci-" + id + ".scope"};
  const auto parts = split(cgroups_path, ':');
  if (parts.size() != 3 || parts[2].empty()) {
    return fail(Code::invalid, "linux.cgroupsPath: with --systemd-cgroup it must be of the form \"slice:prefix:name\", not " +
                                   quoted(cgroups_path) + "; leave --systemd-cgroup out for a path");
  }
  std::string unit = parts[1].empty() ? std::string() : std::string(parts[1]) + "-";
  unit.append(parts[2]).append(".scope");
  return ScopeName{parts[0].empty() ? "system.slice" : std::string(parts[0]), std::move(unit)};
}

Result<std::vector<UnitProperty>> unit_properties(const os::CgroupResources& resources, os::CgroupMode mode) {
  Properties out;
  add_cpu(out, resources, mode);
  add_memory(out, resources, mode);
  if (resources.pids_limit && *resources.pids_limit) out.push_back({"TasksMax", or_no_limit(*resources.pids_limit)});
  if (mode == os::CgroupMode::v1) {  // systemd drives no cpusets there
    add_devices(out, resources.devices);
    return out;
  }
  if (resources.cpuset_cpus) TRY(add_bits(out, "AllowedCPUs", *resources.cpuset_cpus, "linux.resources.cpu.cpus"));
  if (resources.cpuset_mems) TRY(add_bits(out, "AllowedMemoryNodes", *resources.cpuset_mems, "linux.resources.cpu.mems"));
  TRY(add_unified(out, resources));
  return out;
}

Result<Systemd> Systemd::connect(std::chrono::milliseconds limit) { return Systemd(TRY(SystemdBus::connect(limit))); }

Result<std::string> Systemd::run_job(std::string member, std::string signature, std::string body) {
  const os::DbusMessage answer = TRY(bus_.call(std::move(member), std::move(signature), std::move(body)));
  os::DbusReader answered = answer.values();
  const std::string job(answered.string());
  for (;;) {
    const os::DbusMessage signal = TRY_AS("wait for job " + job, bus_.next_signal());
    if (signal.member != "JobRemoved" || signal.signature != "uoss") continue;
    os::DbusReader values = signal.values();
    (void)values.u32();
    if (values.string() != job) continue;
    (void)values.string();
    return std::string(values.string());
  }
}

void Systemd::forget_failed(const std::string& unit) { (void)bus_.call("ResetFailedUnit", "s", os::DbusWriter().string(unit).take()); }

Result<void> Systemd::start_scope(const ScopeName& name, const std::string& description, pid_t pid, const Properties& resources) {
  Properties properties = {{"Description", description},   {"Slice", name.slice},
                           {"DefaultDependencies", false}, {"Delegate", true},
                           {"CPUAccounting", true},        {"MemoryAccounting", true},
                           {"TasksAccounting", true},      {"PIDs", std::vector<uint32_t>{uint32_t(pid)}}};
  properties.insert(properties.end(), resources.begin(), resources.end());
  auto start = [&](bool with_newer) {
    os::DbusWriter body;
    body.string(name.unit).string("replace");
    put(body, properties, with_newer);
    put(body, Properties(), false);  // units beside it, whose elements begin at the same boundary
    return run_job("StartTransientUnit", "ssa(sv)a(sa(sv))", body.take());
  };
  TRY_AS("systemd unit " + name.unit, bus_.subscribe("JobRemoved"));
  auto result = with_known(properties, start);
  if (!result && result.error().code == Code::already_exists) {
    forget_failed(name.unit);
    result = with_known(properties, start);
  }
  if (result && *result == "done") return {};
  if (!result) return std::unexpected(std::move(result.error()).context("systemd unit " + name.unit));
  forget_failed(name.unit);
  return fail(Code::internal,
              "systemd unit " + name.unit + ": its start ended as " + quoted(*result) + "; journalctl -u " + name.unit + " tells why");
}

Result<void> Systemd::set_properties(const std::string& unit, const Properties& properties) {
  if (properties.empty()) return {};
  TRY_AS("systemd unit " + unit, with_known(properties, [&](bool with_newer) {
           os::DbusWriter body;
           body.string(unit).boolean(true);
           put(body, properties, with_newer);
           return bus_.call("SetUnitProperties", "sba(sv)", body.take());
         }));
  return {};
}

Result<void> Systemd::stop(const std::string& unit) {
  TRY_AS("systemd unit " + unit, bus_.subscribe("JobRemoved"));
  auto result = run_job("StopUnit", "ss", os::DbusWriter().string(unit).string("replace").take());
  if (!result && result.error().code == Code::not_found) return {};
  if (!result) return std::unexpected(std::move(result.error()).context("stop systemd unit " + unit));
  forget_failed(unit);  // killed processes may have left it failed
  if (*result == "done") return {};
  return fail(Code::internal, "stop systemd unit " + unit + ": ended as " + quoted(*result));
}

Result<std::string> group_of_unit(pid_t pid, const std::string& unit) {
  const std::string text = TRY(os::read_file("/proc/" + std::to_string(pid) + "/cgroup"));
  for (std::string_view line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 3) continue;
    const std::string_view path = line.substr(fields[0].size() + fields[1].size() + 2);
    if (path.ends_with("/" + unit)) return std::string(path);
  }
  return fail(Code::internal, "systemd unit " + unit + ": process " + std::to_string(pid) + " is not in it");
}

}  // namespace estiba::runtime
