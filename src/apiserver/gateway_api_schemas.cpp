#include "apiserver/gateway_api_schemas.h"

#include "apiserver/schema_version.h"
#include "base/strings.h"
#include "model/json.h"
#include "model/yaml.h"

namespace estiba::apiserver {

// Types that several fields share are anchors under "shared", which is left out of the definition.
static constexpr std::string_view shared = R"yaml(
shared:
  - &ns {type: string, minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'}
  - &objectName {type: string, minLength: 1, maxLength: 253}
  - &group {type: string, maxLength: 253, pattern: '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'}
  - &kind {type: string, minLength: 1, maxLength: 63, pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$'}
  - &section {type: string, minLength: 1, maxLength: 253, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'}
  - &port {type: integer, format: int32, minimum: 1, maximum: 65535}
  - &hostname {type: string, minLength: 1, maxLength: 253, pattern: '^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'}
  - &preciseHostname {type: string, minLength: 1, maxLength: 253, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'}
  - &duration {type: string, pattern: '^([0-9]{1,5}(h|m|s|ms)){1,4}$'}
  - &conditions
    type: array
    maxItems: 8
    x-kubernetes-list-type: map
    x-kubernetes-list-map-keys: [type]
    items: &condition
      type: object
      required: [type, status, lastTransitionTime, reason, message]
      properties:
        type: {type: string, maxLength: 316}
        status: {type: string, enum: ['True', 'False', Unknown]}
        observedGeneration: {type: integer, format: int64, minimum: 0}
        lastTransitionTime: {type: string, format: date-time}
        reason: {type: string, minLength: 1, maxLength: 1024}
        message: {type: string, maxLength: 32768}
  - &parentRef
    type: object
    required: [name]
    properties: {group: {<<: *group, default: gateway.networking.k8s.io}, kind: {<<: *kind, default: Gateway}, namespace: *ns, name: *objectName, sectionName: *section, port: *port}
  - &backendProperties
    group: {<<: *group, default: ''}
    kind: {<<: *kind, default: Service}
    name: *objectName
    namespace: *ns
    port: *port
  - &weightedProperties {<<: *backendProperties, weight: {type: integer, format: int32, minimum: 0, maximum: 1000000, default: 1}}
  - &weightedBackend
    type: object
    required: [name]
    x-kubernetes-validations:
      - {rule: "self.group == '' && self.kind == 'Service' ? has(self.port) : true", message: Must have port for Service reference}
  - &streamBackends {type: array, minItems: 1, maxItems: 16, x-kubernetes-list-type: atomic, items: {<<: *weightedBackend, properties: *weightedProperties}}
  - &headerName {type: string, minLength: 1, maxLength: 256, pattern: '^[A-Za-z0-9!#$%&''*+\-.^_\x60|~]+$'}
  - &headers
    type: array
    maxItems: 16
    x-kubernetes-list-type: map
    x-kubernetes-list-map-keys: [name]
    items: {type: object, required: [name, value], properties: {name: *headerName, value: {type: string, minLength: 1, maxLength: 4096}}}
  - &headerFilter
    type: object
    properties: {set: *headers, add: *headers, remove: {type: array, maxItems: 16, x-kubernetes-list-type: set, items: {type: string, maxLength: 256}}}
  - &mirror
    type: object
    required: [backendRef]
    properties:
      backendRef: {type: object, required: [name], properties: *backendProperties}
      percent: {type: integer, format: int32, minimum: 0, maximum: 100}
      fraction: {type: object, required: [numerator], properties: {numerator: {type: integer, format: int32, minimum: 0}, denominator: {type: integer, format: int32, minimum: 1, default: 100}}}
  - &extensionRef {type: object, required: [group, kind, name], properties: {group: *group, kind: *kind, name: *objectName}}
  - &headerMatches
    type: array
    maxItems: 16
    x-kubernetes-list-type: map
    x-kubernetes-list-map-keys: [name]
    items: {type: object, required: [name, value], properties: {type: {type: string, enum: [Exact, RegularExpression], default: Exact}, name: *headerName, value: {type: string, minLength: 1, maxLength: 4096}}}
  - &routeStatus
    type: object
    required: [parents]
    properties:
      parents:
        type: array
        maxItems: 32
        x-kubernetes-list-type: atomic
        items:
          type: object
          required: [parentRef, controllerName]
          properties:
            parentRef: *parentRef
            controllerName: {type: string, minLength: 1, maxLength: 253}
            conditions: *conditions
)yaml";

static constexpr std::string_view class_schema = R"yaml(
spec:
  type: object
  required: [controllerName]
  properties:
    controllerName:
      type: string
      minLength: 1
      maxLength: 253
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&()*+,;=:]+$'
      x-kubernetes-validations: [{rule: self == oldSelf, message: Value is immutable}]
    description: {type: string, maxLength: 64}
    parametersRef: {type: object, required: [group, kind, name], properties: {group: *group, kind: *kind, name: *objectName, namespace: *ns}}
status:
  type: object
  default: {conditions: [{type: Accepted, status: Unknown, reason: Pending, message: Waiting for controller, lastTransitionTime: '1970-01-01T00:00:00Z'}]}
  properties:
    conditions: *conditions
)yaml";

static constexpr std::string_view gateway_schema = R"yaml(
spec:
  type: object
  required: [gatewayClassName, listeners]
  properties:
    gatewayClassName: *objectName
    infrastructure:
      type: object
      properties:
        labels: {type: object, maxProperties: 8, additionalProperties: {type: string, maxLength: 63}}
        annotations: {type: object, maxProperties: 8, additionalProperties: {type: string, maxLength: 4096}}
        parametersRef: {type: object, required: [group, kind, name], properties: {group: *group, kind: *kind, name: *objectName}}
    addresses:
      type: array
      maxItems: 16
      x-kubernetes-list-type: atomic
      items: {type: object, properties: {type: {type: string, minLength: 1, maxLength: 253, default: IPAddress}, value: {type: string, maxLength: 253}}}
    listeners:
      type: array
      minItems: 1
      maxItems: 64
      x-kubernetes-list-type: map
      x-kubernetes-list-map-keys: [name]
      x-kubernetes-validations:
        - {rule: "self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)", message: "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']"}
        - {rule: "self.all(l, l.protocol == 'HTTPS' && has(l.tls) ? (!has(l.tls.mode) || l.tls.mode == 'Terminate') : true)", message: tls mode must be Terminate for protocol HTTPS}
        - {rule: "self.all(l, l.protocol in ['TCP', 'UDP'] ? !has(l.hostname) || l.hostname == '' : true)", message: "hostname must not be specified for protocols ['TCP', 'UDP']"}
        - {rule: "self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol && (has(a.hostname) && has(b.hostname) ? a.hostname == b.hostname : !has(a.hostname) && !has(b.hostname))))", message: 'Combination of port, protocol and hostname must be unique for each listener'}
      items:
        type: object
        required: [name, port, protocol]
        properties:
          name: *section
          hostname: *hostname
          port: *port
          protocol: {type: string, minLength: 1, maxLength: 255}
          tls:
            type: object
            x-kubernetes-validations:
              - {rule: "!has(self.mode) || self.mode != 'Terminate' || (has(self.certificateRefs) && size(self.certificateRefs) > 0) || (has(self.options) && size(self.options) > 0)", message: certificateRefs or options must be specified when mode is Terminate}
            properties:
              mode: {type: string, enum: [Terminate, Passthrough], default: Terminate}
              certificateRefs:
                type: array
                maxItems: 64
                x-kubernetes-list-type: atomic
                items:
                  type: object
                  required: [name]
                  properties: {group: {<<: *group, default: ''}, kind: {<<: *kind, default: Secret}, name: *objectName, namespace: *ns}
              options: {type: object, maxProperties: 16, additionalProperties: {type: string, maxLength: 4096}}
          allowedRoutes:
            type: object
            default: {namespaces: {from: Same}}
            properties:
              namespaces:
                type: object
                default: {from: Same}
                properties:
                  from: {type: string, enum: [All, Selector, Same], default: Same}
                  selector:
                    type: object
                    x-kubernetes-map-type: atomic
                    properties:
                      matchLabels: {type: object, additionalProperties: {type: string}}
                      matchExpressions:
                        type: array
                        x-kubernetes-list-type: atomic
                        items:
                          type: object
                          required: [key, operator]
                          properties: {key: {type: string}, operator: {type: string}, values: {type: array, x-kubernetes-list-type: atomic, items: {type: string}}}
              kinds:
                type: array
                maxItems: 8
                x-kubernetes-list-type: atomic
                items: {type: object, required: [kind], properties: {group: {<<: *group, default: gateway.networking.k8s.io}, kind: *kind}}
status:
  type: object
  default:
    conditions:
      - {type: Accepted, status: Unknown, reason: Pending, message: Waiting for controller, lastTransitionTime: '1970-01-01T00:00:00Z'}
      - {type: Programmed, status: Unknown, reason: Pending, message: Waiting for controller, lastTransitionTime: '1970-01-01T00:00:00Z'}
  properties:
    addresses:
      type: array
      maxItems: 16
      x-kubernetes-list-type: atomic
      items: {type: object, required: [value], properties: {type: {type: string, minLength: 1, maxLength: 253, default: IPAddress}, value: {type: string, minLength: 1, maxLength: 253}}}
    conditions: *conditions
    listeners:
      type: array
      maxItems: 64
      x-kubernetes-list-type: map
      x-kubernetes-list-map-keys: [name]
      items:
        type: object
        required: [name, attachedRoutes, conditions]
        properties:
          name: *section
          attachedRoutes: {type: integer, format: int32}
          conditions: *conditions
          supportedKinds:
            type: array
            maxItems: 8
            x-kubernetes-list-type: atomic
            items: {type: object, required: [kind], properties: {group: {<<: *group, default: gateway.networking.k8s.io}, kind: *kind}}
)yaml";

static constexpr std::string_view route_schema = R"yaml(
shared:
  - &pathModifier
    type: object
    required: [type]
    x-kubernetes-validations:
      - {rule: "(self.type == 'ReplaceFullPath') == has(self.replaceFullPath)", message: replaceFullPath must be specified when type is ReplaceFullPath and only then}
      - {rule: "(self.type == 'ReplacePrefixMatch') == has(self.replacePrefixMatch)", message: replacePrefixMatch must be specified when type is ReplacePrefixMatch and only then}
    properties:
      type: {type: string, enum: [ReplaceFullPath, ReplacePrefixMatch]}
      replaceFullPath: {type: string, maxLength: 1024}
      replacePrefixMatch: {type: string, maxLength: 1024}
  - &filters
    type: array
    maxItems: 16
    x-kubernetes-list-type: atomic
    x-kubernetes-validations:
      - {rule: "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))", message: 'May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both'}
      - {rule: "self.filter(f, f.type == 'RequestHeaderModifier').size() <= 1", message: RequestHeaderModifier filter cannot be repeated}
      - {rule: "self.filter(f, f.type == 'ResponseHeaderModifier').size() <= 1", message: ResponseHeaderModifier filter cannot be repeated}
      - {rule: "self.filter(f, f.type == 'RequestRedirect').size() <= 1", message: RequestRedirect filter cannot be repeated}
      - {rule: "self.filter(f, f.type == 'URLRewrite').size() <= 1", message: URLRewrite filter cannot be repeated}
    items:
      type: object
      required: [type]
      x-kubernetes-validations:
        - {rule: "(self.type == 'RequestHeaderModifier') == has(self.requestHeaderModifier)", message: filter.requestHeaderModifier must be specified for RequestHeaderModifier filter.type and only for it}
        - {rule: "(self.type == 'ResponseHeaderModifier') == has(self.responseHeaderModifier)", message: filter.responseHeaderModifier must be specified for ResponseHeaderModifier filter.type and only for it}
        - {rule: "(self.type == 'RequestMirror') == has(self.requestMirror)", message: filter.requestMirror must be specified for RequestMirror filter.type and only for it}
        - {rule: "(self.type == 'RequestRedirect') == has(self.requestRedirect)", message: filter.requestRedirect must be specified for RequestRedirect filter.type and only for it}
        - {rule: "(self.type == 'URLRewrite') == has(self.urlRewrite)", message: filter.urlRewrite must be specified for URLRewrite filter.type and only for it}
        - {rule: "(self.type == 'ExtensionRef') == has(self.extensionRef)", message: filter.extensionRef must be specified for ExtensionRef filter.type and only for it}
      properties:
        type: {type: string, enum: [RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, RequestRedirect, URLRewrite, ExtensionRef]}
        requestHeaderModifier: *headerFilter
        responseHeaderModifier: *headerFilter
        requestMirror: *mirror
        requestRedirect:
          type: object
          properties:
            scheme: {type: string, enum: [http, https]}
            hostname: *preciseHostname
            path: *pathModifier
            port: *port
            statusCode: {type: integer, enum: [301, 302], default: 302}
        urlRewrite: {type: object, properties: {hostname: *preciseHostname, path: *pathModifier}}
        extensionRef: *extensionRef
spec:
  type: object
  properties:
    parentRefs: {type: array, maxItems: 32, x-kubernetes-list-type: atomic, items: *parentRef}
    hostnames: {type: array, maxItems: 16, x-kubernetes-list-type: atomic, items: *hostname}
    rules:
      type: array
      minItems: 1
      maxItems: 16
      x-kubernetes-list-type: atomic
      default: [{matches: [{path: {type: PathPrefix, value: /}}]}]
      items:
        type: object
        x-kubernetes-validations:
          - {rule: "!(has(self.backendRefs) && size(self.backendRefs) > 0 && has(self.filters) && self.filters.exists(f, f.type == 'RequestRedirect'))", message: RequestRedirect filter must not be used together with backendRefs}
          - {rule: "!has(self.filters) || !self.filters.exists(f, (f.type == 'RequestRedirect' && has(f.requestRedirect.path) && f.requestRedirect.path.type == 'ReplacePrefixMatch') || (f.type == 'URLRewrite' && has(f.urlRewrite.path) && f.urlRewrite.path.type == 'ReplacePrefixMatch')) || (size(self.matches) == 1 && has(self.matches[0].path) && self.matches[0].path.type == 'PathPrefix')", message: 'When using a filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified'}
        properties:
          name: *section
          matches:
            type: array
            maxItems: 64
            x-kubernetes-list-type: atomic
            default: [{path: {type: PathPrefix, value: /}}]
            items:
              type: object
              properties:
                path:
                  type: object
                  default: {type: PathPrefix, value: /}
                  x-kubernetes-validations:
                    - {rule: "self.type in ['Exact', 'PathPrefix'] ? self.value.startsWith('/') : true", message: "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']"}
                    - {rule: "self.type in ['Exact', 'PathPrefix'] ? !self.value.contains('//') : true", message: "must not contain '//' when type one of ['Exact', 'PathPrefix']"}
                    - {rule: "self.type in ['Exact', 'PathPrefix'] ? !self.value.contains('/./') && !self.value.contains('/../') && !self.value.endsWith('/..') && !self.value.endsWith('/.') : true", message: "must not contain '.' or '..' as a segment when type one of ['Exact', 'PathPrefix']"}
                    - {rule: "self.type in ['Exact', 'PathPrefix'] ? !self.value.contains('#') && !self.value.lowerAscii().contains('%2f') : true", message: "must not contain '#' or '%2f' when type one of ['Exact', 'PathPrefix']"}
                  properties:
                    type: {type: string, enum: [Exact, PathPrefix, RegularExpression], default: PathPrefix}
                    value: {type: string, maxLength: 1024, default: /}
                headers: *headerMatches
                queryParams:
                  type: array
                  maxItems: 16
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [name]
                  items: {type: object, required: [name, value], properties: {type: {type: string, enum: [Exact, RegularExpression], default: Exact}, name: *headerName, value: {type: string, minLength: 1, maxLength: 1024}}}
                method: {type: string, enum: [GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH]}
          filters: *filters
          backendRefs:
            type: array
            maxItems: 16
            x-kubernetes-list-type: atomic
            items: {<<: *weightedBackend, properties: {<<: *weightedProperties, filters: *filters}}
          timeouts:
            type: object
            properties: {request: *duration, backendRequest: *duration}
            x-kubernetes-validations:
              - {rule: "!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') && duration(self.backendRequest) > duration(self.request))", message: backendRequest timeout cannot be longer than request timeout}
          retry:
            type: object
            properties:
              codes: {type: array, x-kubernetes-list-type: atomic, items: {type: integer, minimum: 400, maximum: 599}}
              attempts: {type: integer}
              backoff: *duration
status: *routeStatus
)yaml";

