// The syntax of names, labels and annotations. Each check returns what is wrong, in Kubernetes' words; empty means valid.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace estiba::model {

using Problems = std::vector<std::string>;

/// RFC 1123 label: lower-case letters, digits and '-', at most 63 (namespaces, container names).
Problems check_dns1123_label(std::string_view text);
/// RFC 1123 subdomain: labels joined by '.', at most 253 (most objects' names).
Problems check_dns1123_subdomain(std::string_view text);
/// RFC 1035 label: begins with a letter, at most 63 (Services).
Problems check_dns1035_label(std::string_view text);
/// A name that is safe as a path segment (RBAC objects).
Problems check_path_segment(std::string_view text);
/// "prefix.example/name": the keys of labels and annotations, finalizers, resource names.
Problems check_qualified_name(std::string_view text);
Problems check_label_value(std::string_view text);
/// IANA_SVC_NAME: the name of a port.
Problems check_port_name(std::string_view text);
/// An environment variable's name, as relaxed since Kubernetes 1.30: printable ASCII without '='.
Problems check_env_name(std::string_view text);
/// A key of a ConfigMap or Secret.
Problems check_config_key(std::string_view text);
/// "30%"
bool is_percentage(std::string_view text);

/// `text` cut to what leaves room for a generated suffix, as generateName does.
std::string generate_name(std::string_view prefix);

}  // namespace estiba::model
