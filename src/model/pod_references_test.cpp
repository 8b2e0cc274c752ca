#include "model/pod_references.h"

#include <gtest/gtest.h>

namespace estiba::model {
namespace {

std::string reference(std::string spec) {
  for (char& c : spec)
    if (c == '\'') c = '"';
  auto parsed = json::Document::parse(spec);
  EXPECT_TRUE(parsed) << spec;
  return parsed ? api_reference(parsed->root()) : "no JSON";
}

TEST(PodReferences, APodThatStandsForItselfHasNone) {
  EXPECT_EQ(reference("{'containers':[{'name':'c','env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}}]}],"
                      "'volumes':[{'name':'a','emptyDir':{}},{'name':'b','hostPath':{'path':'/'}},{'name':'c','image':{'reference':'x'}},"
                      "{'name':'d','projected':{'sources':[{'downwardAPI':{'items':[]}}]}}],'imagePullSecrets':[{}]}"),
            "");
}

TEST(PodReferences, TheFirstKindIsNamedAsKubernetesWordsIt) {
  EXPECT_EQ(reference("{'serviceAccountName':'default'}"), "serviceaccounts");
  EXPECT_EQ(reference("{'imagePullSecrets':[{'name':'s'}]}"), "secrets");
  EXPECT_EQ(reference("{'initContainers':[{'env':[{'valueFrom':{'secretKeyRef':{'name':'s'}}}]}]}"), "secrets");
  EXPECT_EQ(reference("{'containers':[{'envFrom':[{'secretRef':{'name':'s'}}]}]}"), "secrets");
  EXPECT_EQ(reference("{'volumes':[{'secret':{'secretName':'s'}}]}"), "secrets");
  EXPECT_EQ(reference("{'volumes':[{'projected':{'sources':[{'configMap':{}},{'secret':{}}]}}]}"), "secrets");
  EXPECT_EQ(reference("{'volumes':[{'csi':{'driver':'d','nodePublishSecretRef':{'name':'s'}}}]}"), "secrets");
  EXPECT_EQ(reference("{'volumes':[{'configMap':{'name':'m'}}]}"), "configmaps");
  EXPECT_EQ(reference("{'containers':[{'envFrom':[{'configMapRef':{'name':'m'}}]}]}"), "configmaps");
  EXPECT_EQ(reference("{'resourceClaims':[{'name':'c'}]}"), "resourceclaims");
  EXPECT_EQ(reference("{'volumes':[{'csi':{'driver':'d'}}]}"), "csidrivers (via CSI volumes)");
  EXPECT_EQ(reference("{'volumes':[{'persistentVolumeClaim':{'claimName':'c'}}]}"), "persistentvolumeclaims");
  EXPECT_EQ(reference("{'volumes':[{'ephemeral':{}}]}"), "persistentvolumeclaims (via ephemeral volumes)");
  EXPECT_EQ(reference("{'volumes':[{'projected':{'sources':[{'serviceAccountToken':{}}]}}]}"), "serviceaccounts (via projected volumes)");
}

}  // namespace
}  // namespace estiba::model
