#include "base/strings.h"
#include "cli/template/ast.h"

namespace estiba::cli::template_detail {

namespace {

constexpr int max_depth = 100;

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xc0 | c >> 6);
    out += char(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += char(0xe0 | c >> 12);
    out += char(0x80 | (c >> 6 & 63));
    out += char(0x80 | (c & 63));
  } else {
    out += char(0xf0 | c >> 18);
    out += char(0x80 | (c >> 12 & 63));
    out += char(0x80 | (c >> 6 & 63));
    out += char(0x80 | (c & 63));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Block> whole() {
    Block block;
    const std::string end = TRY(statements(block));
    if (!end.empty()) return failure("unexpected {{" + end + "}}");
    return block;
  }

 private:
  std::unexpected<Error> failure(std::string what) const {
    const size_t line = size_t(std::count(text_.begin(), text_.begin() + long(std::min(at_, text_.size())), '\n')) + 1;
    return fail(Code::malformed, "template: :" + std::to_string(line) + ": " + std::move(what));
  }

  bool done() const { return at_ >= text_.size(); }
  char here() const { return done() ? '\0' : text_[at_]; }
  bool starts(std::string_view what) const { return text_.substr(std::min(at_, text_.size())).starts_with(what); }
  void skip_space() {
    while (!done() && is_space(text_[at_])) ++at_;
  }
  // "}}" or " -}}".
  bool at_end_of_action() const { return starts("}}") || starts("-}}"); }
  Result<void> end_action() {
    skip_space();
    if (done()) return failure("unclosed action");
    if (starts("-}}")) {
      at_ += 3;
      skip_space();
      return {};
    }
    if (!starts("}}")) return failure("unexpected " + quoted(text_.substr(at_, 1)) + " in operand");
    at_ += 2;
    return {};
  }
  std::string word() {
    const size_t from = at_;
    while (!done() && is_word(text_[at_])) ++at_;
    return std::string(text_.substr(from, at_ - from));
  }
  // The word that begins an action, if it is a keyword; else nothing is taken.
  std::string keyword() {
    const size_t from = at_;
    const std::string found = word();
    for (const char* each : {"if", "range", "with", "else", "end", "break", "continue", "define", "template", "block"})
      if (found == each) return found;
    at_ = from;
    return {};
  }

  void add_text(Block& block, size_t from, size_t to, bool trim_right) {
    std::string_view text = text_.substr(from, to - from);
    if (trim_right)
      while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    if (text.empty()) return;
    Statement statement;
    statement.text = text;
    block.statements.push_back(std::move(statement));
  }

  // Statements up to the end, or up to an {{else}} or {{end}}, which is returned ("else" with the parser behind the word).
  Result<std::string> statements(Block& block) {
    if (++depth_ > max_depth) return failure("the template is nested too deeply");
    for (;;) {
      const size_t from = at_;
      const size_t open = text_.find("{{", at_);
      if (open == text_.npos) {
        add_text(block, from, text_.size(), false);
        at_ = text_.size();
        --depth_;
        return "";
      }
      at_ = open + 2;
      const bool trims = starts("-") && at_ + 1 < text_.size() && is_space(text_[at_ + 1]);
      add_text(block, from, open, trims);
      if (trims) ++at_;
      skip_space();
      if (starts("/*")) {
        const size_t close = text_.find("*/", at_);
        if (close == text_.npos) return failure("unclosed comment");
        at_ = close + 2;
        TRY(end_action());
        continue;
      }
      const std::string key = keyword();
      if (key == "else" || key == "end") {
        if (key == "end") TRY(end_action());
        --depth_;
        return key;
      }
      block.statements.push_back(TRY(statement(key)));
    }
  }

  Result<Statement> statement(const std::string& key) {
    Statement out;
    out.kind = Statement::Kind::action;
    if (key == "break" || key == "continue") {
      if (loops_ == 0) return failure("{{" + key + "}} outside {{range}}");
      out.kind = key == "break" ? Statement::Kind::stop : Statement::Kind::next;
      TRY(end_action());
      return out;
    }
    if (key == "define" || key == "template" || key == "block") return failure("{{" + key + "}} is not supported in a format");
    out.pipe = TRY(pipe("command"));
    TRY(end_action());
    if (key.empty()) return out;
    out.kind = key == "if" ? Statement::Kind::condition : key == "range" ? Statement::Kind::range : Statement::Kind::with;
    TRY(control(out, key));
    return out;
  }

  // The body of if, range or with, and its else.
  Result<void> control(Statement& out, const std::string& key) {
    loops_ += key == "range";
    std::string end = TRY(statements(out.body));
    loops_ -= key == "range";
    if (end == "else") {
      skip_space();
      if (const std::string chained = keyword(); chained == key && key != "range") {
        // {{else if}}: an if of its own in the else branch, which shares the end.
        if (++depth_ > max_depth) return failure("the template is nested too deeply");
        Statement inner;
        inner.kind = out.kind;
        inner.pipe = TRY(pipe("command"));
        TRY(end_action());
        TRY(control(inner, key));
        --depth_;
        out.otherwise.statements.push_back(std::move(inner));
        return {};
      } else if (!chained.empty()) {
        return failure("unexpected <" + chained + "> in input");
      }
      TRY(end_action());
      end = TRY(statements(out.otherwise));
      if (end == "else") return failure("expected end; found {{else}}");
    }
    if (end.empty()) return failure("unexpected EOF");
    return {};
  }

  Result<Pipe> pipe(std::string_view context) {
    if (++depth_ > max_depth) return failure("the template is nested too deeply");
    Pipe out;
    skip_space();
    TRY(declarations(out));
    for (;;) {
      Command command = TRY(this->command());
      if (command.operands.empty()) return failure("missing value for " + std::string(context));
      out.commands.push_back(std::move(command));
      skip_space();
      if (here() != '|') break;
      ++at_;
    }
    --depth_;
    return out;
  }

  // "$x :=", "$i, $x :=", "$x =": taken only when an assignment follows.
  Result<void> declarations(Pipe& out) {
    const size_t from = at_;
    std::vector<std::string> names;
    while (here() == '$' && names.size() < 2) {
      ++at_;
      names.push_back("$" + word());
      skip_space();
      if (here() != ',') break;
      ++at_;
      skip_space();
    }
    if (!names.empty() && starts(":=")) {
      at_ += 2;
      out.variables = std::move(names);
      known_.insert(known_.end(), out.variables.begin(), out.variables.end());
    } else if (names.size() == 1 && here() == '=' && !starts("==")) {
      ++at_;
      out.variables = std::move(names);
      out.assigns = true;
    } else {
      at_ = from;
    }
    return {};
  }

  Result<Command> command() {
    Command out;
    for (;;) {
      const size_t before = at_;
      skip_space();
      if (done() || at_end_of_action() || here() == '|' || here() == ')') return out;
      if (!out.operands.empty() && before == at_) return failure("unexpected " + quoted(text_.substr(at_, 1)) + " in operand");
      const size_t from = at_;
      Operand operand = TRY(this->operand());
      operand.offset = from;
      operand.length = at_ - from;
      out.operands.push_back(std::move(operand));
    }
  }

  Result<Operand> operand() {
    Operand out;
    const char c = here();
    if (c == '"' || c == '`') return string();
    if (c == '\'') return character();
    if ((c >= '0' && c <= '9') || ((c == '-' || c == '+') && at_ + 1 < text_.size() && text_[at_ + 1] >= '0' && text_[at_ + 1] <= '9'))
      return number();
    if (c == '(') {
      ++at_;
      out.kind = Operand::Kind::pipe;
      out.pipe = std::make_unique<Pipe>(TRY(pipe("parenthesized pipeline")));
      skip_space();
      if (here() != ')') return failure("unclosed left paren");
      ++at_;
    } else if (c == '$') {
      ++at_;
      out.kind = Operand::Kind::variable;
      out.name = "$" + word();
      if (out.name != "$" && std::find(known_.begin(), known_.end(), out.name) == known_.end())
        return failure("undefined variable " + quoted(out.name));
    } else if (c == '.') {
      out.kind = Operand::Kind::dot;
      if (at_ + 1 >= text_.size() || !is_word(text_[at_ + 1])) ++at_;  // the dot itself
    } else if (is_word(c)) {
      const std::string name = word();
      if (name == "true" || name == "false") return literal(json::Type::boolean, name);
      if (name == "nil") {
        out.kind = Operand::Kind::nil;
        return out;
      }
      out.kind = Operand::Kind::function;
      out.name = name;
      return out;
    } else {
      return failure("unexpected " + quoted(text_.substr(at_, 1)) + " in command");
    }
    while (here() == '.' && at_ + 1 < text_.size() && is_word(text_[at_ + 1])) {
      ++at_;
      out.fields.push_back(word());
    }
    return out;
  }

  static Operand literal(json::Type type, std::string text) {
    Operand out;
    out.kind = Operand::Kind::literal;
    out.literal = type;
    out.name = std::move(text);
    return out;
  }

  Result<Operand> number() {
    const size_t from = at_;
    while (!done() && (is_word(text_[at_]) || text_[at_] == '.' || text_[at_] == '+' || text_[at_] == '-')) ++at_;
    std::string_view text = text_.substr(from, at_ - from);
    const std::string_view whole = text;
    if (text.starts_with('+')) text.remove_prefix(1);
    const bool negative = text.starts_with('-');
    std::string_view digits = text.substr(negative);
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
      auto value = parse_number<uint32_t>(digits.substr(2), 16);
      if (!value) return failure("bad number syntax: " + quoted(whole));
      return literal(json::Type::number, (negative ? "-" : "") + std::to_string(*value));
    }
    char* end = nullptr;
    const std::string copy(text);
    std::strtod(copy.c_str(), &end);
    auto document = json::Document::parse(copy);
    if (*end != '\0' || !document || !document->root().is_number()) return failure("bad number syntax: " + quoted(whole));
    return literal(json::Type::number, copy);
  }

