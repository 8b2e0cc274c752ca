#include "apiserver/protobuf_list.h"

#include "apiserver/list_metadata.h"
#include "apiserver/pieces.h"
#include "base/protobuf_wire.h"
#include "model/protobuf.h"

namespace estiba::apiserver {

Result<std::optional<io::Body>> protobuf_list(const Action& action, const Page& page) {
  const std::string api_version = model::schema::join_api_version(action.resource->group, action.resource->version);
  const std::string kind = model::list_kind_of(*action.resource);
  const model::schema::Type* list = model::schema::find_kind(api_version, kind);
  const model::schema::Field* items = list ? list->find("items") : nullptr;
  if (!items || !items->number || !items->type) return std::nullopt;
  Pieces pieces;
  std::string head = "{";
  append_list_metadata(head, page);
  const json::Document metadata = TRY(json::Document::parse(head + "}"));
  TRY(model::append_protobuf_message(pieces.out(), metadata.root(), *list));
  std::string text;
  for (const model::ObjectRef& item : page.items) {
    text.clear();
    item.object->print_to(text, item.revision);
    const json::Document object = TRY(json::Document::parse(text));
    std::string& out = pieces.out();
    const size_t begin = wire::begin_message(out, items->number);
    TRY(model::append_protobuf_message(out, object.root(), *items->type));
    wire::end_message(out, begin);
  }
  const io::Body message = pieces.take();
  io::Body body;
  body.add(io::Chunk(model::protobuf_envelope_head(api_version, kind, message.size())));
  for (const io::Chunk& chunk : message.chunks()) body.add(chunk);
  body.add(io::Chunk(model::protobuf_envelope_tail()));
  return body;
}

}  // namespace estiba::apiserver
