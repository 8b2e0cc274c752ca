// docker inspect, and the inspect of each kind of object.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

namespace {

struct Kind {
  std::string_view name, prefix, suffix;
};
constexpr Kind kinds[] = {
    {"container", "/containers/", "/json"},
    {"image", "/images/", "/json"},
    {"network", "/networks/", ""},
    {"volume", "/volumes/", ""},
};

std::string path_of(const Kind& kind, std::string_view name) { return std::string(kind.prefix) + segment(name) + std::string(kind.suffix); }

// Prints what was found, each object by the format or all as a list, then what was not.
class Inspection {
 public:
  static Result<Inspection> make(std::string_view format) {
    Inspection out;
    if (!format.empty()) out.format_ = TRY(parse_format(format));
    return out;
  }

  Result<void> add(const std::string& text) {
    if (!format_) {
      objects_.push_back(text);
      return {};
    }
    const json::Document object = TRY_AS("the Docker daemon's answer", json::Document::parse(text, {.allow_duplicate_keys = true}));
    out_ += TRY(format_object(*format_, object.root())) + "\n";
    return {};
  }
  void miss(std::string error) { errors_.push_back(std::move(error)); }

  int finish() {
    std::fputs(format_ ? out_.c_str() : print_list(objects_).c_str(), stdout);
    for (const std::string& error : errors_) complain(error);
    return errors_.empty() ? 0 : 1;
  }

 private:
  std::optional<Template> format_;
  std::vector<std::string> objects_, errors_;
  std::string out_;
};

Result<int> inspect_kind(Call& call, const Kind& kind, const Arguments& names, std::string_view format, const io::Query& query = {}) {
  Inspection inspection = TRY(Inspection::make(format));
  Client& client = *TRY(call.cli.client());
  for (std::string_view name : names) {
    auto text = client.text({.path = path_of(kind, name), .query = query});
    if (!text) inspection.miss(text.error().message);
    else if (auto added = inspection.add(*text); !added) inspection.miss(added.error().message);
    if (!text && text.error().message.starts_with("Cannot connect")) break;
  }
  return inspection.finish();
}

constexpr std::string_view format_help = "Format output using a custom template: 'json' or 'TEMPLATE'";

}  // namespace

Result<int> inspect(Call& call) {
  std::string format, type;
  bool size = false;
  Flags flags(call);
  flags.add("format,f", &format, format_help);
  flags.add("size,s", &size, "Display total file sizes if the type is container");
  flags.add("type", &type, "Only inspect objects of the given type");
  const Arguments names = TRY(flags.parse());
  if (flags.given("type") && type.empty())
    return fail(Code::invalid,
                "type is empty: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", "
                "\"service\", \"task\", \"volume\"");
  const bool known = type.empty() || std::any_of(std::begin(kinds), std::end(kinds), [&](const Kind& k) { return k.name == type; });
  const bool elsewhere = type == "config" || type == "node" || type == "plugin" || type == "secret" || type == "service" || type == "task";
  if (!known && !elsewhere)
    return fail(Code::invalid, "unknown type: " + quoted(type) +
                                   ": must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", "
                                   "\"service\", \"task\", \"volume\"");
  Inspection inspection = TRY(Inspection::make(format));
  Client& client = *TRY(call.cli.client());
  for (std::string_view name : names) {
    bool found = false;
    std::string error;
    for (const Kind& kind : kinds) {
      if (!type.empty() && kind.name != type) continue;
      Request request{.path = path_of(kind, name)};
      if (size && kind.name == "container") request.query.add("size", "1");
      auto text = client.text(std::move(request));
      if (text) {
        if (auto added = inspection.add(*text); !added) error = added.error().message;
        found = error.empty();
        break;
      }
      if (text.error().code == Code::not_found) continue;
      error = text.error().message;
      break;
    }
    if (!error.empty()) inspection.miss(error);
    else if (!found) inspection.miss("Error: No such " + (type.empty() ? std::string("object") : type) + ": " + std::string(name));
    if (error.starts_with("Cannot connect")) break;
  }
  return inspection.finish();
}

Result<int> container_inspect(Call& call) {
  std::string format;
  bool size = false;
  Flags flags(call);
  flags.add("format,f", &format, format_help);
  flags.add("size,s", &size, "Display total file sizes");
  const Arguments names = TRY(flags.parse());
  io::Query query;
  if (size) query.add("size", "1");
  return inspect_kind(call, kinds[0], names, format, query);
}

Result<int> image_inspect(Call& call) {
  std::string format, platform;
  Flags flags(call);
  flags.add("format,f", &format, format_help);
  flags.add("platform", &platform, "Inspect a specific platform of the image, as linux/amd64");
  const Arguments names = TRY(flags.parse());
  io::Query query;
  if (!platform.empty()) query.add("platform", platform);
  return inspect_kind(call, kinds[1], names, format, query);
}

Result<int> network_inspect(Call& call) {
  std::string format;
  bool verbose = false;
  Flags flags(call);
  flags.add("format,f", &format, format_help);
  flags.add("verbose,v", &verbose, "Verbose output for diagnostics");
  const Arguments names = TRY(flags.parse());
  io::Query query;
  if (verbose) query.add("verbose", "true");
  return inspect_kind(call, kinds[2], names, format, query);
}

Result<int> volume_inspect(Call& call) {
  std::string format;
  Flags flags(call);
  flags.add("format,f", &format, format_help);
  return inspect_kind(call, kinds[3], TRY(flags.parse()), format);
}

}  // namespace estiba::cli::docker
