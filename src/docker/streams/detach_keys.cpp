#include "docker/streams/detach_keys.h"

#include "base/strings.h"

namespace estiba::docker {

Result<std::string> parse_detach_keys(std::string_view text) {
  if (text.empty()) return std::string("\x10\x11");
  std::string keys;
  for (std::string_view key : split(text, ',')) {
    auto unknown = [&] {
      return fail(Code::malformed,
                  "Invalid detach keys (" + std::string(text) + ") provided: Unknown character: '" + std::string(key) + "'");
    };
    if (key.size() == 1) {
      keys += key[0];
      continue;
    }
    // A comma after "ctrl-" splits it: "ctrl-," has no meaning in Docker either, because its own parser splits there.
    if (!key.starts_with("ctrl-") || key.size() != 6) return unknown();
    const char c = key[5];
    if (c >= 'a' && c <= 'z') keys += char(c - 'a' + 1);
    else if (c == '@') keys += '\0';
    else if (c >= '[' && c <= '_') keys += char(c - '[' + 27);
    else return unknown();
  }
  return keys;
}

std::string DetachKeys::filter(std::string_view typed) {
  std::string out;
  for (size_t i = 0; i < typed.size() && !detached_; ++i) {
    if (typed[i] == keys_[matched_]) {
      detached_ = ++matched_ == keys_.size();
      continue;
    }
    // The held bytes were no sequence; the shortest later beginning among them may be one still.
    std::string held = keys_.substr(0, matched_) + typed[i];
    matched_ = 0;
    size_t start = 0;
    for (; start < held.size(); ++start)
      if (keys_.starts_with(std::string_view(held).substr(start))) break;
    out.append(held, 0, start);
    matched_ = held.size() - start;
  }
  return out;
}

}  // namespace estiba::docker
