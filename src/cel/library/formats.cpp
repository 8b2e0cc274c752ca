// format.dns1123Label() and its like, format.named(), validate().
#include <array>

#include "base/strings.h"
#include "cel/function.h"
#include "cel/library/objects.h"
#include "cel/time.h"
#include "model/names.h"

namespace estiba::cel {

namespace {

using Problems = std::vector<std::string>;

/// A prefix of a name may end with a dash: what follows makes it whole.
std::string masked(std::string_view text) {
  std::string out(text);
  if (out.size() > 1 && out.ends_with('-')) out.back() = 'a';
  return out;
}

Problems dns1123_label(std::string_view text) { return model::check_dns1123_label(text); }
Problems dns1123_label_prefix(std::string_view text) { return model::check_dns1123_label(masked(text)); }
Problems dns1123_subdomain(std::string_view text) { return model::check_dns1123_subdomain(text); }
Problems dns1123_subdomain_prefix(std::string_view text) { return model::check_dns1123_subdomain(masked(text)); }
Problems dns1035_label(std::string_view text) { return model::check_dns1035_label(text); }
Problems dns1035_label_prefix(std::string_view text) { return model::check_dns1035_label(masked(text)); }
Problems qualified_name(std::string_view text) { return model::check_qualified_name(text); }
Problems label_value(std::string_view text) { return model::check_label_value(text); }

Problems uri(std::string_view text) {
  std::string error;
  return parse_url(text, error) ? Problems{} : Problems{error};
}

Problems uuid(std::string_view text) {
  // 8-4-4-4-12 hexadecimal digits; the dashes may be left out.
  size_t digits = 0;
  for (const char c : text) {
    if (c == '-') {
      if (digits != 8 && digits != 12 && digits != 16 && digits != 20) return {"does not match the UUID format"};
    } else if (isxdigit(static_cast<unsigned char>(c))) {
      digits++;
    } else {
      return {"does not match the UUID format"};
    }
  }
  if (digits != 32 || text.find("--") != std::string_view::npos || text.size() > 36) return {"does not match the UUID format"};
  return {};
}

Problems byte(std::string_view text) {
  return text.size() % 4 == 0 && !text.empty() && base64_decode(text) ? Problems{} : Problems{"invalid base64"};
}
Problems date(std::string_view text) {
  return text.size() == 10 && parse_timestamp(std::string(text) + "T00:00:00Z") ? Problems{} : Problems{"invalid date"};
}
Problems datetime(std::string_view text) {
  std::string upper(text);
  for (char& c : upper)
    if (c == 't' || c == 'z') c = char(c - 32);
  return parse_timestamp(upper) ? Problems{} : Problems{"invalid datetime"};
}

constexpr auto formats = std::to_array<FormatInfo>({
    {"dns1123Label", "DNS1123Label", 30, dns1123_label},
    {"dns1123Subdomain", "DNS1123Subdomain", 60, dns1123_subdomain},
    {"dns1035Label", "DNS1035Label", 30, dns1035_label},
    {"qualifiedName", "QualifiedName", 60, qualified_name},
    {"dns1123LabelPrefix", "DNS1123LabelPrefix", 30, dns1123_label_prefix},
    {"dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", 60, dns1123_subdomain_prefix},
    {"dns1035LabelPrefix", "DNS1035LabelPrefix", 30, dns1035_label_prefix},
    {"labelValue", "LabelValue", 40, label_value},
    {"uri", "URI", 1103, uri},
    {"uuid", "uuid", 100, uuid},
    {"byte", "byte", 84, byte},
    {"date", "date", 153, date},
    {"datetime", "datetime", 153, datetime},
});

Value value_of(Context& c, const FormatInfo& info) {
  return Value::object(c.memory.arena().make<FormatObject>(FormatObject{{Object::Is::format}, &info}), &types::format);
}

template <size_t i>
Value constant(Context& c, Args) {
  return value_of(c, formats[i]);
}

Value named(Context& c, Args a) {
  const FormatInfo* info = find_format(a[0].text());
  return info ? c.memory.optional(value_of(c, *info)) : Value::none();
}

Value validate(Context& c, Args a) {
  std::vector<Value> problems;
  for (const std::string& problem : as<FormatObject>(a[0]).info->check(a[1].text())) problems.push_back(c.memory.string(problem));
  return problems.empty() ? Value::none() : c.memory.optional(c.memory.list(problems));
}

#define ESTIBA_CEL_FORMAT(i, name) {"format." name, "format." name, "():kubernetes.NamedFormat", constant<i>}

constexpr auto table = std::to_array<Native>({
    ESTIBA_CEL_FORMAT(0, "dns1123Label"),
    ESTIBA_CEL_FORMAT(1, "dns1123Subdomain"),
    ESTIBA_CEL_FORMAT(2, "dns1035Label"),
    ESTIBA_CEL_FORMAT(3, "qualifiedName"),
    ESTIBA_CEL_FORMAT(4, "dns1123LabelPrefix"),
    ESTIBA_CEL_FORMAT(5, "dns1123SubdomainPrefix"),
    ESTIBA_CEL_FORMAT(6, "dns1035LabelPrefix"),
    ESTIBA_CEL_FORMAT(7, "labelValue"),
    ESTIBA_CEL_FORMAT(8, "uri"),
    ESTIBA_CEL_FORMAT(9, "uuid"),
    ESTIBA_CEL_FORMAT(10, "byte"),
    ESTIBA_CEL_FORMAT(11, "date"),
    ESTIBA_CEL_FORMAT(12, "datetime"),
    {"format.named", "format-named", "(string):optional_type(kubernetes.NamedFormat)", named},
    {"validate", "format-validate", "kubernetes.NamedFormat.(string):optional_type(list(string))", validate},
});
#undef ESTIBA_CEL_FORMAT

}  // namespace

const FormatInfo* find_format(std::string_view name) {
  for (const FormatInfo& info : formats)
    if (info.key == name) return &info;
  return nullptr;
}

std::span<const Native> library::formats() { return table; }

}  // namespace estiba::cel
