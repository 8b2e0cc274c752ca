// docker images, docker history: what images are here and what they are made of.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

namespace {

int64_t number(const json::Node& node, std::string_view member, int64_t otherwise = 0) {
  const json::Node* found = node.find(member);
  return found ? found->as_int().value_or(otherwise) : otherwise;
}

struct Name {
  std::string repository = "<none>", tag = "<none>", digest = "<none>";
};

std::pair<std::string, std::string> split_tag(std::string_view name) {
  const size_t colon = name.rfind(':');
  if (colon == name.npos || name.find('/', colon) != name.npos) return {std::string(name), "<none>"};
  return {std::string(name.substr(0, colon)), std::string(name.substr(colon + 1))};
}

// One line for each name; without --digests, a digest makes a line only when there is no tag.
std::vector<Name> names_of(const json::Node& image, bool digests) {
  std::vector<Name> out;
  std::vector<std::pair<std::string, std::string>> tags, known;
  if (const json::Node* list = image.find("RepoTags"))
    for (const json::Node& each : *list)
      if (each.as_string() != "<none>:<none>") tags.push_back(split_tag(each.as_string()));
  if (const json::Node* list = image.find("RepoDigests"))
    for (const json::Node& each : *list)
      if (auto [name, digest] = split_once(each.as_string(), '@'); digest && name != "<none>") known.emplace_back(name, *digest);
  for (auto& [repository, tag] : tags) {
    bool listed = false;
    if (digests)
      for (auto& [name, digest] : known)
        if (name == repository) {
          out.push_back({repository, tag, digest});
          listed = true;
        }
    if (!listed) out.push_back({repository, tag, "<none>"});
  }
  if (tags.empty())
    for (auto& [name, digest] : known) out.push_back({name, "<none>", digests ? digest : "<none>"});
  if (out.empty()) out.emplace_back();
  return out;
}

void fill(Listing& listing, json::Node& row, const json::Node& image, const Name& name, bool whole) {
  const int64_t created = number(image, "Created"), containers = number(image, "Containers", -1);
  const std::string_view id = image.string_at("Id");
  listing.set(row, "Containers", containers < 0 ? "N/A" : std::to_string(containers));
  listing.set(row, "CreatedAt", go_time(created));
  listing.set(row, "CreatedSince", ago(std::max<int64_t>(created, 1)));
  listing.set(row, "Digest", name.digest);
  listing.set(row, "ID", whole ? std::string(id) : short_id(id));
  listing.set(row, "Repository", name.repository);
  const int64_t shared = number(image, "SharedSize", -1);
  listing.set(row, "SharedSize", shared < 0 ? "N/A" : human_size(double(shared)));
  listing.set(row, "Size", human_size(double(number(image, "Size"))));
  listing.set(row, "Tag", name.tag);
  listing.set(row, "UniqueSize", shared < 0 ? "N/A" : human_size(double(number(image, "Size") - shared)));
  listing.set(row, "VirtualSize", human_size(double(number(image, "Size")), 4));
}

}  // namespace

Result<int> images(Call& call) {
  bool all = false, digests = false, whole = false, quiet = false, tree = false;
  std::string format;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("all,a", &all, "Show all images (default hides intermediate images)");
  flags.add("digests", &digests, "Show digests");
  flags.add("filter,f", &filter, "Filter output based on conditions provided", "filter");
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("no-trunc", &whole, "Don't truncate output");
  flags.add("quiet,q", &quiet, "Only show image IDs");
  flags.add("tree", &tree, "List multi-platform images as a tree");
  flags.hide();
  const Arguments arguments = TRY(flags.parse());
  if (!arguments.empty()) filter.push_back("reference=" + std::string(arguments[0]));
  if (format.empty() && !quiet) format = TRY(call.cli.config())->text("imagesFormat");
  if (format.contains(".Digest")) digests = true;
  Listing listing("*formatter.imageContext", {{"ID", "IMAGE ID"},
                                              {"Repository", "REPOSITORY"},
                                              {"Tag", "TAG"},
                                              {"Digest", "DIGEST"},
                                              {"CreatedSince", "CREATED"},
                                              {"CreatedAt", "CREATED AT"},
                                              {"Size", "SIZE"},
                                              {"Containers", "CONTAINERS"},
                                              {"VirtualSize", "SIZE"},
                                              {"SharedSize", "SHARED SIZE"},
                                              {"UniqueSize", "UNIQUE SIZE"}});
  TRY(listing.start(
      format, quiet,
      digests ? "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}"
              : "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}",
      "{{.ID}}"));
  Request request{.path = "/images/json"};
  if (all) request.query.add("all", "1");
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  for (const json::Node& image : answer.root())
    for (const Name& name : names_of(image, digests)) {
      json::Node& row = listing.row();
      fill(listing, row, image, name, whole);
      TRY(listing.add(row, image.find("Labels")));
    }
  std::fputs(TRY(listing.finish()).c_str(), stdout);
  return 0;
}

Result<int> history(Call& call) {
  bool human = true, whole = false, quiet = false;
  std::string format, platform;
  Flags flags(call);
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("human,H", &human, "Print sizes and dates in human readable format");
  flags.add("no-trunc", &whole, "Don't truncate output");
  flags.add("platform", &platform, "Show history for the given platform, as linux/amd64");
  flags.add("quiet,q", &quiet, "Only show image IDs");
  const Arguments arguments = TRY(flags.parse());
  Listing listing("*formatter.historyContext", {{"ID", "IMAGE"},
                                                {"CreatedSince", "CREATED"},
                                                {"CreatedAt", "CREATED AT"},
                                                {"CreatedBy", "CREATED BY"},
                                                {"Size", "SIZE"},
                                                {"Comment", "COMMENT"}});
  TRY(listing.start(format, quiet,
                    human ? "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
                          : "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
                    "{{.ID}}"));
  Request request{.path = "/images/" + segment(arguments[0]) + "/history"};
  if (!platform.empty()) request.query.add("platform", platform);
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  for (const json::Node& entry : answer.root()) {
    const int64_t created = number(entry, "Created"), size = number(entry, "Size");
    std::string by(entry.string_at("CreatedBy"));
    for (char& c : by)
      if (c == '\t') c = ' ';
    const std::string_view id = entry.string_at("Id");
    json::Node& row = listing.row();
    listing.set(row, "Comment", entry.string_at("Comment"));
    std::string at = go_time(created);
    if (const auto parts = split(at, ' '); parts.size() >= 3)
      at = std::string(parts[0]) + "T" + std::string(parts[1]) +
           (parts[2] == "+0000" ? "Z" : std::string(parts[2].substr(0, 3)) + ":" + std::string(parts[2].substr(3)));
    listing.set(row, "CreatedAt", created > 0 ? at : "");
    listing.set(row, "CreatedBy", whole ? by : ellipsis(by, 45));
    listing.set(row, "CreatedSince", created > 0 ? ago(created) : "N/A");
    listing.set(row, "ID", whole ? std::string(id) : short_id(id));
    listing.set(row, "Size", human ? human_size(double(size)) : std::to_string(size));
    TRY(listing.add(row));
  }
  std::fputs(TRY(listing.finish()).c_str(), stdout);
  return 0;
}

}  // namespace estiba::cli::docker
