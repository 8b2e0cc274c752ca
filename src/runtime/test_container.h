// For tests: containers of a bundle of the test's own.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "os/file.h"
#include "os/process.h"
#include "runtime/container.h"
#include "runtime/test_bundle.h"

namespace estiba::runtime {

struct Outcome {
  int code = -1;
  std::string output;  ///< of stdout and stderr
  std::string error;   ///< of create or start
  Code error_code = Code::internal;
};

class ContainerTest : public testing::Test {
 protected:
  TestBundle bundle;
  std::string root = bundle.dir + "/state";

  CreateOptions options(const std::string& id = "c") {
    CreateOptions out;
    out.root = root;
    out.id = id;
    out.bundle = bundle.dir;
    return out;
  }

  /// Creates, starts, waits and removes.
  Outcome run(const std::vector<std::string>& args, const std::vector<std::pair<std::string, std::string>>& changes = {}) {
    bundle.configure(args, changes);
    Outcome out;
    auto [read_end, write_end] = *os::make_pipe();
    CreateOptions create_options = options();
    create_options.attached = true;
    create_options.stdio[1] = create_options.stdio[2] = write_end.get();
    auto made = create(create_options);
    if (!made) {
      out.error = made.error().message;
      out.error_code = made.error().code;
      return out;
    }
    write_end.reset();
    auto started = made->process.start();
    if (started) started = after_start(made->state, made->spec);
    if (!started) {
      out.error = started.error().message;
      out.error_code = started.error().code;
    }
    out.output = os::read_all(read_end.get()).value_or("");
    out.code = os::wait_child(made->process.pid)->code;
    auto removed = remove(root, "c", true);
    EXPECT_TRUE(removed) << removed.error().message;
    return out;
  }
  std::string output_of(const std::string& script, const std::vector<std::pair<std::string, std::string>>& changes = {}) {
    Outcome out = run({"sh", "-c", script}, changes);
    EXPECT_EQ(out.error, "");
    return out.output;
  }
};

}  // namespace estiba::runtime
