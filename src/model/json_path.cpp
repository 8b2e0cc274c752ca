#include "model/json_path.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::model {

using json::Node;

// One side of a comparison: a path from "@", or a literal.
struct JsonPath::Filter {
  enum class Op : uint8_t { exists, equal, differs, less, less_equal, greater, greater_equal } op = Op::exists;
  struct Side {
    bool literal = false;
    JsonPath path;
    json::Document value;
  } left, right;
};

class JsonPath::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<JsonPath> whole() {
    JsonPath out = TRY(path(""));
    if (at_ != text_.size()) return unexpected();
    return out;
  }

 private:
  std::unexpected<Error> unexpected() const {
    return fail(Code::malformed, "unexpected " + (at_ < text_.size() ? quoted(text_.substr(at_, 1)) : std::string("end")) + " at " +
                                     std::to_string(at_) + " of the path " + quoted(text_));
  }
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  void spaces() {
    while (peek() == ' ') ++at_;
  }

  // Steps until the end, or until one of `ends` outside of brackets.
  Result<JsonPath> path(std::string_view ends) {
    JsonPath out;
    while (!done() && ends.find(peek()) == std::string_view::npos) {
      if (take("..")) {
        out.steps_.push_back({Step::Kind::recursive});
        if (peek() != '[') TRY(name(out, ends));
      } else if (take(".")) {
        if (done() || ends.find(peek()) != std::string_view::npos) break;
        if (peek() != '[') TRY(name(out, ends));
      } else if (take("[")) {
        TRY(bracket(out));
      } else {
        return unexpected();
      }
    }
    return out;
  }

  Result<void> name(JsonPath& out, std::string_view ends) {
    if (take("*")) {
      out.steps_.push_back({Step::Kind::all});
      return {};
    }
    std::string key;
    for (; !done() && peek() != '.' && peek() != '[' && ends.find(peek()) == std::string_view::npos; ++at_) {
      if (peek() == '\\' && at_ + 1 < text_.size()) ++at_;
      key += peek();
    }
    if (key.empty()) return unexpected();
    out.steps_.push_back({Step::Kind::keys, {std::move(key)}});
    return {};
  }

  Result<void> bracket(JsonPath& out) {
    spaces();
    if (take("?(")) {
      TRY(filter(out));
      spaces();
      if (!take(")")) return unexpected();
    } else if (take("*")) {
      out.steps_.push_back({Step::Kind::all});
    } else if (peek() == '\'' || peek() == '"') {
      Step step;
      do {
        spaces();
        step.keys.push_back(TRY(string()));
        spaces();
      } while (take(","));
      out.steps_.push_back(std::move(step));
    } else {
      TRY(numbers(out));
    }
    spaces();
    if (!take("]")) return unexpected();
    return {};
  }

  Result<std::string> string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return unexpected();
    std::string out;
    for (++at_; !done() && peek() != quote; ++at_) {
      if (peek() == '\\' && at_ + 1 < text_.size()) ++at_;
      out += peek();
    }
    if (done()) return unexpected();
    ++at_;
    return out;
  }

  std::optional<int64_t> integer() {
    const size_t begin = at_;
    if (peek() == '-') ++at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return parse_number<int64_t>(text_.substr(begin, at_ - begin));
  }

  Result<void> numbers(JsonPath& out) {
    Step step{Step::Kind::index};
    const auto from = integer();
    if (from) step.from = *from, step.has_from = true;
    if (take(":")) {
      step.kind = Step::Kind::slice;
      if (const auto to = integer()) step.to = *to, step.has_to = true;
      if (take(":")) {
        const auto every = integer();
        if (!every || *every <= 0) return unexpected();
        step.step = *every;
      }
    } else if (!from) {
      return unexpected();
    }
    out.steps_.push_back(std::move(step));
    return {};
  }

  Result<void> filter(JsonPath& out) {
    auto made = std::make_shared<Filter>();
    TRY(side(made->left));
    spaces();
    using Op = Filter::Op;
    static constexpr std::pair<std::string_view, Op> operators[] = {{"==", Op::equal},         {"!=", Op::differs}, {"<=", Op::less_equal},
                                                                    {">=", Op::greater_equal}, {"<", Op::less},     {">", Op::greater}};
    for (const auto& [text, op] : operators) {
      if (!take(text)) continue;
      made->op = op;
      spaces();
      TRY(side(made->right));
      break;
    }
    out.steps_.push_back({Step::Kind::filter, {}, 0, 0, 1, false, false, std::move(made)});
    return {};
  }

  Result<void> side(Filter::Side& out) {
    spaces();
    if (take("@")) {
      out.path = TRY(path(" =!<>)"));
      return {};
    }
    out.literal = true;
    if (peek() == '\'' || peek() == '"') {
      out.value.set_root(out.value.make_string(TRY(string())));
      return {};
    }
    const size_t begin = at_;
    while (!done() && std::string_view(" =!<>)").find(peek()) == std::string_view::npos) ++at_;
    auto parsed = json::Document::parse(text_.substr(begin, at_ - begin));
    if (!parsed) return unexpected();
    out.value = std::move(*parsed);
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
};

