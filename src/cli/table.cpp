#include "cli/verbs.h"

namespace estiba::cli {

static constexpr Verb table[] = {
    {"image export", "write images to an archive", image_export},
    {"image import", "take in an image archive or a root file system", image_import},
    {"image list", "list the images that are here", image_list},
    {"image pull", "fetch images from a registry", image_pull},
    {"image remove", "remove images", image_remove},
    {"kubeconfig", "print or merge the kubeconfig of a server on this machine", kubeconfig},
    {"registry", "serve images to docker, podman, skopeo and other machines", registry},
    {"simulate", "run nodes without machines against a server, to measure or to plan", simulate},
    {"token create", "make a token by which machines join the cluster of a server on this machine", token_create},
    {"token delete", "make tokens of no use", token_delete},
    {"token list", "list the tokens by which machines may join", token_list},
};

std::span<const Verb> verbs() { return table; }

}  // namespace estiba::cli
