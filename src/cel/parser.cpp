#include "cel/parser.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cel/compare.h"
#include "cel/lexer.h"
#include "cel/literal.h"
#include "cel/macros.h"

namespace estiba::cel {

namespace {

constexpr std::string_view expression_start =
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

constexpr std::array<std::string_view, 18> reserved = {"as",        "break",  "const",  "continue", "else",  "for",
                                                       "function",  "if",     "import", "let",      "loop",  "package",
                                                       "namespace", "return", "var",    "void",     "while", ""};

bool is_reserved(std::string_view name) { return !name.empty() && std::find(reserved.begin(), reserved.end(), name) != reserved.end(); }

struct Binary {
  Token token;
  std::string_view function;
};
constexpr Binary relations[] = {{Token::less, op::less},
                                {Token::less_equal, op::less_equals},
                                {Token::greater_equal, op::greater_equals},
                                {Token::greater, op::greater},
                                {Token::equal, op::equals},
                                {Token::not_equal, op::not_equals},
                                {Token::in, op::in}};
constexpr Binary sums[] = {{Token::plus, op::add}, {Token::minus, op::subtract}};
constexpr Binary products[] = {{Token::star, op::multiply}, {Token::slash, op::divide}, {Token::percent, op::modulo}};

class Parser {
 public:
  Parser(std::string_view text, Arena& arena, bool bindings, Issues& issues)
      : arena_(arena), builder_(arena, count_), bindings_(bindings), issues_(issues), tokens_(tokenize(text, issues)) {}

  Expr* run() {
    Expr* expr = expression();
    if (!failed_ && !is(Token::end)) unexpected(peek(1).token == Token::end, "<EOF>");
    return issues_.empty() ? expr : nullptr;
  }

 private:
  // Tokens.
  const Lexeme& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  bool is(Token token) const { return peek().token == token; }
  bool take(Token token) {
    if (failed_ || !is(token)) return false;
    at_++;
    return true;
  }
  static bool starts_expression(Token token) {
    switch (token) {
      case Token::left_bracket:
      case Token::left_brace:
      case Token::left_paren:
      case Token::dot:
      case Token::minus:
      case Token::exclamation:
      case Token::true_:
      case Token::false_:
      case Token::null_:
      case Token::real:
      case Token::integer:
      case Token::uinteger:
      case Token::string:
      case Token::bytes:
      case Token::ident: return true;
      default: return false;
    }
  }

  // Failures. The first syntax error ends the parse; errors of meaning do not.
  void syntax_error(Position position, std::string message) {
    if (!failed_) issues_.push_back({position, "Syntax error: " + std::move(message)});
    failed_ = true;
  }
  void unexpected(bool extraneous, std::string_view expected) {
    syntax_error(peek().position, std::string(extraneous ? "extraneous" : "mismatched") + " input '" + std::string(peek().text) +
                                      "' expecting " + std::string(expected));
  }
  void report(Position position, std::string message) { issues_.push_back({position, std::move(message)}); }
  void expect(Token token, std::string_view name) {
    if (failed_ || take(token)) return;
    if (is(Token::end)) syntax_error(peek().position, "missing " + std::string(name) + " at '<EOF>'");
    else unexpected(peek(1).token == token, name);
  }
  bool enter(int& depth) {
    if (++depth <= max_depth) return true;
    if (!failed_) issues_.push_back({nowhere, "expression recursion limit exceeded: " + std::to_string(max_depth)});
    failed_ = true;
    return false;
  }

  Expr* make(ExprKind kind, Position position) {
    builder_.position = position;
    return builder_.make(kind);
  }
  Expr* nothing() { return make(ExprKind::literal, peek().position); }

