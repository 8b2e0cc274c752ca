#include "apiserver/own_action.h"

namespace estiba::apiserver {

Action own_action(Verb verb, const Resource& resource, std::string ns, std::string name) {
  Action action;
  action.verb = verb;
  action.resource = &resource;
  action.ns = std::move(ns);
  if (verb != Verb::create) action.name = std::move(name);
  action.body_type = BodyType::json;
  action.user = {"system:apiserver", {}, {"system:masters"}, {}};
  return action;
}

}  // namespace estiba::apiserver
