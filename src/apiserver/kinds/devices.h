// Kinds of resource.k8s.io: claims for devices, their templates, classes and slices.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::devices {

void default_claim(json::Document& doc, json::Node& object);
void default_claim_template(json::Document& doc, json::Node& object);
/// Taints say when they were added.
void default_slice(json::Document& doc, json::Node& object);
void default_taint_rule(json::Document& doc, json::Node& object);
/// A taint with another effect counts as added anew.
void prepare_taint_rule(Draft& draft);
void validate_claim(Draft& draft);
void validate_claim_status(Draft& draft);
void validate_claim_template(Draft& draft);
void validate_class(Draft& draft);
void validate_slice(Draft& draft);

}  // namespace estiba::apiserver::devices
