// FieldsV1: "f:name", k:{"name":"c"}, v:"text", "i:0", and "." for the field itself.
#include <algorithm>

#include "base/strings.h"
#include "model/field_set.h"

namespace estiba::model {

using json::Node;

namespace {

// Whether a text has no escapes and no characters that would need one, so that it is canonical as it stands.
bool plain(std::string_view text) {
  return std::ranges::none_of(text, [](char c) {
    return c == '\\' || c == '<' || c == '>' || c == '&' || static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f;
  });
}

bool plain_scalar(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    const std::string_view inner = text.substr(1, text.size() - 2);
    return plain(inner) && inner.find('"') == std::string_view::npos;
  }
  if (text == "true" || text == "false" || text == "0") return true;
  return !text.empty() && text.size() < 18 && text[0] != '0' && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// {"name":"c","port":80} with sorted names and plain values: what we write ourselves, nearly always.
bool plain_key(std::string_view text) {
  if (text.size() < 2 || text.front() != '{' || text.back() != '}' || !plain(text)) return false;
  std::string_view rest = text.substr(1, text.size() - 2), last;
  while (!rest.empty()) {
    if (rest[0] != '"') return false;
    const size_t quote = rest.find('"', 1);
    if (quote == std::string_view::npos || quote + 1 >= rest.size() || rest[quote + 1] != ':') return false;
    const std::string_view name = rest.substr(1, quote - 1);
    if (name <= last) return false;
    last = name;
    rest.remove_prefix(quote + 2);
    const size_t close = !rest.empty() && rest[0] == '"' ? rest.find('"', 1) : std::string_view::npos;
    const size_t end = rest.find(',', close == std::string_view::npos ? 0 : close);
    if (!plain_scalar(rest.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    rest.remove_prefix(end + 1);
  }
  return false;
}

std::unexpected<Error> no_step(std::string_view text, std::string_view why) {
  return fail(Code::malformed, "fieldsV1: " + quoted(text) + " is no path element: " + std::string(why));
}

Result<FieldStep> key_of(FieldPool& pool, std::string_view text) {
  if (plain_key(text)) return FieldStep{FieldStep::Kind::key, text};
  auto parsed = json::Document::parse(text);
  if (!parsed || !parsed->root().is_object()) return no_step(text, "its keys must be a JSON object");
  std::vector<const Node*> keys;
  for (const Node& member : parsed->root()) keys.push_back(&member);
  std::ranges::sort(keys, {}, &Node::key);
  std::string canonical = "{";
  for (const Node* key : keys) {
    if (canonical.size() > 1) canonical += ',';
    json::append_string(canonical, key->key());
    canonical += ':';
    append_canonical(canonical, *key);
  }
  canonical += '}';
  return FieldStep{FieldStep::Kind::key, pool.keep(canonical)};
}

Result<FieldStep> value_of(FieldPool& pool, std::string_view text) {
  if (plain_scalar(text)) return FieldStep{FieldStep::Kind::value, text};
  auto parsed = json::Document::parse(text);
  if (!parsed) return no_step(text, "its value must be JSON");
  std::string canonical;
  append_canonical(canonical, parsed->root());
  return FieldStep{FieldStep::Kind::value, pool.keep(canonical)};
}

class Reader {
 public:
  explicit Reader(FieldPool& pool) : pool_(pool) {}

  // `self`: whether "." says that the field itself is a member. One that says nothing below it is a member.
  Result<FieldSet> level(const Node& node, bool& self) {
    if (!node.is_object()) return fail(Code::malformed, "fieldsV1: expected an object, got " + std::string(json::to_string(node.type())));
    FieldLevel level(pool_, scratch_);
    self = false;
    for (const Node& member : node) {
      const std::string_view key = member.key();
      if (key == ".") {
        self = true;
        continue;
      }
      if (key.size() < 2 || key[1] != ':') return no_step(key, "missing colon");
      const auto step = step_of(key);
      if (!step) return std::unexpected(step.error());
      if (step->text.data() == nullptr) continue;
      bool is_member = false;
      const FieldSet children = TRY(this->level(member, is_member));
      level.add(*step, is_member, children);
    }
    const FieldSet out = level.take();
    if (!out) self = true;
    return unique(out);
  }

 private:
  Result<FieldStep> step_of(std::string_view key) {
    const std::string_view text = key.substr(2);
    switch (key[0]) {
      case 'f': return FieldStep{FieldStep::Kind::field, text};
      case 'k': return key_of(pool_, text);
      case 'v': return value_of(pool_, text);
      case 'i':
        if (!parse_number<int>(text)) return no_step(key, "the index must be a number");
        return FieldStep{FieldStep::Kind::index, text};
      default: return FieldStep{};
    }
  }

  // Two spellings of one step become one.
  FieldSet unique(FieldSet set) {
    for (FieldSet node = set; node && node->next; node = node->next) {
      if (!(node->step == node->next->step)) continue;
      FieldSet out = nullptr;
      for (FieldSet at = set; at; at = at->next) out = unite(pool_, out, &pool_.node(at->step, at->member, at->children));
      return out;
    }
    return set;
  }

  FieldPool& pool_;
  std::vector<FieldNode*> scratch_;
};

}  // namespace

void append_canonical(std::string& out, const Node& scalar) {
  const auto whole = scalar.is_number() ? scalar.as_int() : std::nullopt;
  if (whole) out += std::to_string(*whole);
  else json::print_to(out, scalar);
}

Result<FieldSet> read_fields(FieldPool& pool, const Node& fields) {
  bool self = false;
  return Reader(pool).level(fields, self);
}

void write_fields(json::Document& document, Node& object, FieldSet set) {
  std::string key;
  for (; set; set = set->next) {
    key.assign(1, "fkvi"[size_t(set->step.kind)]);
    key.append(":").append(set->step.text);
    Node& below = document.make_object();
    if (set->member && set->children) document.add(below, ".", document.make_object());
    write_fields(document, below, set->children);
    document.add(object, key, below);
  }
}

}  // namespace estiba::model