static constexpr std::string_view grpc_route_schema = R"yaml(
shared:
  - &filters
    type: array
    maxItems: 16
    x-kubernetes-list-type: atomic
    x-kubernetes-validations:
      - {rule: "self.filter(f, f.type == 'RequestHeaderModifier').size() <= 1", message: RequestHeaderModifier filter cannot be repeated}
      - {rule: "self.filter(f, f.type == 'ResponseHeaderModifier').size() <= 1", message: ResponseHeaderModifier filter cannot be repeated}
    items:
      type: object
      required: [type]
      x-kubernetes-validations:
        - {rule: "(self.type == 'RequestHeaderModifier') == has(self.requestHeaderModifier)", message: filter.requestHeaderModifier must be specified for RequestHeaderModifier filter.type and only for it}
        - {rule: "(self.type == 'ResponseHeaderModifier') == has(self.responseHeaderModifier)", message: filter.responseHeaderModifier must be specified for ResponseHeaderModifier filter.type and only for it}
        - {rule: "(self.type == 'RequestMirror') == has(self.requestMirror)", message: filter.requestMirror must be specified for RequestMirror filter.type and only for it}
        - {rule: "(self.type == 'ExtensionRef') == has(self.extensionRef)", message: filter.extensionRef must be specified for ExtensionRef filter.type and only for it}
      properties:
        type: {type: string, enum: [ResponseHeaderModifier, RequestHeaderModifier, RequestMirror, ExtensionRef]}
        requestHeaderModifier: *headerFilter
        responseHeaderModifier: *headerFilter
        requestMirror: *mirror
        extensionRef: *extensionRef
