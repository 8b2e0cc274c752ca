#include "docker/event_filter.h"

#include <algorithm>
#include <map>

namespace estiba::docker {

namespace {

std::string_view attribute(const EventMessage& event, std::string_view name) {
  for (const auto& [key, value] : event.attributes)
    if (key == name) return value;
  return {};
}

std::string_view without_tag(std::string_view image) {
  const size_t colon = image.rfind(':');
  return colon == image.npos || image.find('/', colon) != image.npos ? image : image.substr(0, colon);
}

bool action_matches(const EventMessage& event, const Filters& filters) {
  const auto& wanted = filters.get("event");
  if (wanted.empty()) return true;
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& action) {
    const bool family = action == "health_status" || action == "exec_create" || action == "exec_start";
    return family ? event.action.starts_with(action) : event.action == action;
  });
}

bool image_matches(const EventMessage& event, const Filters& filters) {
  const std::string_view name = attribute(event, event.type == "image" ? "name" : "image");
  return filters.exact("image", event.id) || filters.exact("image", name) || filters.exact("image", without_tag(event.id)) ||
         filters.exact("image", without_tag(name));
}

/// A kind of object by name or id: events of other kinds are not about one, unless they name it (a network's event its container).
bool object_matches(const EventMessage& event, const Filters& filters, std::string_view kind) {
  if (!filters.has(kind)) return true;
  if (event.type == kind) return filters.prefix(kind, event.id) || filters.prefix(kind, attribute(event, "name"));
  const std::string_view other = attribute(event, kind);
  return !other.empty() && filters.prefix(kind, other);
}

}  // namespace

bool event_matches(const EventMessage& event, const Filters& filters) {
  if (filters.empty()) return true;
  if (!action_matches(event, filters) || !filters.exact("type", event.type) || !filters.exact("scope", "local")) return false;
  if (!image_matches(event, filters)) return false;
  for (std::string_view kind : {"container", "volume", "network", "daemon", "plugin", "node", "service", "secret", "config"})
    if (!object_matches(event, filters, kind)) return false;
  if (!filters.has("label")) return true;
  return filters.labels(std::map<std::string, std::string>(event.attributes.begin(), event.attributes.end()));
}

}  // namespace estiba::docker
