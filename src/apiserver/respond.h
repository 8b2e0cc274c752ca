// The forms of answers: objects and lists as JSON (the stored bytes with the revision spliced in), YAML, protobuf, Tables
// and PartialObjectMetadata.
#pragma once
#include <string>
#include <string_view>

#include "apiserver/action.h"
#include "apiserver/registry.h"
#include "base/result.h"
#include "io/http.h"
#include "io/http_server.h"

namespace estiba::apiserver {

struct Rendered {
  std::string_view content_type;
  io::Body body;
};

Result<Rendered> render_object(const Action& action, const model::ObjectRef& object);
Result<Rendered> render_list(const Action& action, const Page& page);
/// A JSON text that is no stored object: Status, Scale, reviews. `pretty` and the encoding as wanted.
Rendered render_json(const Wanted& wanted, std::string json);
Rendered render_error(const Wanted& wanted, const Error& error);
/// A Warning header's value, quoted as RFC 9110 wants; what cannot stand in a header is left out.
std::string warning_header(std::string_view text);
/// Adds Warning headers, as far as Kubernetes does: 4 KiB in all, and long ones are cut where the whole would be more.
void add_warnings(io::Response& response, const std::vector<std::string>& warnings);

/// Adds an event of a watch stream: a line {"type":…,"object":…}, or a length-prefixed frame in protobuf.
Result<void> append_event(std::string& out, const Action& action, const WatchItem& item);
/// The ERROR event that ends a watch.
std::string render_watch_error(const Action& action, const Error& error);
std::string_view watch_content_type(const Wanted& wanted);

}  // namespace estiba::apiserver
