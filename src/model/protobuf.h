// Kubernetes' protobuf (application/vnd.kubernetes.protobuf) to and from JSON, by the tables: four bytes "k8s\0", then a
// runtime.Unknown with apiVersion, kind and the object's own message.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::model {

inline constexpr std::string_view protobuf_magic{"k8s\0", 4};

/// The object with its envelope; apiVersion and kind are those of `type`'s package unless the object says others.
/// A value that does not fit its field's type is an error: conform() has made sure that none does.
Result<std::string> to_protobuf(const json::Node& object, const schema::Type& type);
/// Any object whose kind the tables know. Malformed for broken bytes, unsupported for kinds without a table.
Result<json::Document> from_protobuf(std::string_view bytes);

/// The bare message, without envelope.
Result<std::string> to_protobuf_message(const json::Node& object, const schema::Type& type);
/// The same at the end of `out`; after an error, part of it may be there.
Result<void> append_protobuf_message(std::string& out, const json::Node& object, const schema::Type& type);
Result<json::Document> from_protobuf_message(std::string_view bytes, const schema::Type& type);
/// The envelope round a bare message, and its two parts round one of `message_size` bytes that stands elsewhere.
std::string protobuf_envelope(std::string_view api_version, std::string_view kind, std::string_view message);
std::string protobuf_envelope_head(std::string_view api_version, std::string_view kind, size_t message_size);
std::string protobuf_envelope_tail();
/// One event of a watch (metav1.WatchEvent) round an enveloped object, with the four bytes of length that streams put first.
std::string protobuf_watch_event(std::string_view event, std::string_view object);

}  // namespace estiba::model
