// cgroup v2 has no device files; a BPF program attached to the group decides on every open and mknod
// (include/uapi/linux/bpf.h: struct bpf_cgroup_dev_ctx; bpf(2)).
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/cgroup_impl.h"
#include "os/file.h"
#include "os/syscall.h"

namespace estiba::os::cgroup_detail {

namespace {

// Registers: r2 device type, r3 access asked for, r4 major, r5 minor, r1 scratch.
class Program {
 public:
  Program() {
    load(BPF_REG_2, 0);
    add(BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
    load(BPF_REG_3, 0);
    add(BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
    load(BPF_REG_4, 4);
    load(BPF_REG_5, 8);
  }

  // What the rule covers is decided; anything else goes on to the next one.
  void rule(const DeviceRule& rule) {
    size_t begin = code_.size();
    std::vector<size_t> misses;
    if (rule.type != 'a') {
      misses.push_back(jump_if_not(BPF_REG_2, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
      int32_t access = access_bits(rule.access);
      if (access != (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)) {
        add(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
        add(BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, access);
        // An allowance must cover all that is asked for; a denial denies if it covers any of it.
        misses.push_back(code_.size());
        if (rule.allow) add(BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
        else add(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
      }
      if (rule.major && *rule.major >= 0) misses.push_back(jump_if_not(BPF_REG_4, int32_t(*rule.major)));
      if (rule.minor && *rule.minor >= 0) misses.push_back(jump_if_not(BPF_REG_5, int32_t(*rule.minor)));
    }
    finish(rule.allow);
    for (size_t at : misses) code_[at].off = short(code_.size() - at - 1);
    (void)begin;
  }

  void finish(bool allow) {
    add(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow ? 1 : 0);
    add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  const std::vector<bpf_insn>& code() const { return code_; }

 private:
  static int32_t access_bits(std::string_view access) {
    int32_t bits = 0;
    for (char c : access) bits |= c == 'r' ? BPF_DEVCG_ACC_READ : c == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
    return bits;
  }
  void load(int reg, short offset) { add(BPF_LDX | BPF_MEM | BPF_W, reg, BPF_REG_1, offset, 0); }
  size_t jump_if_not(int reg, int32_t value) {
    add(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value);
    return code_.size() - 1;
  }
  void add(int op, int dst, int src, short off, int32_t imm) {
    bpf_insn insn{};
    insn.code = uint8_t(op);
    insn.dst_reg = uint8_t(dst) & 15;
    insn.src_reg = uint8_t(src) & 15;
    insn.off = off;
    insn.imm = imm;
    code_.push_back(insn);
  }
  std::vector<bpf_insn> code_;
};

Result<Fd> load_program(const std::vector<bpf_insn>& code) {
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = uint64_t(uintptr_t(code.data()));
  attr.insn_cnt = uint32_t(code.size());
  attr.license = uint64_t(uintptr_t("Apache-2.0"));
  int fd = int(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr));
  if (fd < 0) return fail_errno("bpf BPF_PROG_LOAD of the device rules");
  return Fd(fd);
}

// The ids of the device programs attached to the group.
std::vector<uint32_t> attached(int group) {
  std::vector<uint32_t> ids(64);
  bpf_attr attr{};
  attr.query.target_fd = uint32_t(group);
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  attr.query.prog_ids = uint64_t(uintptr_t(ids.data()));
  attr.query.prog_cnt = uint32_t(ids.size());
  if (syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof attr) < 0) return {};
  ids.resize(attr.query.prog_cnt);
  return ids;
}

void detach(int group, uint32_t id) {
  bpf_attr attr{};
  attr.prog_id = id;
  Fd program(int(syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof attr)));
  if (!program) return;
  bpf_attr off{};
  off.target_fd = uint32_t(group);
  off.attach_bpf_fd = uint32_t(program.get());
  off.attach_type = BPF_CGROUP_DEVICE;
  syscall(SYS_bpf, BPF_PROG_DETACH, &off, sizeof off);
}

}  // namespace

Result<void> v2_set_devices(const std::string& dir, const std::vector<DeviceRule>& rules) {
  Program code;
  // In the config the last match counts, and the program decides at the first: so backwards, ending at a rule for all.
  bool decided = false;
  for (size_t i = rules.size(); i-- > 0 && !decided;) {
    code.rule(rules[i]);
    decided = rules[i].type == 'a';
  }
  if (!decided) code.finish(false);
  Fd program = TRY(load_program(code.code()));
  Fd group = TRY(open_file(dir, O_RDONLY | O_DIRECTORY));
  auto before = attached(group.get());
  bpf_attr attr{};
  attr.target_fd = uint32_t(group.get());
  attr.attach_bpf_fd = uint32_t(program.get());
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof attr) < 0) return fail_call("bpf BPF_PROG_ATTACH to", dir);
  // The new one is there before the old ones go: at no moment is everything allowed.
  for (uint32_t id : before) detach(group.get(), id);
  return {};
}

}  // namespace estiba::os::cgroup_detail
