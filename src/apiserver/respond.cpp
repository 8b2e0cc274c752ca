#include "apiserver/respond.h"

#include "apiserver/api_errors.h"
#include "apiserver/encodings.h"
#include "apiserver/list_metadata.h"
#include "apiserver/partial.h"
#include "apiserver/protobuf_list.h"
#include "apiserver/recent.h"
#include "apiserver/table.h"

namespace estiba::apiserver {
namespace {

std::string list_head(const Action& action, const Page& page) {
  std::string out = "{\"kind\":\"" + model::list_kind_of(*action.resource) + "\",\"apiVersion\":\"" +
                    model::schema::join_api_version(action.resource->group, action.resource->version) + "\",";
  append_list_metadata(out, page);
  return out + ",\"items\":[";
}

// The items go out from where they are kept; only their revisions are written here.
io::Body list_body(const Action& action, const Page& page) {
  constexpr size_t longest_revision = 48;
  auto revisions = std::make_shared<std::string>();
  revisions->reserve(page.items.size() * longest_revision);  // never moves
  std::vector<io::Chunk> chunks;
  chunks.reserve(page.items.size() * 4 + 2);
  chunks.emplace_back(list_head(action, page));
  for (const model::ObjectRef& item : page.items) {
    if (chunks.size() > 1) chunks.push_back(io::Chunk::literal(","));
    const std::string_view json = item.object->json();
    const size_t at = item.object->rv_at(), begin = revisions->size();
    item.object->print_revision_to(*revisions, item.revision);
    chunks.emplace_back(item.object, json.substr(0, at));
    if (revisions->size() > begin) chunks.emplace_back(revisions, std::string_view(*revisions).substr(begin));
    chunks.emplace_back(item.object, json.substr(at));
  }
  chunks.push_back(io::Chunk::literal("]}"));
  return chunks;
}

Result<std::string> object_json(const Action& action, const model::ObjectRef& object, bool headers) {
  switch (action.wanted.shape) {
    case Shape::object: {
      std::string out;
      out.reserve(object.object->json().size() + 48);
      object.object->print_to(out, object.revision);
      return out;
    }
    case Shape::partial: {
      std::string out;
      append_partial(out, object, action.wanted.shape_v1beta1);
      return out;
    }
    case Shape::table: {
      Page one;
      one.revision = object.revision;
      one.items.push_back(object);
      return TRY(table_body(action, one, headers)).text();
    }
  }
  return std::string{};
}

std::string_view type_name(WatchItem::Kind kind) {
  switch (kind) {
    case WatchItem::Kind::added: return "ADDED";
    case WatchItem::Kind::modified: return "MODIFIED";
    case WatchItem::Kind::removed: return "DELETED";
    case WatchItem::Kind::bookmark: return "BOOKMARK";
  }
  return "";
}

std::string bookmark_json(const Action& action, const WatchItem& item) {
  std::string metadata = "\"metadata\":{\"resourceVersion\":\"" + std::to_string(item.revision) + "\",\"creationTimestamp\":null";
  if (item.initial_end) metadata += ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}";
  metadata += '}';
  switch (action.wanted.shape) {
    case Shape::table:
      return "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"" + std::to_string(item.revision) +
             "\"},\"columnDefinitions\":[],\"rows\":[{\"cells\":[],\"object\":{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":"
             "\"meta.k8s.io/v1\"," +
             metadata + "}}]}";
    case Shape::partial: return "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\"," + metadata + "}";
    case Shape::object: break;
  }
  return "{\"kind\":\"" + std::string(action.resource->kind) + "\",\"apiVersion\":\"" +
         model::schema::join_api_version(action.resource->group, action.resource->version) + "\"," + metadata + "}";
}

// An event in one of the forms that cost more to make than to copy. It holds the object, so that no other takes its address.
struct EventForm {
  model::ObjectPtr object;
  int64_t revision;
  WatchItem::Kind kind;
  Wanted wanted;
  const Resource* resource;
  std::string include_object;
  int64_t second;  // Tables tell ages

