// Single values of the Compose file: ports, mounts, words, paths.
#include <cstdlib>

#include "base/strings.h"
#include "cli/compose/shape.h"

namespace estiba::cli::compose {
namespace {

struct Range {
  unsigned first = 0, last = 0;
};

Result<Range> parse_range(std::string_view text, std::string_view whole) {
  auto [from, to] = split_once(text, '-');
  auto first = parse_number<uint16_t>(from), last = to ? parse_number<uint16_t>(*to) : first;
  if (!first || !last || *last < *first || *first == 0)
    return fail(Code::invalid,
                "invalid port " + quoted(whole) + ": [[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL] is expected, with ports from 1 to 65535");
  return Range{*first, *last};
}

/// Address, published, target: from the right, since an IPv6 address has colons.
void cut_port(std::string_view text, std::string_view& address, std::string_view& published, std::string_view& target) {
  const size_t colon = text.rfind(':');
  target = colon == text.npos ? text : text.substr(colon + 1);
  if (colon == text.npos) return;
  text = text.substr(0, colon);
  const size_t second = text.rfind(':');
  published = second == text.npos ? text : text.substr(second + 1);
  if (second == text.npos) return;
  address = text.substr(0, second);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
}

std::string normal(const std::string& path) {
  std::vector<std::string> out;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!out.empty()) out.pop_back();
    } else {
      out.emplace_back(part);
    }
  }
  return "/" + join(out, "/");
}

bool is_path(std::string_view text) { return text.starts_with('/') || text.starts_with('.') || text.starts_with('~'); }

Result<void> mount_option(json::Document& document, json::Node& mount, std::string_view option, bool bind, std::string_view whole) {
  auto part = [&]() -> json::Node& { return document.ensure_object(mount, bind ? "bind" : "volume"); };
  if (option == "ro") {
    document.set(mount, "read_only", document.make_bool(true));
  } else if (option == "rw" || option.empty()) {
  } else if (option == "nocopy" && !bind) {
    document.set(part(), "nocopy", document.make_bool(true));
  } else if ((option == "z" || option == "Z") && bind) {
    document.set(part(), "selinux", option);
  } else if (bind && (option == "rprivate" || option == "private" || option == "rshared" || option == "shared" || option == "rslave" ||
                      option == "slave")) {
    document.set(part(), "propagation", option);
  } else if (option == "cached" || option == "delegated" || option == "consistent") {
    document.set(mount, "consistency", option);
  } else {
    return fail(Code::invalid, "invalid volume " + quoted(whole) + ": unknown option " + quoted(option));
  }
  return {};
}

}  // namespace

Result<std::vector<json::Node*>> parse_port(json::Document& document, std::string_view text) {
  std::string_view address, published, target, rest = text, protocol = "tcp";
  if (auto [ports, given] = split_once(text, '/'); given) {
    rest = ports;
    protocol = *given;
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
      return fail(Code::invalid, "invalid port " + quoted(text) + ": the protocol is tcp, udp or sctp");
  }
  cut_port(rest, address, published, target);
  const Range inside = TRY(parse_range(target, text));
  std::optional<Range> outside;
  if (!published.empty()) outside = TRY(parse_range(published, text));
  const unsigned count = inside.last - inside.first + 1;
  if (outside && outside->last - outside->first + 1 != count && count != 1)
    return fail(Code::invalid, "invalid port " + quoted(text) + ": the two ranges have different lengths");
  std::vector<json::Node*> out;
  for (unsigned i = 0; i < count; ++i) {
    json::Node& port = document.make_object();
    document.set(port, "mode", "ingress");
    if (!address.empty()) document.set(port, "host_ip", address);
    document.set(port, "target", document.make_int(inside.first + i));
    if (outside) {
      // One port behind a range: any of it.
      std::string of = count == 1 && outside->last != outside->first ? std::string(published) : std::to_string(outside->first + i);
      document.set(port, "published", of);
    }
    document.set(port, "protocol", protocol);
    out.push_back(&port);
  }
  return out;
}

Result<json::Node*> parse_mount(json::Document& document, std::string_view text, const std::string& directory) {
  auto parts = split(text, ':');
  if (text.empty() || parts.size() > 3 || (parts.size() > 1 && (parts[0].empty() || parts[1].empty())))
    return fail(Code::invalid, "invalid volume " + quoted(text) + ": [SOURCE:]TARGET[:OPTIONS] is expected");
  json::Node& mount = document.make_object();
  const bool bind = parts.size() > 1 && is_path(parts[0]);
  const std::string_view target = parts.size() > 1 ? parts[1] : parts[0];
  if (!target.starts_with('/')) return fail(Code::invalid, "invalid volume " + quoted(text) + ": the target must be an absolute path");
  document.set(mount, "type", bind ? "bind" : "volume");
  if (bind) document.set(mount, "source", absolute_path(parts[0], directory));
  else if (parts.size() > 1) document.set(mount, "source", parts[0]);
  document.set(mount, "target", target);
  if (parts.size() == 3)
    for (std::string_view option : split(parts[2], ',')) TRY(mount_option(document, mount, option, bind, text));
  if (bind) document.set(document.ensure_object(mount, "bind"), "create_host_path", document.make_bool(true));
  else document.ensure_object(mount, "volume");
  return &mount;
}

Result<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote) {
      if (c == quote) quote = 0;
      else if (c == '\\' && quote == '"' && i + 1 < text.size() &&
               (text[i + 1] == '"' || text[i + 1] == '\\' || text[i + 1] == '$' || text[i + 1] == '`'))
        word += text[++i];
      else word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      if (in_word) out.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote) return fail(Code::invalid, "the command " + quoted(text) + " has a quote that does not end");
  if (in_word) out.push_back(std::move(word));
  return out;
}

std::string absolute_path(std::string_view path, const std::string& directory) {
  if (path == "~" || path.starts_with("~/")) {
    const char* home = std::getenv("HOME");
    return normal(std::string(home ? home : "/") + std::string(path.substr(1)));
  }
  return normal(path.starts_with('/') ? std::string(path) : directory + "/" + std::string(path));
}

}  // namespace estiba::cli::compose
