#include "engine/seccomp.h"

#include <sys/utsname.h>

#include <algorithm>

#include "base/strings.h"
#include "image/manifest.h"

namespace estiba::engine {
namespace {

using json::Document;
using json::Node;

std::unexpected<Error> wrong(std::string_view why) { return fail(Code::invalid, "Decoding seccomp profile failed: " + std::string(why)); }

bool contains(const Node* list, std::string_view text) {
  if (!list || !list->is_array()) return false;
  return std::any_of(list->begin(), list->end(), [&](const Node& item) { return item.is_string() && item.as_string() == text; });
}

bool empty(const Node* list) { return !list || !list->is_array() || list->size() == 0; }

/// Whether this kernel is at least "4.8".
bool kernel_at_least(std::string_view wanted) {
  utsname host{};
  ::uname(&host);
  auto version = [](std::string_view text) {
    auto [major, rest] = split_once(text, '.');
    std::string_view minor = rest.value_or("0");
    minor = minor.substr(0, minor.find_first_not_of("0123456789"));
    return std::pair(parse_number<int>(major).value_or(0), parse_number<int>(minor).value_or(0));
  };
  return version(host.release) >= version(wanted);
}

struct Machine {
  std::string arch = image::host_platform().architecture;
  const std::vector<std::string>& capabilities;

  bool excluded(const Node& conditions) const {
    if (contains(conditions.find("arches"), arch)) return true;
    if (const Node* caps = conditions.find("caps"))
      for (const auto& held : capabilities)
        if (contains(caps, held)) return true;
    const Node* kernel = conditions.find("minKernel");
    return kernel && kernel->is_string() && kernel_at_least(kernel->as_string());
  }
  bool included(const Node& conditions) const {
    const Node* arches = conditions.find("arches");
    if (!empty(arches) && !contains(arches, arch)) return false;
    if (const Node* caps = conditions.find("caps"); !empty(caps))
      for (const Node& cap : *caps)
        if (std::find(capabilities.begin(), capabilities.end(), cap.as_string()) == capabilities.end()) return false;
    const Node* kernel = conditions.find("minKernel");
    return !kernel || !kernel->is_string() || kernel_at_least(kernel->as_string());
  }
};

/// The family of this machine in libseccomp's names.
std::string_view native_family() {
#if defined(__aarch64__)
  return "SCMP_ARCH_AARCH64";
#else
  return "SCMP_ARCH_X86_64";
#endif
}

Result<void> architectures(const Node& from, Document& doc, Node& to) {
  const Node *listed = from.find("architectures"), *map = from.find("archMap");
  if (!empty(listed) && !empty(map))
    return fail(Code::invalid,
                "both 'architectures' and 'archMap' were specified in the seccomp profile, use either 'architectures' or 'archMap'");
  if (!empty(listed)) doc.set(to, "architectures", doc.copy(*listed));
  if (empty(map)) return {};
  for (const Node& family : *map) {
    if (!family.is_object() || family.string_at("architecture") != native_family()) continue;
    Node& list = doc.set(to, "architectures", doc.make_array());
    doc.append(list, doc.make_string(native_family()));
    if (const Node* more = family.find("subArchitectures"); !empty(more))
      for (const Node& one : *more) doc.append(list, doc.copy(one));
  }
  return {};
}

Result<void> add_rule(const Node& call, Document& doc, Node& rules) {
  const Node *name = call.find("name"), *names = call.find("names");
  const bool named = name && name->is_string() && !name->as_string().empty();
  if (named && !empty(names))
    return fail(Code::invalid, "'name' and 'names' were specified in the seccomp profile, use either 'name' or 'names'");
  Node& rule = doc.append(rules, doc.make_object());
  if (named) doc.append(doc.set(rule, "names", doc.make_array()), doc.copy(*name));
  else if (names) doc.set(rule, "names", doc.copy(*names));
  for (const char* key : {"action", "errnoRet", "args"})
    if (const Node* value = call.find(key); value && !value->is_null()) doc.set(rule, key, doc.copy(*value));
  return {};
}

}  // namespace

Result<Document> oci_seccomp(std::string_view profile, const std::vector<std::string>& capabilities) {
  auto parsed = Document::parse(profile, {.allow_duplicate_keys = true});
  if (!parsed) return wrong(parsed.error().message);
  const Node& from = parsed->root();
  if (!from.is_object()) return wrong("it is no object");
  Document doc;
  Node& root = doc.make_object();
  doc.set_root(root);
  for (const char* key : {"defaultAction", "defaultErrnoRet", "flags"})
    if (const Node* value = from.find(key); value && !value->is_null()) doc.set(root, key, doc.copy(*value));
  TRY(architectures(from, doc, root));
  Node& rules = doc.set(root, "syscalls", doc.make_array());
  const Machine machine{.capabilities = capabilities};
  const Node* calls = from.find("syscalls");
  if (!calls || calls->is_null()) return doc;
  if (!calls->is_array()) return wrong("syscalls is no list");
  for (const Node& call : *calls) {
    if (!call.is_object()) return wrong("an entry of syscalls is no object");
    if (const Node* excludes = call.find("excludes"); excludes && excludes->is_object() && machine.excluded(*excludes)) continue;
    if (const Node* includes = call.find("includes"); includes && includes->is_object() && !machine.included(*includes)) continue;
    TRY(add_rule(call, doc, rules));
  }
  return doc;
}

}  // namespace estiba::engine
