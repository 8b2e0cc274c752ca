#include "model/selector.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/strings.h"
#include "model/names.h"
#include "model/types/meta_v1.h"

namespace estiba::model {

static std::optional<int64_t> integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool Requirement::matches(const std::string_view* value) const {
  switch (op) {
    case Op::in: return value && std::ranges::binary_search(values, *value);
    case Op::not_in: return !value || !std::ranges::binary_search(values, *value);
    case Op::exists: return value;
    case Op::not_exists: return !value;
    case Op::greater:
    case Op::less: break;
  }
  const auto have = value ? integer(*value) : std::nullopt;
  const auto limit = integer(values[0]);
  return have && limit && (op == Op::greater ? *have > *limit : *have < *limit);
}

namespace {

// Words, and the signs = == != , ( ) ! < >.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) { advance(); }

  bool done() const { return token_.empty(); }
  std::string_view token() const { return token_; }
  bool is_word() const { return word_; }
  bool take(std::string_view sign) {
    if (word_ || token_ != sign) return false;
    advance();
    return true;
  }
  std::string_view next() {
    const std::string_view out = token_;
    advance();
    return out;
  }

 private:
  void advance() {
    const size_t start = std::min(text_.find_first_not_of(" \t\r\n"), text_.size());
    text_.remove_prefix(start);
    size_t length = std::min(text_.find_first_of(" \t\r\n=!,()<>"), text_.size());
    word_ = length > 0;
    if (length == 0 && !text_.empty()) length = text_.starts_with("==") || text_.starts_with("!=") ? 2 : 1;
    token_ = text_.substr(0, length);
    text_.remove_prefix(length);
  }

  std::string_view text_, token_;
  bool word_ = false;
};

Result<void> check(const Requirement& requirement) {
  const auto bad = [](std::string_view what, std::string_view text, const Problems& problems) {
    return fail(Code::malformed, std::string(what) + ": Invalid value: " + quoted(text) + ": " + join(problems, "; "));
  };
  if (auto problems = check_qualified_name(requirement.key); !problems.empty()) return bad("key", requirement.key, problems);
  for (const std::string& value : requirement.values) {
    const bool compares = requirement.op == Requirement::Op::greater || requirement.op == Requirement::Op::less;
    if (compares && !integer(value)) return bad("values[0]", value, {"for 'Gt', 'Lt' operators, the value must be an integer"});
    if (auto problems = check_label_value(value); !problems.empty()) return bad("values[0][" + requirement.key + "]", value, problems);
  }
  return {};
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  Result<std::vector<Requirement>> run() {
    std::vector<Requirement> out;
    if (lexer_.done()) return out;
    for (;;) {
      Requirement requirement = TRY(one());
      std::ranges::sort(requirement.values);
      TRY(check(requirement));
      out.push_back(std::move(requirement));
      if (lexer_.done()) break;
      if (!lexer_.take(",")) return unexpected("',' or 'end of string'");
      if (lexer_.done()) return unexpected("identifier after ','");
    }
    std::ranges::stable_sort(out, {}, &Requirement::key);
    return out;
  }

 private:
  using Op = Requirement::Op;

  std::unexpected<Error> unexpected(std::string_view expected) const {
    return fail(Code::malformed,
                "unable to parse requirement: found '" + std::string(lexer_.token()) + "', expected: " + std::string(expected));
  }

  Result<Requirement> one() {
    Requirement out;
    if (lexer_.take("!")) out.op = Op::not_exists;
    if (!lexer_.is_word()) return unexpected("identifier");
    out.key = lexer_.next();
    if (out.op == Op::not_exists || lexer_.done() || lexer_.token() == ",") return out;
    if (lexer_.take("=") || lexer_.take("==")) return single(std::move(out), Op::in);
    if (lexer_.take("!=")) return single(std::move(out), Op::not_in);
    if (lexer_.take(">")) return single(std::move(out), Op::greater);
    if (lexer_.take("<")) return single(std::move(out), Op::less);
    if (lexer_.is_word() && (lexer_.token() == "in" || lexer_.token() == "notin")) {
      out.op = lexer_.next() == "in" ? Op::in : Op::not_in;
      return list(std::move(out));
    }
    return unexpected("in, notin, =, ==, !=, gt, lt");
  }

  Result<Requirement> single(Requirement out, Op op) {
    out.op = op;
    out.values.emplace_back(lexer_.is_word() ? lexer_.next() : std::string_view{});
    return out;
  }

  Result<Requirement> list(Requirement out) {
    if (!lexer_.take("(")) return unexpected("'('");
    for (;;) {
      out.values.emplace_back(lexer_.is_word() ? lexer_.next() : std::string_view{});
      if (lexer_.take(")")) return out;
      if (!lexer_.take(",")) return unexpected("',', or ')'");
    }
  }

  Lexer lexer_;
};

}  // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  LabelSelector out;
  out.requirements_ = TRY(Parser(text).run());
  return out;
}

