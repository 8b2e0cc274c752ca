// Images of services: what is missing is pulled or built; compose build, pull, push, images.
#include <unistd.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/compose/body.h"
#include "cli/compose/commands.h"
#include "cli/compose/resources.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "os/file.h"

namespace estiba::cli::compose {
namespace {

using docker::Client;
using json::Node;

std::string scalar(const Node* node) {
  if (!node) return "";
  if (node->is_number()) return std::string(node->number_text());
  if (node->is_bool()) return node->as_bool() ? "true" : "false";
  return std::string(node->as_string());
}

/// A Dockerfile that stands in the Compose file, as a file while it is built.
class InlineDockerfile {
 public:
  Result<std::string> write(std::string_view text) {
    char name[] = "/tmp/estiba-dockerfile-XXXXXX";
    Fd fd(::mkstemp(name));
    if (!fd) return fail_errno("make a temporary file");
    path_ = name;
    TRY(os::write_all(fd.get(), text));
    return path_;
  }
  ~InlineDockerfile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

 private:
  std::string path_;
};

void add_all(std::vector<std::string>& words, const char* flag, const Node* list) {
  if (!list) return;
  for (const Node& each : *list) {
    words.emplace_back(flag);
    if (!list->is_object()) words.push_back(scalar(&each));
    else words.push_back(std::string(each.key()) + (each.is_null() ? "" : "=" + scalar(&each)));
  }
}

Result<std::vector<std::string>> build_words(const Project& project, const Node& service, const ImageOptions& options,
                                             InlineDockerfile& file) {
  const Node& build = *service.find("build");
  const std::string context(build.string_at("context"));
  std::vector<std::string> words{"--tag", image_of(project, service)};
  if (const Node* text = build.find("dockerfile_inline")) {
    words.insert(words.end(), {"--file", TRY(file.write(text->as_string()))});
  } else {
    const std::string name(build.string_at("dockerfile"));
    const bool below = !name.starts_with('/') && context.find("://") == context.npos;
    words.insert(words.end(), {"--file", below ? context + "/" + name : name});
  }
  add_all(words, "--tag", build.find("tags"));
  add_all(words, "--build-arg", build.find("args"));
  for (const auto& each : options.arguments) words.insert(words.end(), {"--build-arg", each});
  add_all(words, "--label", build.find("labels"));
  add_all(words, "--cache-from", build.find("cache_from"));
  add_all(words, "--add-host", build.find("extra_hosts"));
  add_all(words, "--ssh", build.find("ssh"));
  for (auto [key, flag] :
       {std::pair{"target", "--target"}, {"network", "--network"}, {"shm_size", "--shm-size"}, {"isolation", "--isolation"}})
    if (const std::string value = scalar(build.find(key)); !value.empty()) words.insert(words.end(), {flag, value});
  if (const std::string platform = scalar(service.find("platform")); !platform.empty()) words.insert(words.end(), {"--platform", platform});
  if (const Node* secrets = build.find("secrets"))
    for (const Node& grant : *secrets) {
      const Node* secret = project.resource("secrets", grant.string_at("source"));
      if (!secret)
        return fail(Code::invalid,
                    "service " + quoted(service.key()) + ": build.secrets: undefined secret " + quoted(grant.string_at("source")));
      const std::string file_name(secret->string_at("file")), variable(secret->string_at("environment"));
      words.insert(words.end(), {"--secret", "id=" + std::string(grant.string_at("source")) +
                                                 (file_name.empty() ? ",env=" + variable : ",src=" + file_name)});
    }
  if (const Node* label = build.find("no_cache"); options.no_cache || (label && label->as_bool())) words.emplace_back("--no-cache");
  if (const Node* label = build.find("pull"); options.pull_bases || (label && label->as_bool())) words.emplace_back("--pull");
  if (options.quiet) words.emplace_back("--quiet");
  words.push_back(context);
  return words;
}

}  // namespace

Result<std::string> image_id(Client& client, const std::string& image) {
  auto found = client.call({.path = "/images/" + docker::segment(image) + "/json"});
  if (!found && found.error().code == Code::not_found) return std::string();
  return std::string(TRY(std::move(found)).root().string_at("Id"));
}

Result<void> build_image(Context& context, const Project& project, const Node& service, const ImageOptions& options) {
  context.tell("Image", image_of(project, service), "Building");
  if (context.dry_run) return {};
  InlineDockerfile file;
  const int code = TRY_AS("service " + quoted(service.key()), context.run_verb("build", TRY(build_words(project, service, options, file))));
  if (code != 0) return docker::exit_with(code);
  context.tell("Image", image_of(project, service), "Built");
  return {};
}

namespace {

Result<void> pull_one(Context& context, const Project& project, const Node& service, bool quiet) {
  const std::string image = image_of(project, service);
  context.tell("Image", image, "Pulling");
  if (context.dry_run) return {};
  context.settle();
  TRY(docker::pull_image(
      context.call.cli,
      {.image = image, .platform = std::string(service.string_at("platform")), .quiet = quiet || context.quiet, .out = 2}));
  context.tell("Image", image, "Pulled");
  return {};
}

}  // namespace

Result<void> ensure_images(Context& context, const Project& project, const std::vector<std::string>& services,
                           const ImageOptions& options) {
  Client& client = *TRY(context.client());
  for (const auto& name : services) {
    const Node& service = *project.service(name);
    const bool built = service.find("build");
    std::string policy = options.pull.empty() ? std::string(service.string_at("pull_policy")) : options.pull;
    if (built && !options.no_build && (options.build || policy == "build")) {
      TRY(build_image(context, project, service, options));
      continue;
    }
    if (policy == "always" && !built) {
      TRY(pull_one(context, project, service, options.quiet));
      continue;
    }
    if (!TRY(image_id(client, image_of(project, service))).empty()) continue;
    if (built && !options.no_build) {
      TRY(build_image(context, project, service, options));
    } else if (built) {
      return fail(Code::not_found,
                  "No such image: " + image_of(project, service) + ": service " + quoted(name) + " is built, but --no-build was given");
    } else if (policy == "never") {
      return fail(Code::not_found, "No such image: " + image_of(project, service) + ": service " + quoted(name) +
                                       " has the pull policy never; pull it, or change the policy");
    } else {
      TRY_AS("service " + quoted(name), pull_one(context, project, service, options.quiet));
    }
  }
  return {};
}

Result<int> build(Context& context) {
  ImageOptions options{.build = true};
  bool push_after = false, with_dependencies = false, builder_print = false, check = false;
  std::string memory, ssh, builder;
  docker::Flags flags(context.call);
  flags.add("build-arg", &options.arguments, "Set build-time variables for services");
  flags.add("builder", &builder, "Accepted; there is one builder");
  flags.hide();
  flags.add("check", &check, "Check build configuration");
  flags.hide();
  flags.add("print", &builder_print, "Print equivalent bake file");
  flags.hide();
  flags.add("memory,m", &memory, "Accepted");
  flags.hide();
  flags.add("no-cache", &options.no_cache, "Do not use cache when building the image");
  flags.add("pull", &options.pull_bases, "Always attempt to pull a newer version of the image");
  flags.add("push", &push_after, "Push service images");
  flags.add("quiet,q", &options.quiet, "Suppress the build output");
  flags.add("with-dependencies", &with_dependencies, "Also build dependencies (transitively)");
  const auto names = strings(TRY(flags.parse()));
  if (check || builder_print) return fail(Code::unsupported, "--check and --print need BuildKit's bake; leave them out");
  const Project project = TRY(context.load(names));
  TRY(project.check_services(names));
  for (const auto& name : names.empty() || with_dependencies ? start_order(project, names) : names) {
    const Node& service = *project.service(name);
    if (!service.find("build")) continue;
    TRY(build_image(context, project, service, options));
    if (push_after) TRY(context.run_verb("push", {image_of(project, service)}));
  }
  return 0;
}

Result<int> pull(Context& context) {
  bool quiet = false, ignore_failures = false, include_deps = false, ignore_buildable = false, no_parallel = false;
  std::string policy;
  docker::Flags flags(context.call);
  flags.add("ignore-buildable", &ignore_buildable, "Ignore images that can be built");
  flags.add("ignore-pull-failures", &ignore_failures, "Pull what it can and ignores images with pull failures");
  flags.add("include-deps", &include_deps, "Also pull services declared as dependencies");
  flags.add("no-parallel", &no_parallel, "Accepted");
  flags.hide();
  flags.add("policy", &policy, "Apply pull policy (\"missing\"|\"always\")");
  flags.add("quiet,q", &quiet, "Pull without printing progress information");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load(names));
  TRY(project.check_services(names));
  int code = 0;
  for (const auto& name : names.empty() || include_deps ? start_order(project, names) : names) {
    const Node& service = *project.service(name);
    if (service.string_at("pull_policy") == "never") continue;
    if (service.find("build") && (ignore_buildable || service.string_at("image").empty())) continue;
    if (policy == "missing" && !TRY(image_id(*TRY(context.client()), image_of(project, service))).empty()) continue;
    if (auto done = pull_one(context, project, service, quiet); !done) {
      // What can be built may be in no registry.
      if (!ignore_failures && !service.find("build")) return std::unexpected(std::move(done.error()));
      docker::complain(done.error().message);
    }
  }
  return code;
}

