#include "runtime/outside_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>

#include "os/credentials.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/namespace.h"

namespace estiba::runtime {

namespace {

// The user namespaces whose ids mounts get: the container's own if it is there already, else one made for the purpose.
class Users {
 public:
  explicit Users(const Spec& spec) : spec_(spec) {}

  Result<int> of(const SpecMount& mount) {
    const SpecLinux& all = spec_.linux_;
    const SpecNamespace* joined = spec_.find_namespace(CLONE_NEWUSER);
    if (joined && joined->path.empty()) joined = nullptr;
    const bool own = !mount.uid_mappings.empty();
    const bool same = !own || (mount.uid_mappings == all.uid_mappings && mount.gid_mappings == all.gid_mappings);
    if (joined && same) {
      if (!joined_) joined_ = TRY(os::open_namespace(joined->path, CLONE_NEWUSER));
      return joined_.get();
    }
    const os::IdMappings& uids = own ? mount.uid_mappings : all.uid_mappings;
    const os::IdMappings& gids = own ? mount.gid_mappings : all.gid_mappings;
    if (uids.empty() || gids.empty())
      return fail(Code::invalid, "idmap needs uidMappings and gidMappings of the mount, or a user namespace of the container");
    for (const Made& made : made_)
      if (made.uids == uids && made.gids == gids) return made.fd.get();
    made_.push_back({uids, gids, TRY(os::new_user_namespace(uids, gids))});
    return made_.back().fd.get();
  }

 private:
  struct Made {
    os::IdMappings uids, gids;
    os::Fd fd;
  };
  const Spec& spec_;
  os::Fd joined_;
  std::vector<Made> made_;
};

bool may_mount() {
  auto own = os::current_capabilities();
  auto admin = os::capability_by_name("CAP_SYS_ADMIN");
  return own && admin && (own->effective & (1ULL << *admin));
}

Result<os::Fd> prepare_root(const Spec& spec, const std::string& bundle) {
  const std::string path = root_path_of(spec, bundle);
  os::Fd tree = TRY(os::open_tree(AT_FDCWD, path, true, true));
  // A root that is shared with the host could not become one; whether the container shares it with its own is set at the end.
  const unsigned long wanted = propagation_by_name(spec.linux_.rootfs_propagation) & ~static_cast<unsigned long>(MS_REC);
  TRY(os::set_mount_attributes(tree.get(), 0, 0, wanted == MS_PRIVATE || wanted == MS_UNBINDABLE ? MS_PRIVATE : MS_SLAVE, true));
  return tree;
}

}  // namespace

std::string root_path_of(const Spec& spec, const std::string& bundle) {
  return spec.root_path.starts_with('/') ? spec.root_path : bundle + "/" + spec.root_path;
}

std::string bind_source_of(const SpecMount& mount, const std::string& bundle) {
  return mount.source.starts_with('/') ? mount.source : bundle + "/" + mount.source;
}

Result<void> set_bind_options(int mount, const MountOptions& options) {
  if (options.attributes || options.cleared) {
    TRY(os::set_mount_attributes(mount, options.attributes, options.cleared, 0, false));
  }
  if (options.tree_attributes || options.tree_cleared) {
    TRY(os::set_mount_attributes(mount, options.tree_attributes, options.tree_cleared, 0, true));
  }
  for (unsigned long kind : options.propagation) {
    TRY(os::set_mount_attributes(mount, 0, 0, kind & ~static_cast<unsigned long>(MS_REC), (kind & MS_REC) != 0));
  }
  return {};
}

Result<os::Fd> bind_tree(const SpecMount& mount, const MountOptions& options, const std::string& bundle, int user, bool cut_off) {
  const std::string source = bind_source_of(mount, bundle);
  os::Fd tree = TRY(os::open_tree(AT_FDCWD, source, true, options.recursive));
  if (user >= 0) TRY_AS(source, os::map_mount_ids(tree.get(), user, options.idmap_recursive));
  if (cut_off) TRY(os::set_mount_attributes(tree.get(), 0, 0, MS_SLAVE, true));
  TRY(set_bind_options(tree.get(), options));
  return tree;
}

Result<OutsideMounts> prepare_outside(const Spec& spec, const std::string& bundle) {
  OutsideMounts out;
  const bool whole = spec.has_user_namespace();
  auto mapped = [](const SpecMount& mount) {
    return !mount.uid_mappings.empty() || std::any_of(mount.options.begin(), mount.options.end(),
                                                      [](const std::string& option) { return option == "idmap" || option == "ridmap"; });
  };
  const bool any = std::any_of(spec.mounts.begin(), spec.mounts.end(), mapped);
  if (!whole && !any) return out;
  if (!may_mount()) {
    if (!any) return out;
    return fail(Code::forbidden, "mounts: id-mapped mounts need CAP_SYS_ADMIN");
  }
  if (!os::has_mount_api()) {
    if (!any) return out;
    return fail(Code::unsupported,
                "mounts: id-mapped mounts need Linux 5.12; without them leave out uidMappings, gidMappings and \"idmap\"");
  }
  // What the mounts of the container's process pass on, those that are made here would pass on to the host itself.
  const bool cut_off = whole || !(propagation_by_name(spec.linux_.rootfs_propagation) & MS_SHARED);
  if (whole) out.root = TRY_AS("root.path", prepare_root(spec, bundle));
  out.binds.resize(spec.mounts.size());
  Users users(spec);
  for (size_t i = 0; i < spec.mounts.size(); i++) {
    const SpecMount& mount = spec.mounts[i];
    if (!whole && !mapped(mount)) continue;
    const MountOptions options = TRY_AS("mount " + mount.destination, parse_mount_options(mount));
    if (!options.bind || mount.type == "cgroup" || mount.type == "cgroup2") continue;
    const int user = options.idmap ? TRY_AS("mount " + mount.destination, users.of(mount)) : -1;
    out.binds[i] = TRY_AS("mount " + mount.destination, bind_tree(mount, options, bundle, user, cut_off));
  }
  return out;
}

}  // namespace estiba::runtime