  bool operator==(const EventForm&) const = default;
  size_t hash() const { return hash_of(object.get(), revision, size_t(kind) * 16 + size_t(wanted.encoding) * 4 + size_t(wanted.shape)); }
};

Recent<EventForm, std::shared_ptr<const std::string>, 1024, 8 << 20>& event_forms() {
  static Recent<EventForm, std::shared_ptr<const std::string>, 1024, 8 << 20> cache;
  return cache;
}

EventForm form_of(const Action& action, const WatchItem& item) {
  const bool table = action.wanted.shape == Shape::table;
  Executor* executor = table ? Executor::current() : nullptr;
  const int64_t second = executor ? std::chrono::duration_cast<std::chrono::seconds>(executor->wall_now().time_since_epoch()).count() : 0;
  return {item.object.object, item.object.revision, item.kind, action.wanted, action.resource, action.include_object, second};
}

}  // namespace

Rendered render_json(const Wanted& wanted, std::string json) {
  std::string fallback = wanted.encoding == Encoding::json && !wanted.pretty ? std::string{} : json;
  auto encoded = encode(wanted, std::move(json));
  if (encoded) return {content_type_of(encoded->encoding), std::move(encoded->body)};
  return {content_type_of(Encoding::json), std::move(fallback)};
}

std::string warning_header(std::string_view text) {
  std::string out = "299 - \"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
  }
  return out + '"';
}

void add_warnings(io::Response& response, const std::vector<std::string>& warnings) {
  constexpr size_t most = 4096, longest = 256;
  size_t total = 0;
  for (const std::string& warning : warnings) total += warning.size();
  const bool cut = total > most;
  total = 0;
  for (const std::string& warning : warnings) {
    std::string_view text = warning;
    if (cut && text.size() > longest) {
      size_t end = longest;
      while (end > 0 && (text[end] & 0xc0) == 0x80) --end;  // no half of a character
      text = text.substr(0, end);
    }
    total += text.size();
    if (total > most) return;
    response.always("Warning", warning_header(text));
  }
}

Rendered render_error(const Wanted& wanted, const Error& error) { return render_json(wanted, status_json(error)); }

Result<Rendered> render_object(const Action& action, const model::ObjectRef& object) {
  Encoded encoded = TRY(encode(action.wanted, TRY(object_json(action, object, true))));
  return Rendered{content_type_of(encoded.encoding), std::move(encoded.body)};
}

Result<Rendered> render_list(const Action& action, const Page& page) {
  const bool plain = action.wanted.encoding == Encoding::json && !action.wanted.pretty;
  if (action.wanted.shape == Shape::object && action.wanted.encoding == Encoding::protobuf)
    if (auto made = TRY(protobuf_list(action, page))) return Rendered{content_type_of(Encoding::protobuf), std::move(*made)};
  io::Body body;
  switch (action.wanted.shape) {
    case Shape::object: body = list_body(action, page); break;
    case Shape::partial: body = partial_list_body(page, action.wanted.shape_v1beta1); break;
    case Shape::table: body = TRY(table_body(action, page, true)); break;
  }
  if (plain) return Rendered{content_type_of(Encoding::json), std::move(body)};
  Encoded encoded = TRY(encode(action.wanted, body.text()));
  return Rendered{content_type_of(encoded.encoding), std::move(encoded.body)};
}

Result<void> append_event(std::string& out, const Action& action, const WatchItem& item) {
  std::string_view type = type_name(item.kind);
  if (item.object && action.wanted.shape == Shape::object && action.wanted.encoding == Encoding::json) {
    out.append("{\"type\":\"").append(type).append("\",\"object\":");
    item.object.object->print_to(out, item.object.revision);
    out += "}\n";
    return {};
  }
  if (!item.object) {
    out += TRY(frame_event(action.wanted, type, bookmark_json(action, item)));
    return {};
  }
  const EventForm form = form_of(action, item);
  auto made = event_forms().find(form);
  if (!made) {
    made = std::make_shared<const std::string>(TRY(frame_event(action.wanted, type, TRY(object_json(action, item.object, true)))));
    event_forms().put(form, *made, (*made)->size() + item.object.object->json().size());
  }
  out += **made;
  return {};
}

std::string render_watch_error(const Action& action, const Error& error) {
  auto framed = frame_event(action.wanted, "ERROR", status_json(error));
  return framed ? *framed : std::string{};
}

std::string_view watch_content_type(const Wanted& wanted) {
  if (wanted.encoding == Encoding::protobuf) return "application/vnd.kubernetes.protobuf;stream=watch";
  return "application/json";
}

}  // namespace estiba::apiserver
