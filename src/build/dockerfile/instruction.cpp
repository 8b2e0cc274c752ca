#include "build/dockerfile/instruction.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>

#include "base/go_duration.h"
#include "base/strings.h"
#include "model/json.h"

namespace estiba::build {
namespace {

constexpr std::array<std::string_view, 18> keywords = {"FROM",   "ARG",        "ENV",         "LABEL",   "RUN",     "COPY",
                                                       "ADD",    "CMD",        "ENTRYPOINT",  "WORKDIR", "USER",    "EXPOSE",
                                                       "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "SHELL",   "ONBUILD", "MAINTAINER"};

std::string upper_of(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  return out;
}

std::span<const std::string_view> known_flags(Kind kind) {
  static constexpr std::string_view from[] = {"platform"}, run[] = {"mount", "network", "security", "device"},
                                    copy[] = {"from", "chown", "chmod", "link", "parents", "exclude"},
                                    add[] = {"chown", "chmod", "link", "checksum", "keep-git-dir", "unpack", "exclude"},
                                    health[] = {"interval", "timeout", "start-period", "start-interval", "retries"};
  switch (kind) {
    case Kind::from: return from;
    case Kind::run: return run;
    case Kind::copy: return copy;
    case Kind::add: return add;
    case Kind::healthcheck: return health;
    default: return {};
  }
}

bool is_switch(std::string_view flag) { return flag == "link" || flag == "parents" || flag == "keep-git-dir" || flag == "unpack"; }
bool repeats(std::string_view flag) { return flag == "mount" || flag == "exclude" || flag == "device"; }

class Reader {
 public:
  Reader(const Statement& statement, char escape, std::vector<Warning>& warnings) : s_(statement), escape_(escape), warnings_(warnings) {}

  Result<Instruction> read() {
    auto it = std::find(keywords.begin(), keywords.end(), s_.keyword);
    if (it == keywords.end())
      return bad("unknown instruction: " + s_.written + did_you_mean(s_.keyword, {keywords.begin(), keywords.end()}));
    out_.kind = Kind(it - keywords.begin());
    out_.place = s_.place;
    out_.text = s_.text;
    out_.heredocs = s_.heredocs;
    if (known_flags(out_.kind).empty() && !s_.flags.empty()) TRY(no_flags());
    TRY(flags());
    TRY(body());
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::unexpected<Error> bad(std::string_view message) const { return fail_at(s_.place, message); }
  Result<void> no_flags() {
    // Only where a flag cannot be an argument: "CMD --version" runs a program of that name, as Docker has it.
    if (out_.kind == Kind::cmd || out_.kind == Kind::entrypoint) {
      arguments_ = s_.text.substr(std::min(s_.keyword.size() + 1, s_.text.size()));
      return {};
    }
    return bad("unknown flag: --" + s_.flags[0].name + ": " + s_.keyword + " has no flags");
  }

  Result<void> flags() {
    if (!arguments_) arguments_ = s_.arguments;
    auto known = known_flags(out_.kind);
    if (known.empty()) return {};
    for (const Flag& flag : s_.flags) {
      if (std::find(known.begin(), known.end(), flag.name) == known.end()) {
        std::string hint = did_you_mean(flag.name, {known.begin(), known.end()});
        if (hint.empty()) {
          hint = "; " + s_.keyword + " has";
          for (auto name : known) hint += " --" + std::string(name);
        }
        return bad("unknown flag: --" + flag.name + hint);
      }
      if (!repeats(flag.name) && out_.flag(flag.name)) return bad("duplicate flag specified: --" + flag.name);
      if (is_switch(flag.name)) {
        if (flag.has_value && flag.value != "true" && flag.value != "false")
          return bad("expecting boolean value for flag " + flag.name + ", not: " + flag.value);
      } else if (!flag.has_value) {
        return bad("missing a value on flag: --" + flag.name);
      }
      out_.flags.push_back(flag);
    }
    return flag_values();
  }

  Result<void> flag_values() {
    for (const Flag& flag : out_.flags) {
      if (flag.name == "mount" && flag.value.find('$') == std::string::npos) TRY(mount(flag.value));
      if (flag.name == "network" && flag.value != "default" && flag.value != "none" && flag.value != "host")
        return bad("unsupported network mode: " + quoted(flag.value) + ": it is default, none or host");
      if (flag.name == "security" && flag.value != "sandbox")
        return bad(flag.value == "insecure" ? "--security=insecure is not offered: a build's commands never run privileged"
                                            : "unsupported security mode: " + quoted(flag.value) + ": it is sandbox");
      if (flag.name == "device") return bad("--device is not offered: a build's commands get no devices");
      if (flag.name == "keep-git-dir" && out_.flag_on("keep-git-dir"))
        return bad("--keep-git-dir is not offered: ADD cannot clone Git repositories");
    }
    return {};
  }

  Result<void> mount(const std::string& value) {
    auto parsed = parse_run_mount(value);
    if (!parsed) return bad("--mount: " + parsed.error().message);
    return {};
  }

  std::string_view arguments() const { return *arguments_; }

  Result<void> body() {
    switch (out_.kind) {
      case Kind::from: return from();
      case Kind::arg: return arg();
      case Kind::env:
      case Kind::label: return pairs();
      case Kind::run: return run();
      case Kind::copy:
      case Kind::add: return copy();
      case Kind::cmd:
      case Kind::entrypoint: return command();
      case Kind::workdir:
      case Kind::user:
      case Kind::stopsignal:
      case Kind::maintainer: return one_argument();
      case Kind::expose:
      case Kind::volume: return list();
      case Kind::healthcheck: return healthcheck();
      case Kind::shell: return shell();
      case Kind::onbuild: return onbuild();
    }
    return {};
  }

  Result<void> from() {
    auto words = raw_words(arguments(), escape_);
    bool named = words.size() == 3 && equals_ignore_case(words[1], "as");
    if (words.empty()) return bad("FROM requires either one or three arguments: FROM IMAGE [AS NAME]");
    if (words.size() != 1 && !named) return bad("FROM requires either one or three arguments: FROM IMAGE [AS NAME]");
    if (named && (words[1] == "as") != (s_.written == "from"))
      warnings_.push_back({"FromAsCasing", "'" + words[1] + "' and '" + s_.written + "' keywords' casing do not match", s_.place.line});
    out_.words = std::move(words);
    return {};
  }

  Result<void> arg() {
    auto words = raw_words(arguments(), escape_);
    if (words.empty()) return bad("ARG requires at least one argument");
    for (const std::string& word : words) {
      auto [name, value] = split_once(word, '=');
      if (name.empty()) return bad("ARG names can not be blank");
      if (name.find_first_of("'\" \t${}") != name.npos)
        return bad("ARG name " + quoted(name) + " is not a variable's name: letters, digits and _ are");
      out_.pairs.push_back({std::string(name), std::string(value.value_or("")), value.has_value()});
    }
    return {};
  }

  Result<void> pairs() {
    const std::string keyword(to_string(out_.kind));
    auto words = raw_words(arguments(), escape_);
    if (words.empty()) return bad(keyword + " requires at least one argument");
    if (words[0].find('=') == std::string::npos) {  // "ENV name the rest": the old form
      std::string_view rest = trim(arguments().substr(arguments().find(words[0]) + words[0].size()));
      if (rest.empty()) return bad(keyword + " must have two arguments: " + keyword + " NAME=VALUE");
      warnings_.push_back({"LegacyKeyValueFormat",
                           "\"" + keyword + " key=value\" should be used instead of legacy \"" + keyword + " key value\" format",
                           s_.place.line});
      out_.pairs.push_back({words[0], std::string(rest), true});
      return {};
    }
    for (const std::string& word : words) {
      size_t equals = word.find('=');
      if (equals == std::string::npos) return bad("Syntax error - can't find = in " + quoted(word) + ". Must be of the form: name=value");
      if (equals == 0) return bad(keyword + " names can not be blank");
      out_.pairs.push_back({word.substr(0, equals), word.substr(equals + 1), true});
    }
    return {};
  }

  /// A JSON array of strings; nullopt when the text is none.
  std::optional<std::vector<std::string>> json_words(std::string_view text) const {
    text = trim(text);
    if (!text.starts_with('[')) return std::nullopt;
    auto parsed = json::Document::parse(text);
    if (!parsed || !parsed->root().is_array()) return std::nullopt;
    std::vector<std::string> out;
    for (const auto& word : parsed->root()) {
      if (!word.is_string()) return std::nullopt;
      out.emplace_back(word.as_string());
    }
    return out;
  }

  void shell_or_json(std::string_view text) {
    if (auto words = json_words(text)) {
      out_.words = std::move(*words);
      out_.json = true;
      return;
    }
    if (trim(text).starts_with('[') && trim(text).ends_with(']'))
      warnings_.push_back({"JSONArgsInvalid",
                           "this looks like a JSON array but is none (strings in double quotes are expected), so it runs in a shell",
                           s_.place.line});
    out_.words = {std::string(text)};
  }

  Result<void> run() {
    if (trim(arguments()).empty()) return bad("RUN requires at least one argument");
    if (out_.heredocs.empty()) {
      shell_or_json(arguments());
      if (out_.json && out_.words.empty()) return bad("RUN requires at least one argument");
      return {};
    }
    if (out_.heredocs.size() == 1 && trim(arguments()) == out_.heredocs[0].opening) {
      out_.words = {out_.heredocs[0].content};
      return {};
    }
    // The shell itself reads them.
    std::string line(arguments());
    for (const Heredoc& heredoc : out_.heredocs) line += "\n" + heredoc.content + heredoc.name;
    out_.words = {line + "\n"};
    out_.heredocs.clear();
    return {};
  }

  Result<void> copy() {
    const std::string keyword(to_string(out_.kind));
    if (auto words = json_words(arguments())) {
      out_.words = std::move(*words);
      out_.json = true;
    } else {
      out_.words = raw_words(arguments(), escape_);
    }
    if (out_.words.empty()) return bad(keyword + " requires at least two arguments");
    if (out_.words.size() == 1)
      return bad(keyword + " requires at least two arguments, but only one was provided. Destination could not be determined.");
    if (!out_.heredocs.empty()) {
      for (const Heredoc& heredoc : out_.heredocs)
        if (out_.words.back() == heredoc.opening) return bad(keyword + " cannot accept a heredoc as a destination");
      if (out_.flag("from")) return bad("a heredoc cannot come with --from: its content is in the Dockerfile");
    }
    for (std::string_view flag : {"checksum"})
      if (out_.flag(flag) && out_.words.size() != 2) return bad("checksum can't be specified for multiple sources");
    return {};
  }

  Result<void> command() {
    shell_or_json(trim(arguments()));
    if (!out_.json && trim(arguments()).empty()) return bad(std::string(to_string(out_.kind)) + " requires at least one argument");
    if (!out_.json)
      warnings_.push_back(
          {"JSONArgsRecommended",
           "JSON arguments recommended for " + std::string(to_string(out_.kind)) + " to prevent unintended behavior related to OS signals",
           s_.place.line});
    return {};
  }

  Result<void> one_argument() {
    std::string_view text = trim(arguments());
    const std::string keyword(to_string(out_.kind));
    if (text.empty()) return bad(keyword + " requires exactly one argument");
    if (out_.kind == Kind::maintainer)
      warnings_.push_back({"MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", s_.place.line});
    if ((out_.kind == Kind::user || out_.kind == Kind::stopsignal) && raw_words(text, escape_).size() > 1)
      return bad(keyword + " requires exactly one argument");
    out_.words = {std::string(text)};
    return {};
  }

  Result<void> list() {
    const std::string keyword(to_string(out_.kind));
    if (auto words = out_.kind == Kind::volume ? json_words(arguments()) : std::nullopt) {
      out_.words = std::move(*words);
      out_.json = true;
    } else {
      out_.words = raw_words(arguments(), escape_);
    }
    if (out_.words.empty()) return bad(keyword + " requires at least one argument");
    for (const std::string& word : out_.words)
      if (word.empty()) return bad(keyword + " specified can not be an empty string");
    return {};
  }

  Result<void> healthcheck() {
    Health health;
    std::string_view rest = trim(arguments());
    size_t end = std::min(rest.find_first_of(" \t"), rest.size());
    std::string type = upper_of(rest.substr(0, end));
    rest = trim(rest.substr(end));
    if (type.empty()) return bad("HEALTHCHECK requires at least one argument: NONE or CMD COMMAND");
    if (type != "NONE" && type != "CMD") return bad("Unknown type " + quoted(type) + " in HEALTHCHECK (try CMD)");
    if (type == "NONE") {
      if (!rest.empty()) return bad("HEALTHCHECK NONE takes no arguments");
      if (!out_.flags.empty()) return bad("HEALTHCHECK NONE takes no flags");
      health.none = true;
    } else {
      if (rest.empty()) return bad("Missing command after HEALTHCHECK CMD");
      shell_or_json(rest);
      if (out_.json && out_.words.empty()) return bad("Missing command after HEALTHCHECK CMD");
      health.interval = TRY(duration("interval"));
      health.timeout = TRY(duration("timeout"));
      health.start_period = TRY(duration("start-period"));
      health.start_interval = TRY(duration("start-interval"));
      if (out_.flag("retries")) {
        auto retries = parse_number<int>(out_.flag_value("retries"));
        if (!retries || *retries < 0)
          return bad("--retries must be a whole number of at least 0, not " + quoted(out_.flag_value("retries")));
        health.retries = *retries;
      }
    }
    out_.health = health;
    return {};
  }

  Result<int64_t> duration(std::string_view flag) {
    if (!out_.flag(flag)) return 0;
    const auto value = parse_go_duration(out_.flag_value(flag));
    if (!value) return bad("--" + std::string(flag) + ": " + value.error().message + ": 30s, 1m30s or 500ms is expected");
    if (*value != Duration{} && *value < std::chrono::milliseconds(1)) return bad("Interval " + quoted(flag) + " cannot be less than 1ms");
    return value->count();
  }

  Result<void> shell() {
    auto words = json_words(arguments());
    if (!words) return bad("SHELL requires the arguments to be in JSON form: SHELL [\"/bin/sh\", \"-c\"]");
    if (words->empty()) return bad("SHELL requires at least one argument");
    out_.words = std::move(*words);
    out_.json = true;
    return {};
  }

  Result<void> onbuild() {
    std::string_view rest = trim(arguments());
    if (rest.empty()) return bad("ONBUILD requires at least one argument");
    std::string inner = upper_of(rest.substr(0, std::min(rest.find_first_of(" \t"), rest.size())));
    if (inner == "ONBUILD") return bad("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (inner == "FROM" || inner == "MAINTAINER") return bad(inner + " isn't allowed as an ONBUILD trigger");
    out_.trigger = inner + std::string(rest.substr(inner.size()));
    for (const Heredoc& heredoc : out_.heredocs) out_.trigger += "\n" + heredoc.content + heredoc.name;
    auto scanned = scan(out_.trigger, s_.place.file);
    if (!scanned || scanned->statements.size() != 1) return bad("this ONBUILD trigger cannot be read");
    scanned->statements[0].place = s_.place;
    std::vector<Warning> unused;
    TRY(Reader(scanned->statements[0], escape_, unused).read());
    out_.heredocs.clear();
    return {};
  }

  const Statement& s_;
  char escape_;
  std::vector<Warning>& warnings_;
  std::optional<std::string> arguments_;
  Instruction out_;
};

bool valid_stage_name(std::string_view name) {
  if (name.empty() || !(name[0] >= 'a' && name[0] <= 'z')) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'; });
}

Result<void> begin_stage(Dockerfile& file, Instruction from) {
  Stage stage;
  stage.base = from.words[0];
  if (from.words.size() == 3) {
    stage.name = to_lower(from.words[2]);
    if (!valid_stage_name(stage.name))
      return fail_at(from.place,
                     "invalid name for build stage: " + quoted(from.words[2]) + ", name can't start with a number or contain symbols");
    if (stage.name == "scratch") return fail_at(from.place, "a build stage cannot be called scratch: that is the empty image");
    if (stage.name != from.words[2])
      file.warnings.push_back({"StageNameCasing", "Stage name '" + from.words[2] + "' should be lowercase", from.place.line});
    for (const Stage& other : file.stages)
      if (other.name == stage.name)
        file.warnings.push_back(
            {"DuplicateStageName", "Duplicate stage name " + quoted(stage.name) + ", stage names should be unique", from.place.line});
  }
  stage.platform = from.flag_value("platform");
  stage.from = std::move(from);
  file.stages.push_back(std::move(stage));
  return {};
}

void check_casing(const Scanned& scanned, Dockerfile& file) {
  size_t lower = 0;
  for (const Statement& s : scanned.statements) lower += s.written != s.keyword;
  bool mostly_lower = lower * 2 > scanned.statements.size();
  for (const Statement& s : scanned.statements) {
    bool is_upper = s.written == s.keyword;
    if (is_upper == mostly_lower)
      file.warnings.push_back(
          {"ConsistentInstructionCasing",
           "Command '" + s.written + "' should match the case of the command majority (" + (mostly_lower ? "lowercase" : "uppercase") + ")",
           s.place.line});
  }
}

}  // namespace

std::string_view to_string(Kind kind) { return keywords[size_t(kind)]; }

const Flag* Instruction::flag(std::string_view name) const {
  for (const Flag& flag : flags)
    if (flag.name == name) return &flag;
  return nullptr;
}
std::string Instruction::flag_value(std::string_view name) const {
  const Flag* found = flag(name);
  return found ? found->value : "";
}
bool Instruction::flag_on(std::string_view name) const {
  const Flag* found = flag(name);
  return found && (!found->has_value || found->value == "true");
}
std::vector<std::string> Instruction::flag_values(std::string_view name) const {
  std::vector<std::string> out;
  for (const Flag& flag : flags)
    if (flag.name == name) out.push_back(flag.value);
  return out;
}

std::optional<size_t> Dockerfile::find_stage(std::string_view name) const {
  for (size_t i = stages.size(); i-- > 0;)
    if (!stages[i].name.empty() && equals_ignore_case(stages[i].name, name)) return i;
  auto number = parse_number<size_t>(name);
  if (number && *number < stages.size()) return number;
  return std::nullopt;
}

Result<Dockerfile> parse_dockerfile(std::string_view text, const std::string& file) {
  if (text.find('\0') != text.npos) return fail(Code::malformed, file + ": this is no text: it has a NUL byte");
  Scanned scanned = TRY(scan(text, file));
  Dockerfile out;
  out.file = file;
  out.escape = scanned.escape;
  out.syntax = std::move(scanned.syntax);
  out.check = std::move(scanned.check);
  out.warnings = std::move(scanned.warnings);
  if (scanned.statements.empty()) return fail(Code::malformed, file + ": file with no instructions: a Dockerfile begins with FROM");
  for (const Statement& statement : scanned.statements) {
    Instruction instruction = TRY(Reader(statement, out.escape, out.warnings).read());
    if (instruction.kind == Kind::from) {
      TRY(begin_stage(out, std::move(instruction)));
    } else if (!out.stages.empty()) {
      out.stages.back().instructions.push_back(std::move(instruction));
    } else if (instruction.kind == Kind::arg) {
      out.globals.push_back(std::move(instruction));
    } else {
      return fail_at(statement.place, "no build stage in current context: FROM must come before " + statement.keyword);
    }
  }
  if (out.stages.empty()) return fail(Code::malformed, file + ": no build stage in current context: there is no FROM");
  check_casing(scanned, out);
  return out;
}

Result<std::vector<Instruction>> parse_changes(std::string_view text, const std::string& what) {
  Scanned scanned = TRY(scan(text, what));
  std::vector<Instruction> out;
  std::vector<Warning> unused;
  for (const Statement& statement : scanned.statements) {
    if (statement.keyword == "FROM") return fail_at(statement.place, "FROM is not allowed here");
    out.push_back(TRY(Reader(statement, scanned.escape, unused).read()));
  }
  return out;
}

}  // namespace estiba::build
