// Variables of a project: the process's environment, `.env` files, and their use in texts (Compose specification,
// "Interpolation").
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::cli::compose {

using Environment = std::map<std::string, std::string, std::less<>>;

Environment process_environment();

/// `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?error}`, `${NAME?error}`, `${NAME:+other}`, `${NAME+other}`; `$$` is
/// a `$`. Defaults may hold further variables. Names without a value become empty and are added to `missing`. Malformed when
/// the form is wrong; invalid when a required variable is missing.
Result<std::string> interpolate(std::string_view text, const Environment& environment, std::vector<std::string>* missing = nullptr);

/// Reads the lines of a `.env` file: KEY=VALUE, `export KEY=VALUE`, comments, quotes (single: as written; double: escapes and
/// variables; both over several lines), variables of earlier lines and of `outer`. A KEY alone takes its value from `outer`, or is
/// left out. Errors name the line.
Result<Environment> parse_env_file(std::string_view text, const Environment& outer);

}  // namespace estiba::cli::compose