  Expr* call(Position position, std::string_view function, Expr* target, std::vector<Expr*> args) {
    builder_.position = position;
    if (const Macro* macro = find_macro(function, target != nullptr, args.size(), bindings_)) {
      std::optional<MacroError> error;
      Expr* expanded = macro->expand(builder_, target, args, error);
      if (error) {
        report(error->position, error->message);
        return nothing();
      }
      if (expanded) return expanded;
    }
    if (count_ > Builder::max_nodes) {
      syntax_error(position, "expression is too large");
      return nothing();
    }
    Expr* expr = make(ExprKind::call, position);
    expr->name = function;
    expr->target = target;
    expr->args = arena_.copy(args);
    return expr;
  }

  // Rules.
  Expr* expression() {
    if (failed_ || !enter(depth_)) return nothing();
    Expr* expr = disjunction();
    if (is(Token::question) && !failed_) {
      const Position position = peek().position;
      at_++;
      Expr* yes = disjunction();
      expect(Token::colon, "':'");
      Expr* no = expression();
      expr = call(position, op::conditional, nullptr, {expr, yes, no});
    }
    depth_--;
    return expr;
  }

  /// Terms joined by one logical operator, as a balanced tree so that long chains stay flat.
  template <class Next>
  Expr* chain(Token token, std::string_view function, Next next) {
    std::vector<Expr*> terms{(this->*next)()};
    std::vector<Position> positions;
    while (is(token) && !failed_) {
      positions.push_back(peek().position);
      at_++;
      terms.push_back((this->*next)());
    }
    return terms.size() == 1 ? terms[0] : balanced(function, terms, positions, 0, positions.size() - 1);
  }
  Expr* balanced(std::string_view function, const std::vector<Expr*>& terms, const std::vector<Position>& positions, size_t low,
                 size_t high) {
    const size_t middle = (low + high + 1) / 2;
    Expr* left = middle == low ? terms[middle] : balanced(function, terms, positions, low, middle - 1);
    Expr* right = middle == high ? terms[middle + 1] : balanced(function, terms, positions, middle + 1, high);
    return call(positions[middle], function, nullptr, {left, right});
  }
  Expr* disjunction() { return chain(Token::or_, op::logical_or, &Parser::conjunction); }
  Expr* conjunction() { return chain(Token::and_, op::logical_and, &Parser::relation); }

  template <class Next>
  Expr* binary(std::span<const Binary> operators, Next next) {
    const int depth = chain_depth_;
    Expr* left = (this->*next)();
    for (;;) {
      const auto found = std::find_if(operators.begin(), operators.end(), [&](const Binary& each) { return is(each.token); });
      if (failed_ || found == operators.end() || !enter(chain_depth_)) break;
      const Position position = peek().position;
      at_++;
      Expr* right = (this->*next)();
      left = call(position, found->function, nullptr, {left, right});
    }
    chain_depth_ = depth;
    return left;
  }
  Expr* relation() { return binary(relations, &Parser::sum); }
  Expr* sum() { return binary(sums, &Parser::product); }
  Expr* product() { return binary(products, &Parser::unary); }

  Expr* unary() {
    const Token token = peek().token;
    if (token != Token::exclamation && token != Token::minus) return member();
    const bool number_follows = peek(1).token == Token::integer || peek(1).token == Token::real;
    if (token == Token::minus && number_follows) return member();
    const Position position = peek().position;
    size_t count = 0;
    for (; take(token); count++) {
    }
    if (is(Token::minus) || is(Token::exclamation)) {
      const bool literal = is(Token::minus) && (peek(1).token == Token::integer || peek(1).token == Token::real);
      if (!literal) unexpected(starts_expression(peek(1).token), expression_start);
    }
    Expr* operand = member();
    if (count % 2 == 0) return operand;
    return call(position, token == Token::minus ? op::negate : op::logical_not, nullptr, {operand});
  }

  Expr* member() {
    const int depth = chain_depth_;
    Expr* expr = primary();
    while (!failed_ && (is(Token::dot) || is(Token::left_bracket)) && enter(chain_depth_))
      expr = is(Token::dot) ? selection(expr) : indexing(expr);
    chain_depth_ = depth;
    return expr;
  }

