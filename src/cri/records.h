// What the CRI server writes down about sandboxes and containers, beside what the engine does, so that the next server can go on:
//
//   <run-dir>/cri/sandboxes/<id>    SandboxRecord, as a protocol-buffer message
//   <run-dir>/cri/containers/<id>   ContainerRecord
//
// Like the engine's own state they are gone after a reboot.
#pragma once
#include <map>
#include <string>

#include "base/result.h"
#include "cri/messages/container.h"
#include "cri/messages/sandbox.h"

namespace estiba::cri {

struct SandboxRecord {
  std::string id;
  v1::PodSandboxConfig config;
  std::string runtime_handler;
  std::vector<std::string> ips;
  int64_t created_at = 0;
  static constexpr auto fields() {
    using M = SandboxRecord;
    return table(field(1, &M::id), field(2, &M::config), field(3, &M::runtime_handler), field(4, &M::ips), field(5, &M::created_at));
  }
  /// The user namespace that it has; null: the host's.
  const v1::UserNamespace* users() const {
    const auto& options = config.linux.security_context.namespace_options.userns_options;
    return options && options->mode == v1::NamespaceMode::pod ? &*options : nullptr;
  }
  bool host_network() const { return config.linux.security_context.namespace_options.network == v1::NamespaceMode::node; }
};

struct ContainerRecord {
  std::string id, sandbox_id;
  v1::ContainerConfig config;
  std::string image_id, image_ref;        ///< "sha256:…"; "docker.io/library/nginx@sha256:…" when it is known, else the id
  std::string image_name;                 ///< what people call it: a tag, else a digest, else as it was asked for
  v1::LinuxContainerResources resources;  ///< as last updated
  int64_t created_at = 0;
  static constexpr auto fields() {
    using M = ContainerRecord;
    return table(field(1, &M::id), field(2, &M::sandbox_id), field(3, &M::config), field(4, &M::image_id), field(5, &M::image_ref),
                 field(6, &M::resources), field(7, &M::created_at), field(8, &M::image_name));
  }
};

/// All records, in memory and on disk. Writing blocks for a moment: the files are small and on a tmpfs.
class Records {
 public:
  explicit Records(std::string run_dir) : dir_(std::move(run_dir) + "/cri") {}

  /// Reads what is there. What cannot be read is left out and deleted, with a line in the log.
  Result<void> load();
  Result<void> save(SandboxRecord record);
  Result<void> save(ContainerRecord record);
  void remove_sandbox(const std::string& id);
  void remove_container(const std::string& id);

  /// By id, or by a prefix of it that only one has. Null when unknown.
  const SandboxRecord* sandbox(std::string_view id) const;
  const ContainerRecord* container(std::string_view id) const;
  const std::map<std::string, SandboxRecord, std::less<>>& sandboxes() const { return sandboxes_; }
  const std::map<std::string, ContainerRecord, std::less<>>& containers() const { return containers_; }

 private:
  std::string dir_;
  std::map<std::string, SandboxRecord, std::less<>> sandboxes_;
  std::map<std::string, ContainerRecord, std::less<>> containers_;
};

}  // namespace estiba::cri
