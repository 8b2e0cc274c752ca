// Evaluating expressions in tests, one line each.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "cel/cel.h"

namespace estiba::cel::testing {

/// Variables with JSON values, and what expressions over them are.
class Expressions {
 public:
  explicit Expressions(const Features& features = {}) : environment(features) {}

  /// A variable without a declared type.
  void json(std::string_view name, std::string_view text);
  /// A variable with the type that an OpenAPI schema gives it.
  void typed(std::string_view name, std::string_view schema, std::string_view text);

  /// The value as JSON-like text ("[1, 2]", "true", "b\"x\""), "error: …" when it has none, "issue: …" when it does not compile.
  std::string value(std::string_view expression, const CompileOptions& options = {});
  /// "ok" when it is true, else what it is.
  std::string truth(std::string_view expression);
  uint64_t cost(std::string_view expression, const CompileOptions& options = {});
  Range estimate(std::string_view expression);
  /// All issues as cel-go prints them.
  std::string issues(std::string_view expression);

  Environment environment;
  DeclPool pool;
  Authorizer* authorizer = nullptr;
  uint64_t work = Memory::default_work;  ///< steps that one evaluation may take

 private:
  const json::Node& keep(std::string_view text);
  std::deque<json::Document> documents_;
  std::map<std::string, Value> values_;
};

}  // namespace estiba::cel::testing
