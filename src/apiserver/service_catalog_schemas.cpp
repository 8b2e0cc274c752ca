#include "apiserver/service_catalog_schemas.h"

#include "apiserver/schema_version.h"
#include "model/json.h"
#include "model/yaml.h"

namespace estiba::apiserver {

// Types that several kinds share are anchors under "shared", which is left out of the definition.
static constexpr std::string_view shared = R"yaml(
shared:
  - &text {type: string}
  - &number {type: integer, format: int64}
  - &flag {type: boolean}
  - &time {type: string, format: date-time}
  - &texts {type: array, items: {type: string}}
  - &free {type: object, x-kubernetes-preserve-unknown-fields: true}
  - &local {type: object, properties: {name: {type: string}}}
  - &anywhere {type: object, properties: {namespace: {type: string}, name: {type: string}}}
  - &conditions
    type: array
    items:
      type: object
      required: [type, status]
      properties: {type: *text, status: {type: string, enum: ['True', 'False', Unknown]}, lastTransitionTime: *time, reason: *text, message: *text}
  - &user
    type: object
    properties: {username: *text, uid: *text, groups: *texts, extra: {type: object, additionalProperties: *texts}}
  - &parametersFrom
    type: array
    items:
      type: object
      properties: {secretKeyRef: {type: object, required: [name, key], properties: {name: *text, key: *text}}}
  - &maintenance {type: object, properties: {version: *text, description: *text}}
  - &url {type: string, minLength: 1, maxLength: 2048, pattern: '^https?://[^/]'}
  - &caBundle {type: string, format: byte}
  - &relistBehavior {type: string, enum: [Duration, Manual], default: Duration}
  - &relistDuration {type: string, pattern: '^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$'}
  - &relistRequests {type: integer, format: int64, minimum: 0, default: 0}
  - &restrictions {type: object, properties: {serviceClass: *texts, servicePlan: *texts}}
  - &brokerStatus
    type: object
    properties: {conditions: *conditions, reconciledGeneration: *number, operationStartTime: *time, lastCatalogRetrievalTime: *time, lastConditionState: *text}
  - &entryStatus {type: object, properties: {removedFromBrokerCatalog: *flag}}
)yaml";

static constexpr std::string_view cluster_broker_schema = R"yaml(
spec:
  type: object
  required: [url]
  properties:
    url: *url
    insecureSkipTLSVerify: *flag
    caBundle: *caBundle
    relistBehavior: *relistBehavior
    relistDuration: *relistDuration
    relistRequests: *relistRequests
    catalogRestrictions: *restrictions
    authInfo: {type: object, properties: {basic: {type: object, properties: {secretRef: *anywhere}}, bearer: {type: object, properties: {secretRef: *anywhere}}}}
status: *brokerStatus
)yaml";

static constexpr std::string_view broker_schema = R"yaml(
spec:
  type: object
  required: [url]
  properties:
    url: *url
    insecureSkipTLSVerify: *flag
    caBundle: *caBundle
    relistBehavior: *relistBehavior
    relistDuration: *relistDuration
    relistRequests: *relistRequests
    catalogRestrictions: *restrictions
    authInfo: {type: object, properties: {basic: {type: object, properties: {secretRef: *local}}, bearer: {type: object, properties: {secretRef: *local}}}}
status: *brokerStatus
)yaml";

static constexpr std::string_view class_schema = R"yaml(
spec:
  type: object
  properties:
    clusterServiceBrokerName: *text
    serviceBrokerName: *text
    externalName: *text
    externalID: *text
    description: *text
    bindable: *flag
    bindingRetrievable: *flag
    planUpdatable: *flag
    externalMetadata: *free
    tags: *texts
    requires: *texts
    defaultProvisionParameters: *free
    instancesRetrievable: *flag
status: *entryStatus
)yaml";

