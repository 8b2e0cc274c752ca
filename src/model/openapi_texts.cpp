#include "model/openapi_texts.h"

#include <algorithm>
#include <iterator>

namespace estiba::model::openapi {
namespace {

struct Text {
  std::string_view member, text;
};

constexpr Text of_every_kind[] = {
    {"apiVersion", "APIVersion defines the group and version in which the object is written."},
    {"kind", "Kind names what the object is, in CamelCase. It never changes."},
};

constexpr Text of_metadata[] = {
    {"", "Standard object's metadata: the name, the labels and what the server notes about it."},
    {"annotations", "Texts by key that tools keep with the object. Nothing is selected by them."},
    {"creationTimestamp", "CreationTimestamp is a timestamp of the server's time when the object was created. Clients do not set it."},
    {"deletionGracePeriodSeconds", "Seconds between the request to delete the object and its removal. Set with deletionTimestamp."},
    {"deletionTimestamp",
     "When the object will go away. Set by the server once its deletion is asked for; it then goes when no finalizer is left."},
    {"finalizers", "Who still has to do something before the object may be removed. Each removes its own entry."},
    {"generateName", "The beginning of a name to which the server adds five random characters, when there is no name."},
    {"generation", "Counts the changes of the wanted state."},
    {"labels", "Texts by key by which objects are grouped and selected."},
    {"managedFields", "Who set which fields last. Kept by the server for server-side apply."},
    {"name", "The name, unique among objects of a kind in a namespace. It never changes."},
    {"namespace", "The namespace in which the name is unique. Empty for kinds that belong to the whole cluster."},
    {"ownerReferences", "The objects that this one depends on. When all of them are gone, it is collected."},
    {"resourceVersion", "Where in the order of all changes the last one of this object is. Compare it only as the API's rules say."},
    {"selfLink", "No longer used."},
    {"uid", "Tells apart objects that have had the same name at different times. Set by the server."},
};

template <size_t N>
std::string_view find(const Text (&texts)[N], std::string_view member) {
  const Text* row = std::ranges::find(texts, member, &Text::member);
  return row == std::end(texts) ? std::string_view{} : row->text;
}

}  // namespace

std::string_view description_of(const schema::Type* type, std::string_view member) {
  if (type && type->name == "ObjectMeta") return find(of_metadata, member);
  return (!type || type->kind) && !member.empty() ? find(of_every_kind, member) : std::string_view{};
}

}  // namespace estiba::model::openapi
