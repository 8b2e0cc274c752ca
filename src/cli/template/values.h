// Values of a running template, which are JSON nodes (null pointer: nil), and its functions. Private to cli/template/.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/json.h"

namespace estiba::cli::template_detail {

using Value = const json::Node*;

bool truth(Value value);
/// As Go prints it: strings bare, [a b], map[k:v].
std::string show(Value value);
/// JSON without the escapes for HTML.
std::string to_json(Value value);

bool is_function(std::string_view name);
/// Calls a function; what it makes lives in `scratch`. `headers` makes Docker's own functions return their text unchanged.
Result<Value> call_function(std::string_view name, std::span<const Value> arguments, json::Document& scratch, bool headers);
/// Go's fmt.Sprintf, of which every verb that fits JSON's values works.
std::string format_values(std::string_view format, std::span<const Value> arguments);

}  // namespace estiba::cli::template_detail
