// What a shim has left on disk, for a server that finds it dead.
#include <sys/mount.h>
#include <sys/socket.h>

#include "model/json.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "runtime/decode.h"
#include "runtime/shim_client.h"
#include "runtime/shim_wire.h"

namespace estiba::runtime {

namespace {

struct Record {
  ContainerInfo info;
  std::string cgroup;
};

Result<std::vector<Record>> read_records(const std::string& dir) {
  std::vector<Record> out;
  std::string containers = dir + "/containers";
  if (!os::exists(containers)) return out;
  for (const os::DirEntry& entry : TRY(os::list_dir(containers))) {
    if (!entry.name.ends_with(".json")) continue;
    std::string file = containers + "/" + entry.name;
    json::Document document = TRY(within(file, json::Document::parse(TRY(os::read_file(file)))));
    Record record{TRY(within(file, wire::get_container(document.root()))), {}};
    TRY(within(file, read(document.root(), "cgroup", "", record.cgroup)));
    out.push_back(std::move(record));
  }
  std::sort(out.begin(), out.end(), [](const Record& a, const Record& b) { return a.info.id < b.info.id; });
  return out;
}

Result<void> remove_group(const std::string& path) {
  if (path.empty()) return {};
  os::Cgroup group = TRY(os::Cgroup::at(path));
  if (!group.exists()) return {};
  TRY(group.kill_all());
  return group.remove();
}

}  // namespace

Result<std::vector<ContainerInfo>> read_pod_state(const std::string& dir) {
  std::vector<ContainerInfo> out;
  for (Record& record : TRY(read_records(dir))) out.push_back(std::move(record.info));
  return out;
}

Result<std::vector<ContainerInfo>> cleanup_pod(const std::string& dir) {
  if (os::connect_unix(dir + "/shim.sock", SOCK_STREAM)) return fail(Code::conflict, "the shim of " + dir + " is alive; shut it down instead");
  std::vector<ContainerInfo> out;
  for (Record& record : TRY(read_records(dir))) {
    TRY(remove_group(record.cgroup));
    if (record.info.status != ContainerStatus::stopped) {
      // It ended with its shim (PR_SET_PDEATHSIG), or just now; when exactly nobody saw.
      record.info.status = ContainerStatus::stopped;
      record.info.exit_code = 137;
      record.info.signal = 9;
      record.info.finished_at = wire::wall_now();
    }
    out.push_back(std::move(record.info));
  }
  if (auto text = os::read_file(dir + "/shim.json")) {
    json::Document document = TRY(within(dir + "/shim.json", json::Document::parse(*text)));
    TRY(remove_group(std::string(document.root().string_at("cgroup"))));
  }
  TRY(os::remove_all(dir));
  return out;
}

}  // namespace estiba::runtime