  Expr* selection(Expr* operand) {
    const Position position = peek().position;
    at_++;
    const bool optional = take(Token::question);
    const Lexeme name = peek();
    if (name.token == Token::true_ || name.token == Token::false_ || name.token == Token::null_) {
      syntax_error(name.position, "mismatched input '" + std::string(name.text) + "' expecting IDENTIFIER");
      return operand;
    }
    if (name.token != Token::ident && name.token != Token::escaped_ident) {
      syntax_error(name.position, "no viable alternative at input '." + std::string(name.token == Token::end ? "" : name.text) + "'");
      return operand;
    }
    at_++;
    if (name.token == Token::escaped_ident) report(name.position, "unsupported syntax: '`'");
    if (optional) {
      Expr* field = make(ExprKind::literal, name.position);
      field->literal = Value::string(name.text);
      return call(position, op::opt_select, nullptr, {operand, field});
    }
    if (is(Token::left_paren) && name.token == Token::ident) {
      const Position open = peek().position;
      at_++;
      return call(open, name.text, operand, arguments());
    }
    Expr* expr = make(ExprKind::select, position);
    expr->target = operand;
    expr->name = name.text;
    return expr;
  }

  Expr* indexing(Expr* operand) {
    const Position position = peek().position;
    at_++;
    const bool optional = take(Token::question);
    Expr* index = expression();
    expect(Token::right_bracket, "']'");
    return call(position, optional ? op::opt_index : op::index, nullptr, {operand, index});
  }

  std::vector<Expr*> arguments() {
    std::vector<Expr*> args;
    if (take(Token::right_paren)) return args;
    do args.push_back(expression());
    while (take(Token::comma));
    expect(Token::right_paren, "')'");
    return args;
  }

  Expr* primary() {
    if (failed_) return nothing();
    const Lexeme token = peek();
    switch (token.token) {
      case Token::dot:
      case Token::ident: return name();
      case Token::left_paren: {
        at_++;
        Expr* expr = expression();
        expect(Token::right_paren, "')'");
        return expr;
      }
      case Token::left_bracket: return list();
      case Token::left_brace: return map();
      case Token::minus:
      case Token::integer:
      case Token::uinteger:
      case Token::real:
      case Token::string:
      case Token::bytes:
      case Token::true_:
      case Token::false_:
      case Token::null_: return literal();
      default: break;
    }
    const bool extraneous = token.token != Token::end && starts_expression(peek(1).token);
    unexpected(extraneous, expression_start);
    return nothing();
  }

  Expr* name() {
    const Lexeme first = peek();
    const bool leading = take(Token::dot);
    const Lexeme id = peek();
    if (id.token != Token::ident) {
      syntax_error(id.position, "no viable alternative at input '." + std::string(id.token == Token::end ? "" : id.text) + "'");
      return nothing();
    }
    if (const size_t length = message_name_length()) return message(leading, length);
    at_++;
    const std::string_view text = leading ? builder_.keep("." + std::string(id.text)) : id.text;
    if (is_reserved(id.text)) report(first.position, "reserved identifier: " + std::string(id.text));
    if (is(Token::left_paren)) {
      const Position open = peek().position;
      at_++;
      return call(open, text, nullptr, arguments());
    }
    Expr* expr = make(ExprKind::ident, id.position);
    expr->name = text;
    return expr;
  }

  /// Tokens of "a.b.C" when a '{' follows it, else 0.
  size_t message_name_length() const {
    size_t length = 1;
    while (peek(length).token == Token::dot && peek(length + 1).token == Token::ident) length += 2;
    return peek(length).token == Token::left_brace ? length : 0;
  }