spec:
  type: object
  properties:
    parentRefs: {type: array, maxItems: 32, x-kubernetes-list-type: atomic, items: *parentRef}
    hostnames: {type: array, maxItems: 16, x-kubernetes-list-type: atomic, items: *hostname}
    rules:
      type: array
      maxItems: 16
      x-kubernetes-list-type: atomic
      items:
        type: object
        properties:
          name: *section
          matches:
            type: array
            maxItems: 64
            x-kubernetes-list-type: atomic
            items:
              type: object
              properties:
                method:
                  type: object
                  x-kubernetes-validations:
                    - {rule: "has(self.type) ? has(self.service) || has(self.method) : true", message: One or both of 'service' or 'method' must be specified}
                    - {rule: "(!has(self.type) || self.type == 'Exact') && has(self.service) ? self.service.matches('^[.]?[A-Za-z_][A-Za-z_0-9]*([.][A-Za-z_][A-Za-z_0-9]*)*$') : true", message: service must only contain valid characters}
                    - {rule: "(!has(self.type) || self.type == 'Exact') && has(self.method) ? self.method.matches('^[A-Za-z_][A-Za-z_0-9]*$') : true", message: method must only contain valid characters}
                  properties:
                    type: {type: string, enum: [Exact, RegularExpression], default: Exact}
                    service: {type: string, maxLength: 1024}
                    method: {type: string, maxLength: 1024}
                headers: *headerMatches
          filters: *filters
          backendRefs:
            type: array
            maxItems: 16
            x-kubernetes-list-type: atomic
            items: {<<: *weightedBackend, properties: {<<: *weightedProperties, filters: *filters}}
