#include "model/patch.h"

#include <charconv>
#include <optional>

#include "base/strings.h"

namespace estiba::model {

using json::Document;
using json::Node;

// ---- JSON patch

namespace {

using Pointer = std::vector<std::string>;

Result<Pointer> parse_pointer(std::string_view text, std::string_view field) {
  if (text.empty()) return Pointer{};
  if (text[0] != '/') return fail(Code::malformed, "JSON patch: " + std::string(field) + " " + quoted(text) + " does not begin with '/'");
  Pointer out;
  for (std::string_view step : split(text.substr(1), '/')) {
    std::string& plain = out.emplace_back();
    for (size_t i = 0; i < step.size(); ++i) {
      if (step[i] == '~' && i + 1 < step.size() && (step[i + 1] == '0' || step[i + 1] == '1')) plain += step[++i] == '0' ? '~' : '/';
      else plain += step[i];
    }
  }
  return out;
}

std::optional<uint32_t> index_of(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  return value;
}

int depth_of(const Node& node, int limit) {
  if (limit <= 0 || node.type() < json::Type::array) return 0;
  int deepest = 0;
  for (const Node& child : node) deepest = std::max(deepest, depth_of(child, limit - 1));
  return deepest + 1;
}

class JsonPatch {
 public:
  JsonPatch(Document& document, const PatchLimits& limits) : document_(document), limits_(limits) {}

  Result<void> run(const Node& patch) {
    if (!patch.is_array()) return fail(Code::malformed, "JSON patch: expected an array of operations");
    if (patch.size() > limits_.operations)
      return fail(Code::too_large, "JSON patch: the allowed maximum operations in a JSON patch is " + std::to_string(limits_.operations) +
                                       ", got " + std::to_string(patch.size()));
    for (const Node& operation : patch) TRY(apply(operation));
    return {};
  }

 private:
  Result<void> apply(const Node& operation) {
    const std::string_view name = operation.string_at("op");
    const Node* path = operation.find("path");
    if (!path || !path->is_string()) return fail(Code::malformed, "JSON patch: an operation needs a string \"path\"");
    path_ = path->as_string();
    op_ = name;
    const Pointer pointer = TRY(parse_pointer(path_, "path"));
    if (name == "remove") return remove(pointer);
    if (name == "move" || name == "copy") return carry(operation, pointer, name == "move");
    if (name != "add" && name != "replace" && name != "test")
      return fail(Code::malformed, "JSON patch: unknown operation " + quoted(name) + ": use add, remove, replace, move, copy or test");
    const Node* value = operation.find("value");
    static const Document nothing;  // a missing value is null, as Kubernetes takes it
    if (!value) value = &nothing.root();
    if (name == "test") return test(pointer, *value);
    return name == "add" ? add(pointer, document_.copy(*value)) : replace(pointer, *value);
  }

  std::unexpected<Error> missing(std::string_view what) const {
    return fail(Code::invalid, op_ + " operation does not apply: " + path_ + ": " + std::string(what));
  }

  // The node that holds the pointer's last step, or null.
  Node* parent(const Pointer& pointer) {
    Node* at = &document_.root();
    for (size_t i = 0; at && i + 1 < pointer.size(); ++i) at = child(*at, pointer[i]);
    return at;
  }

  static Node* child(Node& node, std::string_view step) {
    if (node.is_object()) return node.find(step);
    if (!node.is_array()) return nullptr;
    const auto i = index_of(step);
    return i && *i < node.size() ? &node[*i] : nullptr;
  }

  Node* find(const Pointer& pointer) {
    if (pointer.empty()) return &document_.root();
    Node* holder = parent(pointer);
    return holder ? child(*holder, pointer.back()) : nullptr;
  }

