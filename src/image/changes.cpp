#include "image/changes.h"

#include <algorithm>
#include <cmath>

#include "base/go_duration.h"
#include "base/strings.h"
#include "model/json.h"

namespace estiba::image {
namespace {

using Words = std::vector<std::string>;

/// Words as a shell splits them, with quotes and backslashes; no expansion.
Result<Words> split_words(std::string_view text) {
  Words out;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      inside = true;
    } else if (quote) {
      if (c == quote) quote = 0;
      else word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
      inside = true;
    } else if (c == ' ' || c == '\t') {
      if (inside) out.push_back(std::exchange(word, {}));
      inside = false;
    } else {
      word += c;
      inside = true;
    }
  }
  if (quote) return fail(Code::invalid, "a quote is not closed");
  if (inside) out.push_back(std::move(word));
  return out;
}

/// ["a","b"], or nothing when it is no JSON array of strings.
std::optional<Words> json_form(std::string_view text) {
  if (!text.starts_with('[')) return std::nullopt;
  auto doc = json::Document::parse(text);
  if (!doc || !doc->root().is_array()) return std::nullopt;
  Words out;
  for (const auto& item : doc->root()) {
    if (!item.is_string()) return std::nullopt;
    out.emplace_back(item.as_string());
  }
  return out;
}

Words command_of(const Config& config, std::string_view text) {
  if (auto list = json_form(text)) return *list;
  Words out = config.shell.empty() ? Words{"/bin/sh", "-c"} : config.shell;
  out.emplace_back(text);
  return out;
}

void add_once(Words& list, std::string item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(std::move(item));
}

/// "K=V …", or the old form "K V".
Result<std::vector<std::pair<std::string, std::string>>> pairs(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  Words words = TRY(split_words(text));
  if (words.empty()) return fail(Code::invalid, "a name and a value are missing");
  if (words[0].find('=') == std::string::npos) {
    auto [key, value] = split_once(text, ' ');
    if (!value) return fail(Code::invalid, quoted(text) + " must have a name and a value, as NAME=VALUE");
    out.emplace_back(key, trim(*value));
    return out;
  }
  for (const auto& word : words) {
    auto [key, value] = split_once(word, '=');
    if (!value || key.empty()) return fail(Code::invalid, quoted(word) + " is no NAME=VALUE");
    out.emplace_back(key, *value);
  }
  return out;
}

Result<void> set_env(Config& config, std::string_view text) {
  for (auto& [key, value] : TRY(pairs(text))) {
    const std::string prefix = key + "=";
    auto it = std::find_if(config.env.begin(), config.env.end(), [&](const std::string& e) { return e.starts_with(prefix); });
    if (it == config.env.end()) config.env.push_back(prefix + value);
    else *it = prefix + value;
  }
  return {};
}

Result<void> expose(Config& config, std::string_view text) {
  for (const auto& word : TRY(split_words(text))) {
    auto [port, protocol] = split_once(word, '/');
    auto [low, high] = split_once(port, '-');
    auto from = parse_number<uint16_t>(low), to = high ? parse_number<uint16_t>(*high) : from;
    std::string kind = to_lower(protocol.value_or("tcp"));
    if (!from || !to || *from > *to || (kind != "tcp" && kind != "udp" && kind != "sctp"))
      return fail(Code::invalid, quoted(word) + " is no port; write PORT[-PORT][/tcp|/udp|/sctp]");
    for (unsigned p = *from; p <= *to; ++p) add_once(config.exposed_ports, std::to_string(p) + "/" + kind);
  }
  std::sort(config.exposed_ports.begin(), config.exposed_ports.end());
  return {};
}

Result<void> health_check(Config& config, std::string_view text) {
  HealthCheck check;
  while (text.starts_with("--")) {
    auto [flag, rest] = split_once(text.substr(2), ' ');
    auto [name, value] = split_once(flag, '=');
    if (!value) return fail(Code::invalid, "the flag --" + std::string(flag) + " has no value");
    auto duration = parse_go_duration(*value);
    auto number = parse_number<int>(*value);
    if (name == "interval" && duration) check.interval = duration->count();
    else if (name == "timeout" && duration) check.timeout = duration->count();
    else if (name == "start-period" && duration) check.start_period = duration->count();
    else if (name == "start-interval" && duration) check.start_interval = duration->count();
    else if (name == "retries" && number && *number >= 0) check.retries = *number;
    else return fail(Code::invalid, "the flag --" + std::string(flag) + " is not known or has a bad value");
    text = trim(rest.value_or(""));
  }
  auto [kind, rest] = split_once(text, ' ');
  std::string_view command = trim(rest.value_or(""));
  if (to_lower(kind) == "none") {
    check.test = {"NONE"};
  } else if (to_lower(kind) == "cmd" && !command.empty()) {
    if (auto list = json_form(command)) {
      check.test = {"CMD"};
      check.test.insert(check.test.end(), list->begin(), list->end());
    } else {
      check.test = {"CMD-SHELL", std::string(command)};
    }
  } else {
    return fail(Code::invalid, "it takes NONE, or CMD and a command");
  }
  config.health_check = std::move(check);
  return {};
}

Result<void> apply(Config& config, std::string_view name, std::string_view text) {
  if (text.empty()) return fail(Code::invalid, "it needs an argument");
  if (name == "CMD") {
    config.cmd = command_of(config, text);
  } else if (name == "ENTRYPOINT") {
    config.entrypoint = command_of(config, text);
  } else if (name == "ENV") {
    return set_env(config, text);
  } else if (name == "LABEL") {
    for (auto& [key, value] : TRY(pairs(text))) config.labels[key] = value;
  } else if (name == "EXPOSE") {
    return expose(config, text);
  } else if (name == "VOLUME") {
    auto list = json_form(text);
    for (auto& volume : list ? *list : TRY(split_words(text))) add_once(config.volumes, volume);
  } else if (name == "USER") {
    config.user = text;
  } else if (name == "WORKDIR") {
    std::string dir = TRY(split_words(text)).at(0);
    config.working_dir = dir.starts_with('/') ? dir : (config.working_dir.empty() ? "/" : config.working_dir + "/") + dir;
  } else if (name == "STOPSIGNAL") {
    config.stop_signal = text;
  } else if (name == "ONBUILD") {
    config.on_build.emplace_back(text);
  } else if (name == "SHELL") {
    auto list = json_form(text);
    if (!list || list->empty()) return fail(Code::invalid, "it takes a JSON list, as [\"/bin/bash\", \"-c\"]");
    config.shell = *list;
  } else if (name == "HEALTHCHECK") {
    return health_check(config, text);
  } else {
    return fail(Code::invalid,
                "is not a change that can be made to an image; use CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, "
                "STOPSIGNAL, USER, VOLUME or WORKDIR");
  }
  return {};
}

}  // namespace

Result<void> apply_change(Config& config, std::string_view instruction) {
  auto [name, rest] = split_once(trim(instruction), ' ');
  std::string upper(name);
  for (char& c : upper) c = char(c >= 'a' && c <= 'z' ? c - 32 : c);
  return within("change " + quoted(instruction), apply(config, upper, trim(rest.value_or(""))));
}

}  // namespace estiba::image