status: *routeStatus
)yaml";

static constexpr std::string_view tls_route_schema = R"yaml(
spec:
  type: object
  required: [hostnames, rules]
  properties:
    parentRefs: {type: array, maxItems: 32, x-kubernetes-list-type: atomic, items: *parentRef}
    hostnames:
      type: array
      minItems: 1
      maxItems: 1024
      x-kubernetes-list-type: atomic
      x-kubernetes-validations: [{rule: 'self.all(h, !isIP(h))', message: Hostnames cannot contain an IP}]
      items: *hostname
    rules:
      type: array
      minItems: 1
      maxItems: 1
      x-kubernetes-list-type: atomic
      items:
        type: object
        required: [backendRefs]
        properties:
          name: *section
          backendRefs: *streamBackends
status: *routeStatus
)yaml";

static constexpr std::string_view tcp_route_schema = R"yaml(
spec:
  type: object
  required: [rules]
  properties:
    parentRefs: {type: array, maxItems: 32, x-kubernetes-list-type: atomic, items: *parentRef}
    rules:
      type: array
      minItems: 1
      maxItems: 16
      x-kubernetes-validations:
        - {rule: 'self.all(l1, !has(l1.name) || self.exists_one(l2, has(l2.name) && l1.name == l2.name))', message: Rule name must be unique within the route}
      items:
        type: object
        properties:
          name: *section
          backendRefs: *streamBackends
