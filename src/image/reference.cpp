#include "image/reference.h"

#include <algorithm>

#include "base/strings.h"
#include "image/digest.h"

namespace estiba::image {
namespace {

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool word(char c) { return lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

/// Lower-case letters and digits, with single '.', one or two '_' or any number of '-' between them.
bool valid_component(std::string_view part) {
  if (part.empty() || !lower_or_digit(part.front()) || !lower_or_digit(part.back())) return false;
  for (size_t i = 0; i < part.size();) {
    if (lower_or_digit(part[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < part.size() && part[end] == part[i]) ++end;
    size_t run = end - i;
    bool good = (part[i] == '.' && run == 1) || (part[i] == '_' && run <= 2) || part[i] == '-';
    if (!good || !lower_or_digit(part[end])) return false;
    i = end;
  }
  return true;
}

bool valid_registry(std::string_view host) {
  auto [name, port] = split_once(host, ':');
  if (host.starts_with('[')) {  // IPv6
    size_t end = host.find(']');
    if (end == host.npos) return false;
    name = host.substr(1, end - 1);
    port = host.substr(end + 1).starts_with(':') ? std::optional(host.substr(end + 2)) : std::nullopt;
    if (name.empty() || name.find_first_not_of("0123456789abcdefABCDEF:.") != name.npos) return false;
  } else {
    for (std::string_view label : split(name, '.')) {
      auto good = [](char c) { return (word(c) && c != '_') || c == '-'; };
      if (label.empty() || label.front() == '-' || label.back() == '-' || !std::all_of(label.begin(), label.end(), good)) return false;
    }
  }
  return !port || (parse_number<unsigned>(*port) && *parse_number<unsigned>(*port) <= 65535);
}

bool valid_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= 128 && word(tag.front()) &&
         std::all_of(tag.begin(), tag.end(), [](char c) { return word(c) || c == '.' || c == '-'; });
}

bool names_registry(std::string_view first) {
  return first.find_first_of(".:") != first.npos || first == "localhost" || to_lower(first) != first;
}

}  // namespace

std::string Reference::text() const {
  std::string out = name();
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += "@" + digest;
  return out;
}

std::string Reference::key() const { return digest.empty() ? name() + ":" + tag : name() + "@" + digest; }

std::string Reference::familiar() const {
  std::string out = text();
  std::string_view rest = out;
  if (rest.starts_with("docker.io/"))
    rest.remove_prefix(10);
  else
    return out;
  if (rest.starts_with("library/")) rest.remove_prefix(8);
  return std::string(rest);
}

bool is_image_id(std::string_view text) { return valid_digest(text) || (text.size() == 64 && valid_digest("sha256:" + std::string(text))); }

Result<Reference> parse_reference(std::string_view text) {
  auto bad = [&](std::string why) { return fail(Code::invalid, "invalid image reference " + quoted(text) + ": " + why); };
  if (text.empty()) return bad("it is empty");
  if (is_image_id(text)) return bad("64 hexadecimal digits are an image's id, not a name");
  Reference ref;
  std::string_view rest = text;
  if (size_t at = rest.find('@'); at != rest.npos) {
    ref.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!valid_digest(ref.digest)) return bad("the digest must be sha256: and 64 lower-case hexadecimal digits");
  }
  // A colon behind the last slash begins the tag; before it, it belongs to the registry's port.
  size_t slash = rest.rfind('/');
  if (size_t colon = rest.rfind(':'); colon != rest.npos && (slash == rest.npos || colon > slash)) {
    ref.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!valid_tag(ref.tag)) return bad("the tag may have letters, digits, '_', '.' and '-', 128 at most");
  }
  size_t first = rest.find('/');
  if (first != rest.npos && names_registry(rest.substr(0, first))) {
    ref.registry = rest.substr(0, first);
    ref.repository = rest.substr(first + 1);
    if (ref.registry == "index.docker.io") ref.registry = "docker.io";
  } else {
    ref.registry = "docker.io";
    ref.repository = rest;
  }
  if (!valid_registry(ref.registry)) return bad("the registry " + quoted(ref.registry) + " is no host[:port]");
  if (ref.registry == "docker.io" && ref.repository.find('/') == std::string::npos) ref.repository = "library/" + ref.repository;
  for (std::string_view part : split(ref.repository, '/')) {
    if (!valid_component(part))
      return bad(to_lower(part) != part ? "the repository must be lower case" : "the repository's part " + quoted(part) + " is not valid");
  }
  if (ref.name().size() > 255) return bad("the name is longer than 255 characters");
  if (ref.tag.empty() && ref.digest.empty()) ref.tag = "latest";
  return ref;
}

}  // namespace estiba::image
