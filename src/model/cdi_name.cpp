#include "model/cdi_name.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::model {

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_letter_or_digit(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }

bool made_of(std::string_view text, std::string_view marks) {
  return !text.empty() && is_letter_or_digit(text.back()) &&
         std::ranges::all_of(text, [&](char c) { return is_letter_or_digit(c) || marks.contains(c); });
}

bool is_kind_part(std::string_view text) { return made_of(text, "_-.") && is_letter(text.front()); }

}  // namespace

bool is_cdi_kind(std::string_view text) {
  const auto [vendor, of_class] = split_once(text, '/');
  return of_class && is_kind_part(vendor) && is_kind_part(*of_class);
}

bool is_cdi_device(std::string_view text) { return made_of(text, "_-.:") && is_letter_or_digit(text.front()); }

std::optional<CdiName> parse_cdi_name(std::string_view text) {
  const auto [kind, device] = split_once(text, '=');
  if (!device || !is_cdi_kind(kind) || !is_cdi_device(*device)) return std::nullopt;
  return CdiName{kind, *device};
}

}  // namespace estiba::model