Result<int> push(Context& context) {
  bool quiet = false, ignore_failures = false, include_deps = false;
  docker::Flags flags(context.call);
  flags.add("ignore-push-failures", &ignore_failures, "Push what it can and ignores images with push failures");
  flags.add("include-deps", &include_deps, "Also push images of services declared as dependencies");
  flags.add("quiet,q", &quiet, "Push without printing progress information");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load(names));
  TRY(project.check_services(names));
  for (const auto& name : names.empty() || include_deps ? start_order(project, names) : names) {
    const Node& service = *project.service(name);
    if (!service.find("build")) continue;
    if (service.string_at("image").empty())
      return fail(Code::invalid, "service " + quoted(name) + " has no image name to push to; give it one with image:");
    std::vector<std::string> words{image_of(project, service)};
    if (quiet) words.insert(words.begin(), "--quiet");
    auto code = context.run_verb("push", words);
    if (!code && !ignore_failures) return code;
    if (!code) docker::complain(code.error().message);
  }
  return 0;
}

Result<int> images(Context& context) {
  bool quiet = false;
  std::string format;
  docker::Flags flags(context.call);
  flags.add("format", &format, "Format the output. Values: [table | json]");
  flags.add("quiet,q", &quiet, "Only display IDs");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  TRY(project.check_services(names));
  Client& client = *TRY(context.client());
  std::string table = "CONTAINER\tREPOSITORY\tTAG\tIMAGE ID\tSIZE\n";
  docker::Builder list;
  for (const auto& member : of_services(TRY(members(client, project.name)), names)) {
    const json::Document image = TRY(client.call({.path = "/images/" + docker::segment(member.image_id) + "/json"}));
    const Node* size = image.root().find("Size");
    const double bytes = double(size ? size->as_int().value_or(0) : 0);
    const size_t colon = member.image.rfind(':');
    const bool tagged = colon != std::string::npos && member.image.find('/', colon) == std::string::npos;
    const std::string repository = tagged ? member.image.substr(0, colon) : member.image,
                      tag = tagged ? member.image.substr(colon + 1) : "latest";
    if (quiet) std::printf("%s\n", docker::short_id(member.image_id).c_str());
    table +=
        member.name + "\t" + repository + "\t" + tag + "\t" + docker::short_id(member.image_id) + "\t" + docker::human_size(bytes) + "\n";
    auto row = list.append("rows");
    row.set("ContainerName", member.name)
        .set("ID", member.image_id)
        .set("Repository", repository)
        .set("Tag", tag)
        .set("Size", int64_t(bytes));
  }
  if (quiet) return 0;
  if (format == "json") {
    const Node* rows = list.node().find("rows");
    std::printf("%s\n", rows ? json::print(*rows).c_str() : "[]");
    return 0;
  }
  std::fputs(docker::align(table).c_str(), stdout);
  return 0;
}

}  // namespace estiba::cli::compose
