#include "cel/library/objects.h"

#include "cel/compare.h"

namespace estiba::cel {

static bool equal_messages(Memory& memory, const Message& a, const Message& b) {
  if (a.type->name != b.type->name || a.names.size() != b.names.size()) return false;
  for (size_t i = 0; i < a.names.size(); i++) {
    const Value* other = b.find(a.names[i]);
    if (!other || !equal(memory, a.values[i], *other)) return false;
  }
  return true;
}

bool equal_objects(Memory& memory, const Value& a, const Value& b) {
  if (!a.as_object() || !b.as_object()) return a.as_lazy() && a.as_lazy() == b.as_lazy();
  if (a.as_object()->is != b.as_object()->is) return false;
  switch (a.as_object()->is) {
    case Object::Is::url: return as<UrlObject>(a).text == as<UrlObject>(b).text;
    case Object::Is::ip: return as<IpObject>(a).address == as<IpObject>(b).address;
    case Object::Is::cidr:
      return as<CidrObject>(a).address == as<CidrObject>(b).address && as<CidrObject>(a).bits == as<CidrObject>(b).bits;
    case Object::Is::quantity: return as<QuantityObject>(a).quantity == as<QuantityObject>(b).quantity;
    case Object::Is::semver: {
      const auto &x = as<SemverObject>(a), &y = as<SemverObject>(b);
      return x.major == y.major && x.minor == y.minor && x.patch == y.patch && x.prerelease == y.prerelease;
    }
    case Object::Is::format: return as<FormatObject>(a).info == as<FormatObject>(b).info;
    case Object::Is::message: return equal_messages(memory, as<Message>(a), as<Message>(b));
    default: return a.as_object() == b.as_object();
  }
}

}  // namespace estiba::cel