Result<JsonPath> JsonPath::parse(std::string_view text) { return Parser(text).whole(); }

bool JsonPath::matches(const Filter& filter, const Node& node) {
  const auto value_of = [&](const Filter::Side& side) { return side.literal ? &side.value.root() : side.path.first(node); };
  const Node* left = value_of(filter.left);
  using Op = Filter::Op;
  if (filter.op == Op::exists) return left != nullptr;
  const Node* right = value_of(filter.right);
  if (!left || !right) return false;
  if (filter.op == Op::equal) return json::equal(*left, *right);
  if (filter.op == Op::differs) return !json::equal(*left, *right);
  const auto compared = [&](auto a, auto b) {
    switch (filter.op) {
      case Op::less: return a < b;
      case Op::less_equal: return a <= b;
      case Op::greater: return a > b;
      default: return a >= b;
    }
  };
  if (left->is_string() && right->is_string()) return compared(left->as_string(), right->as_string());
  const auto a = left->as_double(), b = right->as_double();
  return a && b && compared(*a, *b);
}

namespace {

void descend(const Node& node, std::vector<const Node*>& out) {
  out.push_back(&node);
  if (!node.is_object() && !node.is_array()) return;
  for (const Node& child : node) descend(child, out);
}

}  // namespace

void JsonPath::apply(const Step& step, const Node& node, Nodes& out) {
  const int64_t size = node.size();
  switch (step.kind) {
    case Step::Kind::keys:
      for (const std::string& key : step.keys)
        if (const Node* member = node.find(key)) out.push_back(member);
      return;
    case Step::Kind::index: {
      const int64_t at = step.from < 0 ? step.from + size : step.from;
      if (node.is_array() && at >= 0 && at < size) out.push_back(&node[uint32_t(at)]);
      return;
    }
    case Step::Kind::slice: {
      if (!node.is_array()) return;
      const auto place = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
      const int64_t to = step.has_to ? place(step.to) : size;
      for (int64_t at = step.has_from ? place(step.from) : 0; at < to; at += step.step) out.push_back(&node[uint32_t(at)]);
      return;
    }
    case Step::Kind::all:
      if (node.is_array() || node.is_object())
        for (const Node& child : node) out.push_back(&child);
      return;
    case Step::Kind::filter:
      if (!node.is_array()) return;
      for (const Node& element : node)
        if (matches(*step.filter, element)) out.push_back(&element);
      return;
    case Step::Kind::recursive: descend(node, out); return;
  }
}

std::vector<const Node*> JsonPath::find(const Node& root) const {
  Nodes now{&root};
  for (const Step& step : steps_) {
    Nodes next;
    for (const Node* node : now) apply(step, *node, next);
    now = std::move(next);
    if (now.empty()) break;
  }
  return now;
}

const Node* JsonPath::first(const Node& root) const {
  const Nodes found = find(root);
  return found.empty() ? nullptr : found.front();
}

std::string json_path_text(const Node& node) {
  switch (node.type()) {
    case json::Type::string: return std::string(node.as_string());
    case json::Type::null: return "<nil>";
    default: return json::print(node);
  }
}

}  // namespace estiba::model