  Result<void> add(const Pointer& pointer, Node& value) {
    if (int(pointer.size()) + depth_of(value, limits_.depth) > limits_.depth) return missing("nested too deeply");
    if (pointer.empty()) {
      document_.set_root(value);
      return {};
    }
    Node* holder = parent(pointer);
    if (!holder) return missing("doc is missing path");
    if (holder->is_object()) {
      document_.set(*holder, pointer.back(), value);
      return {};
    }
    if (!holder->is_array()) return missing("its parent is neither an object nor an array");
    const auto i = pointer.back() == "-" ? std::optional(holder->size()) : index_of(pointer.back());
    if (!i || *i > holder->size()) return missing("invalid array index");
    document_.insert(*holder, *i, value);
    return {};
  }

  Result<void> remove(const Pointer& pointer) {
    if (pointer.empty()) return fail(Code::malformed, "JSON patch: the whole object cannot be removed");
    Node* holder = parent(pointer);
    if (!holder || !child(*holder, pointer.back())) return missing("missing value");
    if (holder->is_object()) document_.remove(*holder, pointer.back());
    else document_.remove(*holder, *index_of(pointer.back()));
    return {};
  }

  Result<void> replace(const Pointer& pointer, const Node& value) {
    Node* target = find(pointer);
    if (!target) return missing("missing value");
    if (int(pointer.size()) + depth_of(value, limits_.depth) > limits_.depth) return missing("nested too deeply");
    document_.assign(*target, value);
    return {};
  }

  Result<void> test(const Pointer& pointer, const Node& value) {
    const Node* target = find(pointer);
    if (target ? json::equal(*target, value) : value.is_null()) return {};
    return fail(Code::invalid, "testing value " + path_ + " failed");
  }

  Result<void> carry(const Node& operation, const Pointer& to, bool move) {
    const Node* from_text = operation.find("from");
    if (!from_text || !from_text->is_string()) return fail(Code::malformed, "JSON patch: " + op_ + " needs a string \"from\"");
    const Pointer from = TRY(parse_pointer(from_text->as_string(), "from"));
    const Node* source = find(from);
    if (!source) return missing("missing value at " + quoted(from_text->as_string()));
    const bool inside = to.size() > from.size() && std::equal(from.begin(), from.end(), to.begin());
    if (move && inside) return fail(Code::malformed, "JSON patch: " + path_ + ": a value cannot be moved into itself");
    copied_ += json::print(*source).size();
    if (copied_ > limits_.copied_bytes)
      return fail(Code::too_large, "JSON patch: the copies exceed " + std::to_string(limits_.copied_bytes) + " bytes");
    if (depth_of(*source, limits_.depth) >= limits_.depth) return missing("nested too deeply");
    Node& value = document_.copy(*source);
    if (move) TRY(remove(from));
    return add(to, value);
  }

  Document& document_;
  const PatchLimits& limits_;
  std::string op_, path_;
  size_t copied_ = 0;
};

// RFC 7386 for a value with nothing to merge into: nulls vanish.
Node& without_nulls(Document& document, const Node& value) {
  if (!value.is_object()) return document.copy(value);
  Node& out = document.make_object();
  for (const Node& member : value)
    if (!member.is_null()) document.add(out, member.key(), without_nulls(document, member));
  return out;
}

void merge(Document& document, Node& target, const Node& patch) {
  for (const Node& member : patch) {
    Node* old = target.find(member.key());
    if (member.is_null()) document.remove(target, member.key());
    else if (old && old->is_object() && member.is_object()) merge(document, *old, member);
    else document.set(target, member.key(), without_nulls(document, member));
  }
}

}  // namespace

Result<void> apply_json_patch(Document& document, const Node& patch, const PatchLimits& limits) {
  return JsonPatch(document, limits).run(patch);
}

Result<void> apply_merge_patch(Document& document, const Node& patch) {
  if (!patch.is_object())
    return fail(Code::malformed, "merge patch: expected an object, got " + std::string(json::to_string(patch.type())));
  if (document.root().is_object()) merge(document, document.root(), patch);
  else document.set_root(without_nulls(document, patch));
  return {};
}

}  // namespace estiba::model
