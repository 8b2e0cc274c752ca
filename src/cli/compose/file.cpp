#include "cli/compose/file.h"

#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/compose/schema.h"
#include "cli/compose/shape.h"
#include "cli/flags.h"
#include "os/fd.h"
#include "os/file.h"

namespace estiba::cli::compose {
namespace {

using json::Document;
using json::Node;

constexpr int deepest_include = 16;

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

std::string short_name(const std::string& file) { return file == "-" ? "stdin" : file.substr(file.rfind('/') + 1); }

std::vector<std::string> texts(const Node* node) {
  std::vector<std::string> out;
  if (node && node->is_string()) out.emplace_back(node->as_string());
  if (node && node->is_array())
    for (const Node& item : *node) out.emplace_back(item.as_string());
  return out;
}

std::string did_you_mean(std::string_view word, const Node& among) {
  std::vector<std::string_view> names;
  for (const Node& each : among) names.push_back(each.key());
  const std::string_view near = nearest(word, names);
  return near.empty() ? "" : "; did you mean " + quoted(near) + "?";
}

/// Removes what `keys` lead to, from the `skip`th on; nothing where it is not there.
void remove_at(Document& document, Node& root, const std::vector<std::string>& keys, size_t skip = 0) {
  Node* node = &root;
  for (size_t i = skip; i + 1 < keys.size() && node; ++i) node = node->find(keys[i]);
  if (node && node->is_object()) document.remove(*node, keys.back());
}

}  // namespace

/// The Compose specification, "Merge": !reset takes a value away, also the file's own; !override replaces it.
Result<void> FileReader::take_tags(Document& document, const std::vector<model::YamlTag>& tags, const std::string& file) {
  auto& cleared = cleared_[file];
  cleared.clear();
  for (const model::YamlTag& tag : tags) {
    const std::string where = short_name(file) + ":" + std::to_string(tag.line) + ": " + join(tag.keys, ".") + ": ";
    if (tag.tag != "!reset" && tag.tag != "!override")
      return fail(Code::invalid,
                  where + "unknown tag " + tag.tag + "; !reset takes a value of the files before away, !override replaces it");
    if (tag.in_list || tag.keys.empty())
      return fail(Code::invalid, where + tag.tag + " belongs to a key's value, not into a list; write it after the key of the list");
    if (tag.tag == "!reset") remove_at(document, document.root(), tag.keys);
    cleared.push_back(tag.keys);
  }
  return {};
}

Result<Document> FileReader::parse(const std::string& file) {
  auto text = file == "-" ? os::read_all(STDIN_FILENO) : os::read_file(file);
  if (!text && text.error().sys == ENOENT) return fail(Code::not_found, "open " + file + ": no such file or directory");
  if (!text) return std::unexpected(std::move(text.error()));
  std::vector<model::YamlTag> tags;
  Document document = TRY_AS(short_name(file), model::parse_yaml(*text, {.max_depth = 100, .yes_is_text = true, .local_tags = &tags}));
  if (document.root().is_null()) return fail(Code::invalid, short_name(file) + ": empty compose file");
  TRY(take_tags(document, tags, file));
  TRY(fill(document, document.root(), "", file));
  TRY(check_schema(document.root(), short_name(file)));
  cast_scalars(document, document.root());
  if (document.root().find("version"))
    warnings_->push_back(file + ": the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion");
  return document;
}

Result<void> FileReader::fill(Document& document, Node& node, const std::string& path, const std::string& file) {
  if (node.is_string() && node.as_string().find('$') != std::string_view::npos) {
    std::vector<std::string> missing;
    const std::string before(node.as_string());
    auto after = interpolate(before, environment_, &missing);
    if (!after && after.error().code == Code::malformed)
      return fail(Code::malformed,
                  short_name(file) + ": invalid interpolation format for " + path + ": " + quoted(before) + "; " + after.error().message);
    if (!after) return fail(Code::invalid, short_name(file) + ": error while interpolating " + path + ": " + after.error().message);
    document.assign(node, document.make_string(*after));
    for (const auto& name : missing) {
      const std::string warning = "The " + quoted(name) + " variable is not set. Defaulting to a blank string.";
      if (std::find(warnings_->begin(), warnings_->end(), warning) == warnings_->end()) warnings_->push_back(warning);
    }
  }
  uint32_t index = 0;
  if (node.is_object() || node.is_array())
    for (Node& child : node) {
      std::string inner = node.is_array() ? path + "[" + std::to_string(index++) + "]"
                          : path.empty()  ? std::string(child.key())
                                          : path + "." + std::string(child.key());
      TRY(fill(document, child, inner, file));
    }
  return {};
}

Result<void> FileReader::extend(Document& document, Node& services, const std::string& name, const std::string& directory,
                                const std::string& file, std::vector<std::string> trail) {
  const std::string where = short_name(file) + ": services." + name;
  Node* service = services.find(name);
  const Node* extends = service->find("extends");
  if (extends && !extends->is_null()) {
    trail.push_back(name + " in " + file);
    const std::string other(extends->is_object() ? extends->string_at("service") : extends->as_string());
    const std::string from(extends->is_object() ? extends->string_at("file") : "");
    if (other.empty()) return fail(Code::invalid, where + ".extends.service: it is missing");
    const std::string path = from.empty() ? file : absolute_path(from, directory);
    if (std::find(trail.begin(), trail.end(), other + " in " + path) != trail.end())
      return fail(Code::invalid, where + ".extends: circular reference: " + join(trail, " extends ") + " extends " + other);
    document.remove(*service, "extends");
    Node* base = nullptr;
    if (path == file) {
      base = services.find(other);
      if (!base)
        return fail(Code::not_found, where + ".extends: service " + quoted(other) + " is not in this file" + did_you_mean(other, services));
      TRY(extend(document, services, other, directory, file, trail));
    } else {
      Document foreign = TRY_AS(where + ".extends", parse(path));
      Node* list = foreign.root().find("services");
      if (!list || !list->find(other))
        return fail(Code::not_found,
                    where + ".extends: service " + quoted(other) + " is not in " + path + (list ? did_you_mean(other, *list) : ""));
      TRY(extend(foreign, *list, other, directory_of(path), path, trail));
      base = &document.copy(*list->find(other));
    }
    Node& merged = document.copy(*base);
    for (const auto& keys : cleared_[file])
      if (keys.size() > 2 && keys[0] == "services" && keys[1] == name) remove_at(document, merged, keys, 2);
    TRY_AS(where, shape_service(document, *service, directory));
    merge_into(document, merged, *service, "services." + name);
    document.assign(*service, merged);
    return {};
  }
  TRY_AS(where, shape_service(document, *service, directory));
  return {};
}

Result<void> FileReader::shape_all(Document& document, const std::string& directory, const std::string& file) {
  TRY(shape_resources(document, document.root(), directory));
  Node* services = document.root().find("services");
  if (!services || !services->is_object()) return {};
  std::vector<std::string> names;
  for (const Node& each : *services)
    if (each.is_object() && !each.key().starts_with("x-")) names.emplace_back(each.key());
  // Shaping what is long already changes nothing, so a service that another one extends may come here twice.
  for (const auto& name : names) TRY(extend(document, *services, name, directory, file, {}));
  return {};
}

Result<void> FileReader::include_one(Document& document, const Node& item, const std::string& directory, const std::string& file) {
  std::vector<std::string> files = texts(item.is_object() ? item.find("path") : &item);
  if (files.empty()) return fail(Code::invalid, short_name(file) + ": include: a path is expected");
  for (auto& path : files) path = absolute_path(path, directory);
  std::string base = directory_of(files[0]);
  if (item.is_object() && !item.string_at("project_directory").empty())
    base = absolute_path(item.string_at("project_directory"), directory);
  Environment environment = environment_;
  std::vector<std::string> env_files = item.is_object() ? texts(item.find("env_file")) : std::vector<std::string>{};
  const bool given = !env_files.empty();
  if (!given) env_files.push_back(base + "/.env");
  for (const auto& path : env_files) {
    const std::string at = absolute_path(path, directory);
    if (!given && !os::exists(at)) continue;
    const Environment more = TRY_AS(at, parse_env_file(TRY(os::read_file(at)), environment));
    environment.insert(more.begin(), more.end());
  }
  FileReader reader(environment, warnings_);
  reader.depth_ = depth_ + 1;
  Document included = TRY(reader.read(files, base));
  for (const Node& section : included.root()) {
    if (!section.is_object()) continue;
    Node& ours = document.ensure_object(document.root(), section.key());
    for (const Node& each : section) {
      const Node* old = ours.find(each.key());
      if (old && !json::equal(*old, each))
        return fail(Code::conflict, short_name(file) + ": include: " + std::string(section.key()) + "." + std::string(each.key()) + " of " +
                                        files[0] + " conflicts with one of the same name; rename one of them");
      if (!old) document.set(ours, each.key(), document.copy(each));
    }
  }
  return {};
}

Result<void> FileReader::include(Document& document, const Node& list, const std::string& directory, const std::string& file) {
  if (depth_ >= deepest_include) return fail(Code::invalid, short_name(file) + ": include: files include each other");
  if (!list.is_array()) return fail(Code::invalid, short_name(file) + ": include: a list is expected");
  for (const Node& item : list) TRY(include_one(document, item, directory, file));
  return {};
}

Result<Document> FileReader::read(const std::vector<std::string>& files, const std::string& directory) {
  Document out;
  out.set_root(out.make_object());
  for (const auto& file : files) {
    Document document = TRY(parse(file));
    TRY(shape_all(document, directory, file));
    const Node* included = document.root().find("include");
    Document inclusion;
    inclusion.set_root(inclusion.make_object());
    if (included && !included->is_null()) TRY(include(inclusion, *included, directory, file));
    document.remove(document.root(), "include");
    document.remove(document.root(), "version");
    merge_into(out, out.root(), inclusion.root());
    for (const auto& keys : cleared_[file]) remove_at(out, out.root(), keys);
    merge_into(out, out.root(), document.root());
  }
  return out;
}

}  // namespace estiba::cli::compose
