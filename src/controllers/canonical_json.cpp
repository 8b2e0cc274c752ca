#include "controllers/canonical_json.h"

#include <algorithm>
#include <vector>

namespace estiba::controllers {

static bool is_void(const json::Node& node) { return node.is_null() || ((node.is_array() || node.is_object()) && node.empty()); }

struct Rules {
  std::initializer_list<std::string_view> without;
  bool voids = false;  // are kept

  bool keep(const json::Node& member) const {
    return (voids || !is_void(member)) && std::find(without.begin(), without.end(), member.key()) == without.end();
  }
};

static void write(std::string& out, const json::Node& node, const Rules& rules) {
  if (node.is_array()) {
    out.push_back('[');
    for (const json::Node& item : node) {
      if (out.back() != '[') out.push_back(',');
      write(out, item, rules);
    }
    out.push_back(']');
  } else if (node.is_object()) {
    std::vector<const json::Node*> members;
    for (const json::Node& member : node)
      if (rules.keep(member)) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->key() < b->key(); });
    out.push_back('{');
    for (const json::Node* member : members) {
      if (member != members.front()) out.push_back(',');
      json::append_string(out, member->key());
      out.push_back(':');
      write(out, *member, rules);
    }
    out.push_back('}');
  } else {
    json::print_to(out, node);
  }
}

std::string canonical_json(const json::Node& node, std::initializer_list<std::string_view> without) {
  std::string out;
  write(out, node, {.without = without});
  return out;
}

std::string sorted_json(const json::Node& node) {
  std::string out;
  write(out, node, {.without = {}, .voids = true});
  return out;
}

}  // namespace estiba::controllers