  Expr* message(bool leading, size_t length) {
    std::string type = leading ? "." : "";
    for (size_t i = 0; i < length; i++) type += peek(i).text;
    at_ += length;
    Expr* expr = make(ExprKind::message, peek().position);
    expr->name = builder_.keep(type);
    at_++;
    std::vector<std::string_view> fields;
    std::vector<Expr*> values;
    std::vector<Position> positions;
    std::vector<bool> optionals;
    while (!failed_ && !is(Token::right_brace)) {
      if (is(Token::comma) && !values.empty() && peek(1).token == Token::right_brace) {
        at_++;
        break;
      }
      if (!values.empty()) expect(Token::comma, "{'}', ','}");
      optionals.push_back(take(Token::question));
      const Lexeme field = peek();
      if (field.token != Token::ident) {
        unexpected(peek(1).token == Token::ident, "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}");
        break;
      }
      at_++;
      positions.push_back(peek().position);
      expect(Token::colon, "':'");
      fields.push_back(field.text);
      values.push_back(expression());
    }
    expect(Token::right_brace, "'}'");
    expr->fields = arena_.copy(fields);
    expr->positions = arena_.copy(positions);
    finish(expr, values, optionals);
    return expr;
  }

  void finish(Expr* expr, const std::vector<Expr*>& values, const std::vector<bool>& optionals) {
    expr->args = arena_.copy(values);
    if (std::find(optionals.begin(), optionals.end(), true) == optionals.end()) return;
    bool* flags = arena_.array<bool>(optionals.size());
    std::copy(optionals.begin(), optionals.end(), flags);
    expr->optionals = {flags, optionals.size()};
  }

  Expr* list() {
    Expr* expr = make(ExprKind::list, peek().position);
    at_++;
    std::vector<Expr*> items;
    std::vector<bool> optionals;
    while (!failed_ && !is(Token::right_bracket)) {
      if (is(Token::comma) && peek(1).token == Token::right_bracket) {
        at_++;
        break;
      }
      if (!items.empty()) expect(Token::comma, "']'");
      optionals.push_back(take(Token::question));
      items.push_back(expression());
    }
    expect(Token::right_bracket, "']'");
    finish(expr, items, optionals);
    return expr;
  }

  Expr* map() {
    Expr* expr = make(ExprKind::map, peek().position);
    at_++;
    std::vector<Expr*> entries;
    std::vector<Position> positions;
    std::vector<bool> optionals;
    while (!failed_ && !is(Token::right_brace)) {
      if (is(Token::comma) && peek(1).token == Token::right_brace) {
        at_++;
        break;
      }
      if (!entries.empty()) expect(Token::comma, "'}'");
      optionals.push_back(take(Token::question));
      entries.push_back(expression());
      positions.push_back(peek().position);
      if (!failed_ && !is(Token::colon)) unexpected(false, "':'");
      take(Token::colon);
      entries.push_back(expression());
    }
    expect(Token::right_brace, "'}'");
    expr->positions = arena_.copy(positions);
    finish(expr, entries, optionals);
    return expr;
  }

  Expr* literal() {
    Expr* expr = make(ExprKind::literal, peek().position);
    const bool negative = take(Token::minus);
    const Lexeme token = peek();
    const bool number = token.token == Token::integer || token.token == Token::real;
    if (negative && !number) {
      unexpected(starts_expression(peek(1).token), expression_start);
      return expr;
    }
    at_++;
    std::string error;
    if (!read_literal(token, negative, arena_, expr->literal, error)) report(expr->position, error);
    return expr;
  }

  Arena& arena_;
  size_t count_ = 0;
  Builder builder_;
  bool bindings_;
  Issues& issues_;
  std::vector<Lexeme> tokens_;
  size_t at_ = 0;
  bool failed_ = false;
  int depth_ = 0, chain_depth_ = 0;
};

}  // namespace

Expr* parse(std::string_view text, Arena& arena, bool bindings, Issues& issues) {
  if (const size_t size = code_points(text); size > max_code_points) {
    issues.push_back({nowhere, "expression code point size exceeds limit: size: " + std::to_string(size) + ", limit " +
                                   std::to_string(max_code_points)});
    return nullptr;
  }
  return Parser(text, arena, bindings, issues).run();
}

}  // namespace estiba::cel