  Result<void> escape(std::string& out) {
    const char c = text_[at_++];
    const std::string_view from = "abfnrtv\\\"'", to = "\a\b\f\n\r\t\v\\\"'";
    if (const size_t found = from.find(c); found != from.npos) {
      out += to[found];
      return {};
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : c >= '0' && c <= '7' ? 3 : 0;
    if (digits == 3) --at_;
    auto value = parse_number<uint32_t>(text_.substr(at_, digits), digits == 3 ? 8 : 16);
    if (digits == 0 || at_ + digits > text_.size() || !value || *value > 0x10ffff) return failure("invalid syntax");
    at_ += digits;
    if (c == 'x' || digits == 3) out += char(*value);
    else append_utf8(out, *value);
    return {};
  }

  Result<Operand> string() {
    const char quote = text_[at_++];
    std::string out;
    for (;;) {
      if (done() || (quote == '"' && here() == '\n'))
        return failure(quote == '"' ? "unterminated quoted string" : "unterminated raw quoted string");
      const char c = text_[at_++];
      if (c == quote) return literal(json::Type::string, std::move(out));
      if (c == '\\' && quote == '"') {
        if (done()) return failure("unterminated quoted string");
        TRY(escape(out));
      } else {
        out += c;
      }
    }
  }

  // 'x' is its number.
  Result<Operand> character() {
    ++at_;
    std::string out;
    if (done()) return failure("unterminated character constant");
    if (here() == '\\') {
      ++at_;
      if (done()) return failure("unterminated character constant");
      TRY(escape(out));
    } else {
      out += text_[at_++];
    }
    if (out.size() != 1 || (out[0] & 0x80) || here() != '\'') return failure("malformed character constant");
    ++at_;
    return literal(json::Type::number, std::to_string(int(out[0])));
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0, loops_ = 0;
  std::vector<std::string> known_;  // variables declared so far
};

}  // namespace

Result<Block> parse(std::string_view text) { return Parser(text).whole(); }

}  // namespace estiba::cli::template_detail