static constexpr std::string_view plan_schema = R"yaml(
spec:
  type: object
  properties:
    clusterServiceBrokerName: *text
    serviceBrokerName: *text
    clusterServiceClassRef: *local
    serviceClassRef: *local
    externalName: *text
    externalID: *text
    description: *text
    bindable: *flag
    free: *flag
    planUpdatable: *flag
    externalMetadata: *free
    instanceCreateParameterSchema: *free
    instanceUpdateParameterSchema: *free
    serviceBindingCreateParameterSchema: *free
    defaultProvisionParameters: *free
    maintenanceInfo: *maintenance
    maximumPollingDuration: *number
status: *entryStatus
)yaml";

static constexpr std::string_view instance_schema = R"yaml(
shared:
  - &properties
    type: object
    properties:
      clusterServicePlanExternalName: *text
      clusterServicePlanExternalID: *text
      servicePlanExternalName: *text
      servicePlanExternalID: *text
      parameters: *free
      parameterChecksum: *text
      userInfo: *user
      maintenanceInfo: *maintenance
spec:
  type: object
  properties:
    clusterServiceClassExternalName: *text
    clusterServicePlanExternalName: *text
    clusterServiceClassExternalID: *text
    clusterServicePlanExternalID: *text
    clusterServiceClassName: *text
    clusterServicePlanName: *text
    serviceClassExternalName: *text
    servicePlanExternalName: *text
    serviceClassExternalID: *text
    servicePlanExternalID: *text
    serviceClassName: *text
    servicePlanName: *text
    clusterServiceClassRef: *local
    clusterServicePlanRef: *local
    serviceClassRef: *local
    servicePlanRef: *local
    parameters: *free
    parametersFrom: *parametersFrom
    externalID: *text
    userInfo: *user
    updateRequests: {type: integer, format: int64, minimum: 0}
status:
  type: object
  properties:
    conditions: *conditions
    asyncOpInProgress: *flag
    orphanMitigationInProgress: *flag
    lastOperation: *text
    dashboardURL: *text
    currentOperation: {type: string, enum: ['', Provision, Update, Deprovision]}
    reconciledGeneration: *number
    observedGeneration: *number
    operationStartTime: *time
    inProgressProperties: *properties
    externalProperties: *properties
    provisionStatus: {type: string, enum: ['', Provisioned, NotProvisioned]}
    deprovisionStatus: {type: string, enum: ['', NotRequired, Required, Succeeded, Failed]}
    defaultProvisionParameters: *free
    lastConditionState: *text
    userSpecifiedPlanName: *text
    userSpecifiedClassName: *text
)yaml";

static constexpr std::string_view binding_schema = R"yaml(
shared:
  - &properties {type: object, properties: {parameters: *free, parameterChecksum: *text, userInfo: *user}}
spec:
  type: object
  required: [instanceRef]
  properties:
    instanceRef: {type: object, required: [name], properties: {name: {type: string, minLength: 1}}}
    parameters: *free
    parametersFrom: *parametersFrom
    secretName: *text
    secretTransforms:
      type: array
      items:
        type: object
        minProperties: 1
        maxProperties: 1
        properties:
          renameKey: {type: object, required: [from, to], properties: {from: *text, to: *text}}
          addKey: {type: object, required: [key], properties: {key: *text, value: {type: string, format: byte}, stringValue: *text, jsonPathExpression: *text}}
          addKeysFrom: {type: object, required: [secretRef], properties: {secretRef: *anywhere}}
          removeKey: {type: object, required: [key], properties: {key: *text}}
    externalID: *text
    userInfo: *user
status:
  type: object
  properties:
    conditions: *conditions
    asyncOpInProgress: *flag
    lastOperation: *text
    currentOperation: {type: string, enum: ['', Bind, UnBind]}
    reconciledGeneration: *number
    operationStartTime: *time
    inProgressProperties: *properties
    externalProperties: *properties
    orphanMitigationInProgress: *flag
    unbindStatus: {type: string, enum: ['', NotRequired, Required, Succeeded, Failed]}
    lastConditionState: *text
)yaml";

