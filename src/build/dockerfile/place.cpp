#include "build/dockerfile/place.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::build {

std::string located(const Place& place, std::string_view message) {
  std::string out = place.file;
  if (place.line > 0) out += ":" + std::to_string(place.line);
  out.append(": ").append(message);
  if (place.source.empty()) return out;
  constexpr size_t most = 200;
  std::string shown = place.source.substr(0, most);
  if (place.source.size() > most) shown += "…";
  // Quotes in the line stay as they are: the line is shown for reading, not for parsing.
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return out + ", in \"" + shown + "\"";
}

std::unexpected<Error> fail_at(const Place& place, std::string_view message, Code code) { return fail(code, located(place, message)); }

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known) {
  if (word.size() > 40) return {};
  std::string_view best;
  size_t least = word.size() <= 3 ? 2 : 3;  // farther than this is another word
  for (std::string_view candidate : known) {
    // Optimal string alignment: a swap of neighbours ("FORM") is one mistake, not two.
    std::vector<std::vector<size_t>> d(word.size() + 1, std::vector<size_t>(candidate.size() + 1));
    for (size_t i = 0; i <= word.size(); ++i) {
      for (size_t j = 0; j <= candidate.size(); ++j) {
        if (i == 0 || j == 0) {
          d[i][j] = i + j;
          continue;
        }
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (word[i - 1] != candidate[j - 1])});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
    if (d.back().back() < least) {
      least = d.back().back();
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known) {
  std::string_view near = nearest(word, known);
  return near.empty() ? std::string() : " (did you mean " + std::string(near) + "?)";
}

}  // namespace estiba::build
