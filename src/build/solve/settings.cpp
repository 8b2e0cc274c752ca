#include "build/solve/settings.h"

#include <algorithm>

#include "base/signals.h"
#include "base/strings.h"
#include "build/context/ignore.h"

namespace estiba::build {
namespace {

Result<std::string> port_of(std::string_view text) {
  auto [range, protocol] = split_once(text, '/');
  std::string name = to_lower(protocol.value_or("tcp"));
  if (name != "tcp" && name != "udp" && name != "sctp") return fail(Code::invalid, "invalid proto: " + name + ": it is tcp, udp or sctp");
  auto [first, last] = split_once(range, '-');
  auto low = parse_number<uint16_t>(first), high = last ? parse_number<uint16_t>(*last) : low;
  if (!low || !high || *low > *high || *low == 0)
    return fail(Code::invalid, "invalid containerPort: " + std::string(range) + ": a number from 1 to 65535 is expected");
  return std::string(range) + "/" + name;
}

void insert_once(std::vector<std::string>& list, const std::string& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

class Applier {
 public:
  Applier(const Instruction& i, char escape, const ArgumentSources& sources, Settings& settings)
      : i_(i), escape_(escape), sources_(sources), s_(settings), variables_(settings.variables()) {}

  Result<std::string> run() {
    auto& c = s_.config;
    switch (i_.kind) {
      case Kind::arg: return arg();
      case Kind::env: return pairs([&](const std::string& name, const std::string& value) { set_env(c.env, name, value); });
      case Kind::label: return pairs([&](const std::string& name, const std::string& value) { c.labels[name] = value; });
      case Kind::cmd:
        c.cmd = s_.command(i_);
        s_.cmd_set = true;
        return i_.text;
      case Kind::entrypoint:
        c.entrypoint = s_.command(i_);
        if (!s_.cmd_set) c.cmd.clear();
        return i_.text;
      case Kind::user: c.user = TRY(word()); return "USER " + c.user;
      case Kind::workdir: return workdir();
      case Kind::stopsignal: return stopsignal();
      case Kind::expose: return expose();
      case Kind::volume: return volume();
      case Kind::healthcheck: return healthcheck();
      case Kind::shell: c.shell = i_.words; return i_.text;
      case Kind::onbuild: c.on_build.push_back(i_.trigger); return i_.text;
      case Kind::maintainer: c.author = i_.words[0]; return i_.text;
      default: return fail_at(i_.place, "internal: no setting", Code::internal);
    }
  }

 private:
  Result<std::string> expanded(std::string_view text) const { return expand_at(i_, text, variables_, escape_); }
  Result<std::string> word() const {
    std::string out = TRY(expanded(i_.words[0]));
    return out;
  }

  Result<std::string> arg() {
    std::string text = "ARG";
    for (const Pair& pair : i_.pairs) {
      std::optional<std::string> value;
      if (pair.has_value) value = TRY(expand_at(i_, pair.value, s_.variables(), escape_));
      auto take = [&](const Variables& from) {
        if (auto it = from.find(pair.name); it != from.end()) value = it->second;
      };
      if (!value) take(sources_.globals);
      if (!value) take(sources_.platform);
      take(sources_.given);
      insert_once(s_.declared, pair.name);
      if (value) s_.arguments[pair.name] = *value;
      text += " " + pair.name + (value ? "=" + *value : "");
    }
    return text;
  }

  template <class Set>
  Result<std::string> pairs(Set set) {
    std::string text(to_string(i_.kind));
    for (const Pair& pair : i_.pairs) {  // all with the variables as they were before the instruction
      std::string name = TRY(expanded(pair.name)), value = TRY(expanded(pair.value));
      if (name.empty()) return fail_at(i_.place, std::string(to_string(i_.kind)) + " names can not be blank");
      set(name, value);
      text += " " + name + "=" + value;
    }
    return text;
  }

  Result<std::string> workdir() {
    std::string to = TRY(word());
    if (to.empty()) return fail_at(i_.place, "WORKDIR requires exactly one argument: " + i_.words[0] + " is empty");
    std::string base = s_.config.working_dir.empty() ? "/" : s_.config.working_dir;
    s_.config.working_dir = "/" + clean_path(to.starts_with('/') ? to : base + "/" + to);
    return "WORKDIR " + s_.config.working_dir;
  }

  Result<std::string> stopsignal() {
    std::string signal = TRY(word());
    if (!signal_number(signal)) return fail_at(i_.place, "Invalid signal: " + signal);
    s_.config.stop_signal = signal;
    return "STOPSIGNAL " + signal;
  }

  Result<std::string> expose() {
    std::string text = "EXPOSE";
    for (const std::string& raw : i_.words) {
      auto words = expand_words(raw, variables_, escape_);
      if (!words) return fail_at(i_.place, words.error().message);
      for (const std::string& word : *words) {
        auto port = port_of(word);
        if (!port) return fail_at(i_.place, port.error().message);
        insert_once(s_.config.exposed_ports, *port);
        text += " " + *port;
      }
    }
    return text;
  }

  Result<std::string> volume() {
    std::string text = "VOLUME [";
    for (const std::string& raw : i_.words) {
      std::string path = TRY(expanded(raw));
      if (path.empty()) return fail_at(i_.place, "VOLUME specified can not be an empty string");
      insert_once(s_.config.volumes, path);
      text += (text.back() == '[' ? "" : " ") + path;
    }
    return text + "]";
  }

  Result<std::string> healthcheck() {
    image::HealthCheck check;
    if (i_.health->none) {
      check.test = {"NONE"};
    } else {
      check.test = {i_.json ? "CMD" : "CMD-SHELL"};
      check.test.insert(check.test.end(), i_.words.begin(), i_.words.end());
      check.interval = i_.health->interval;
      check.timeout = i_.health->timeout;
      check.start_period = i_.health->start_period;
      check.start_interval = i_.health->start_interval;
      check.retries = i_.health->retries;
    }
    s_.config.health_check = std::move(check);
    return i_.text;
  }

  const Instruction& i_;
  char escape_;
  const ArgumentSources& sources_;
  Settings& s_;
  Variables variables_;
};

}  // namespace

Variables Settings::variables() const {
  Variables out = arguments;
  for (const std::string& variable : config.env) {
    auto [name, value] = split_once(variable, '=');
    out.insert_or_assign(std::string(name), std::string(value.value_or("")));
  }
  return out;
}

std::vector<std::string> Settings::command(const Instruction& instruction) const {
  if (instruction.json) return instruction.words;
  std::vector<std::string> out = config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : config.shell;
  out.push_back(instruction.words[0]);
  return out;
}

Result<std::string> apply(const Instruction& instruction, char escape, const ArgumentSources& sources, Settings& settings) {
  return Applier(instruction, escape, sources, settings).run();
}

bool is_proxy_argument(std::string_view name) {
  static constexpr std::string_view names[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"};
  return std::any_of(std::begin(names), std::end(names), [&](std::string_view known) { return equals_ignore_case(known, name); });
}

void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value) {
  for (std::string& variable : env) {
    if (split_once(variable, '=').first != name) continue;
    variable = name + "=" + value;
    return;
  }
  env.push_back(name + "=" + value);
}

Result<std::string> expand_at(const Instruction& instruction, std::string_view word, const Variables& variables, char escape) {
  auto out = expand(word, variables, escape);
  if (!out) return fail_at(instruction.place, out.error().message);
  return out;
}

}  // namespace estiba::build
