// Variables in a Dockerfile's words, with quotes and escapes as its reference describes ("Environment replacement"):
// $x ${x} ${x:-y} ${x-y} ${x:+y} ${x+y} ${x:?y} ${x?y} ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::build {

using Variables = std::map<std::string, std::string, std::less<>>;

/// One word: quotes and escapes are taken away, variables replaced; an unknown variable is empty. Malformed: an open quote or
/// brace, an unknown modifier, `${x:?message}` without x. `escape` is the file's escape character.
Result<std::string> expand(std::string_view word, const Variables& variables, char escape = '\\');
/// The same, and then split at white space that is not quoted.
Result<std::vector<std::string>> expand_words(std::string_view text, const Variables& variables, char escape = '\\');
/// A heredoc's content: quotes mean nothing; `\$` and `\\` are a dollar sign and a backslash.
Result<std::string> expand_text(std::string_view text, const Variables& variables);
/// Names of the variables that a word speaks of, those inside modifiers too. Malformed words give what was found before.
std::vector<std::string> variables_in(std::string_view word, char escape = '\\');

/// Shell pattern against a whole text: `*`, `?`, and a backslash before either. `*` matches "/" too.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace estiba::build