Result<LabelSelector> LabelSelector::from(const meta_v1::LabelSelector& selector) {
  using Op = Requirement::Op;
  LabelSelector out = equal_to(selector.matchLabels);
  for (const auto& expression : selector.matchExpressions) {
    Requirement requirement{expression.key, Op::in, expression.values};
    if (expression.operator_ == "In") requirement.op = Op::in;
    else if (expression.operator_ == "NotIn") requirement.op = Op::not_in;
    else if (expression.operator_ == "Exists") requirement.op = Op::exists;
    else if (expression.operator_ == "DoesNotExist") requirement.op = Op::not_exists;
    else return fail(Code::invalid, quoted(expression.operator_) + " is not a valid label selector operator");
    const bool with_values = requirement.op == Op::in || requirement.op == Op::not_in;
    if (with_values == requirement.values.empty())
      return fail(Code::invalid, std::string("values: Invalid value: for '") + expression.operator_ + "' operator, values set " +
                                     (with_values ? "can't be empty" : "must be empty"));
    std::ranges::sort(requirement.values);
    TRY(check(requirement));
    out.requirements_.push_back(std::move(requirement));
  }
  std::ranges::stable_sort(out.requirements_, {}, &Requirement::key);
  return out;
}

std::string LabelSelector::print() const {
  std::string out;
  for (const Requirement& requirement : requirements_) {
    if (!out.empty()) out += ',';
    if (requirement.op == Requirement::Op::not_exists) out += '!';
    out += requirement.key;
    const bool one = requirement.values.size() == 1;
    switch (requirement.op) {
      case Requirement::Op::in: out += one ? "=" : " in ("; break;
      case Requirement::Op::not_in: out += one ? "!=" : " notin ("; break;
      case Requirement::Op::greater: out += ">"; break;
      case Requirement::Op::less: out += "<"; break;
      case Requirement::Op::exists:
      case Requirement::Op::not_exists: continue;
    }
    out += join(requirement.values, ",");
    if (!one) out += ')';
  }
  return out;
}

// ---- fields

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector out;
  FieldRequirement now;
  bool in_value = false, any = false;
  const auto finish = [&]() -> Result<void> {
    if (!any) return {};
    if (!in_value || now.path.empty())
      return fail(Code::malformed, "invalid selector: " + quoted(text) + "; can't understand " + quoted(now.path));
    out.requirements_.push_back(std::move(now));
    now = {};
    in_value = any = false;
    return {};
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ',') {
      TRY(finish());
      continue;
    }
    any = true;
    if (in_value) {
      if (c == '\\' && i + 1 < text.size() && std::string_view(",=\\").find(text[i + 1]) != std::string_view::npos) now.value += text[++i];
      else if (c == '=' || c == '\\')
        return fail(Code::malformed, "invalid field selector: unescaped character in value: " + std::string(1, c));
      else now.value += c;
      continue;
    }
    const bool not_equal = c == '!' && i + 1 < text.size() && text[i + 1] == '=';
    if (c != '=' && !not_equal) {
      now.path += c;
      continue;
    }
    in_value = true;
    now.equal = !not_equal;
    if (i + 1 < text.size() && text[i + 1] == '=') ++i;
  }
  TRY(finish());
  return out;
}

bool FieldSelector::matches(const std::function<std::string_view(std::string_view)>& value_of) const {
  return std::ranges::all_of(requirements_, [&](const FieldRequirement& r) { return (value_of(r.path) == r.value) == r.equal; });
}

const std::string* FieldSelector::fixed(std::string_view path) const {
  for (const FieldRequirement& r : requirements_)
    if (r.equal && r.path == path) return &r.value;
  return nullptr;
}

}  // namespace estiba::model