std::span<const ServiceCatalogKind> service_catalog_kinds() {
  // Column, type (text unless it is a date), path.
  static constexpr std::string_view broker_columns =
      R"([{name: URL, type: string, jsonPath: .spec.url}, {name: Status, type: string, jsonPath: .status.lastConditionState}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])";
  static constexpr ServiceCatalogKind kinds[] = {
      {"ClusterServiceBroker", "clusterservicebrokers", "clusterservicebroker", false, broker_columns, cluster_broker_schema},
      {"ServiceBroker", "servicebrokers", "servicebroker", true, broker_columns, broker_schema},
      {"ClusterServiceClass", "clusterserviceclasses", "clusterserviceclass", false,
       R"([{name: External-Name, type: string, jsonPath: .spec.externalName}, {name: Broker, type: string, jsonPath: .spec.clusterServiceBrokerName}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       class_schema},
      {"ServiceClass", "serviceclasses", "serviceclass", true,
       R"([{name: External-Name, type: string, jsonPath: .spec.externalName}, {name: Broker, type: string, jsonPath: .spec.serviceBrokerName}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       class_schema},
      {"ClusterServicePlan", "clusterserviceplans", "clusterserviceplan", false,
       R"([{name: External-Name, type: string, jsonPath: .spec.externalName}, {name: Broker, type: string, jsonPath: .spec.clusterServiceBrokerName}, {name: Class, type: string, jsonPath: .spec.clusterServiceClassRef.name}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       plan_schema},
      {"ServicePlan", "serviceplans", "serviceplan", true,
       R"([{name: External-Name, type: string, jsonPath: .spec.externalName}, {name: Broker, type: string, jsonPath: .spec.serviceBrokerName}, {name: Class, type: string, jsonPath: .spec.serviceClassRef.name}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       plan_schema},
      {"ServiceInstance", "serviceinstances", "serviceinstance", true,
       R"([{name: Class, type: string, jsonPath: .status.userSpecifiedClassName}, {name: Plan, type: string, jsonPath: .status.userSpecifiedPlanName}, {name: Status, type: string, jsonPath: .status.lastConditionState}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       instance_schema},
      {"ServiceBinding", "servicebindings", "servicebinding", true,
       R"([{name: Service-Instance, type: string, jsonPath: .spec.instanceRef.name}, {name: Secret-Name, type: string, jsonPath: .spec.secretName}, {name: Status, type: string, jsonPath: .status.lastConditionState}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}])",
       binding_schema}};
  return kinds;
}

std::string schema_version(const ServiceCatalogKind& kind) { return version_of({shared, kind.columns, kind.schema}); }

Result<std::string> definition_of(const ServiceCatalogKind& kind) {
  // A second "shared" of a kind stands beside the first.
  constexpr std::string_view again = "\nshared:\n";
  std::string text(shared);
  text += kind.schema.starts_with(again) ? kind.schema.substr(again.size()) : kind.schema.substr(1);
  const json::Document schema = TRY_AS("schema of " + std::string(kind.kind), model::parse_yaml(text));
  const json::Document columns = TRY_AS("columns of " + std::string(kind.kind), model::parse_yaml(kind.columns));
  const std::string group(service_catalog_group), name(kind.kind);
  return R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":")" + std::string(kind.plural) +
         "." + group +
         R"(","labels":{"svcat":"true"},"annotations":{"api-approved.kubernetes.io":"https://github.com/kubernetes-retired/service-catalog","estiba.dev/schema":")" +
         schema_version(kind) + R"("}},"spec":{"group":")" + group + R"(","scope":")" + (kind.namespaced ? "Namespaced" : "Cluster") +
         R"(","names":{"kind":")" + name + R"(","listKind":")" + name + R"(List","plural":")" + std::string(kind.plural) +
         R"(","singular":")" + std::string(kind.singular) +
         R"(","categories":["all","svcat"]},"versions":[{"name":"v1beta1","served":true,"storage":true,"subresources":{"status":{}},"additionalPrinterColumns":)" +
         json::print(columns.root()) +
         R"(,"schema":{"openAPIV3Schema":{"type":"object","properties":{"apiVersion":{"type":"string"},"kind":{"type":"string"},"metadata":{"type":"object"},"spec":)" +
         json::print(*schema.root().find("spec")) + R"(,"status":)" + json::print(*schema.root().find("status")) + "}}}}]}}";
}

}  // namespace estiba::apiserver