status: *routeStatus
)yaml";

static constexpr std::string_view grant_schema = R"yaml(
spec:
  type: object
  required: [from, to]
  properties:
    from:
      type: array
      minItems: 1
      maxItems: 16
      x-kubernetes-list-type: atomic
      items: {type: object, required: [group, kind, namespace], properties: {group: *group, kind: *kind, namespace: *ns}}
    to:
      type: array
      minItems: 1
      maxItems: 16
      x-kubernetes-list-type: atomic
      items: {type: object, required: [group, kind], properties: {group: *group, kind: *kind, name: *objectName}}
)yaml";

std::span<const GatewayKind> gateway_kinds() {
  static constexpr GatewayKind kinds[] = {
      {"GatewayClass", "gatewayclasses", "gatewayclass", R"(["gc"])", false, "v1",
       R"([{name: Controller, type: string, jsonPath: .spec.controllerName}, {name: Accepted, type: string, jsonPath: '.status.conditions[?(@.type=="Accepted")].status'}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       class_schema},
      {"Gateway", "gateways", "gateway", R"(["gtw"])", true, "v1",
       R"([{name: Class, type: string, jsonPath: .spec.gatewayClassName}, {name: Address, type: string, jsonPath: '.status.addresses[*].value'}, {name: Programmed, type: string, jsonPath: '.status.conditions[?(@.type=="Programmed")].status'}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       gateway_schema},
      {"HTTPRoute", "httproutes", "httproute", "[]", true, "v1",
       R"([{name: Hostnames, type: string, jsonPath: .spec.hostnames}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       route_schema},
      {"GRPCRoute", "grpcroutes", "grpcroute", "[]", true, "v1",
       R"([{name: Hostnames, type: string, jsonPath: .spec.hostnames}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       grpc_route_schema},
      {"TLSRoute", "tlsroutes", "tlsroute", "[]", true, "v1 v1alpha3 v1alpha2",
       R"([{name: Hostnames, type: string, jsonPath: .spec.hostnames}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       tls_route_schema},
      {"TCPRoute", "tcproutes", "tcproute", "[]", true, "v1alpha2", R"([{name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       tcp_route_schema},
      {"ReferenceGrant", "referencegrants", "referencegrant", R"(["refgrant"])", true, "v1 v1beta1",
       R"([{name: Age, type: date, jsonPath: .metadata.creationTimestamp}])", grant_schema}};
  return kinds;
}

// A mapping that merges another ("<<") has its members, unless it has them itself.
static void merge_maps(json::Document& document, json::Node& node) {
  if (node.is_object())
    if (json::Node* merged = node.find("<<")) {
      for (const json::Node& member : *merged)
        if (!node.find(member.key())) document.add(node, member.key(), document.copy(member));
      document.remove(node, "<<");
    }
  if (node.is_object() || node.is_array())
    for (json::Node& child : node) merge_maps(document, child);
}

std::string schema_version(const GatewayKind& kind) {
  return version_of({shared, kind.versions, kind.columns, kind.short_names, kind.schema});
}

Result<std::string> definition_of(const GatewayKind& kind) {
  // A second "shared" of a kind stands beside the first.
  std::string text(shared);
  const bool own = kind.schema.starts_with("\nshared:\n");
  text += own ? kind.schema.substr(std::string_view("\nshared:\n").size()) : kind.schema.substr(1);
  json::Document document = TRY_AS("schema of " + std::string(kind.kind), model::parse_yaml(text));
  merge_maps(document, document.root());
  json::Document columns = TRY_AS("columns of " + std::string(kind.kind), model::parse_yaml(kind.columns));
  const json::Node* status = document.root().find("status");
  const std::string schema =
      R"({"openAPIV3Schema":{"type":"object","required":["spec"],"properties":{"apiVersion":{"type":"string"},"kind":{"type":"string"},"metadata":{"type":"object"},"spec":)" +
      json::print(*document.root().find("spec")) + (status ? ",\"status\":" + json::print(*status) : "") + "}}}";
  std::string versions;
  for (const std::string_view version : split(kind.versions, ' ')) {
    const bool stored = versions.empty();
    versions += stored ? "" : ",";
    versions += R"({"name":")" + std::string(version) + R"(","served":true,"storage":)" + (stored ? "true" : "false") + R"(,"schema":)" +
                schema + (status ? R"(,"subresources":{"status":{}})" : "") + R"(,"additionalPrinterColumns":)" +
                json::print(columns.root()) + "}";
  }
  return R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":")" + std::string(kind.plural) +
         R"(.gateway.networking.k8s.io","annotations":{"gateway.networking.k8s.io/channel":")" +
         (kind.versions.starts_with("v1alpha") ? "experimental" : "standard") +
         R"(","api-approved.kubernetes.io":"https://github.com/kubernetes-sigs/gateway-api","estiba.dev/schema":")" + schema_version(kind) +
         R"("}},"spec":{"group":"gateway.networking.k8s.io","scope":")" + (kind.namespaced ? "Namespaced" : "Cluster") +
         R"(","names":{"kind":")" + std::string(kind.kind) + R"(","listKind":")" + std::string(kind.kind) + R"(List","plural":")" +
         std::string(kind.plural) + R"(","singular":")" + std::string(kind.singular) + R"(","shortNames":)" +
         std::string(kind.short_names) + R"(,"categories":["gateway-api"]},"versions":[)" + versions + "]}}";
}

}  // namespace estiba::apiserver
