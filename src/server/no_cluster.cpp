#include "server/no_cluster.h"

namespace estiba::server {

namespace {

using client::Resource;
using Object = Task<Result<model::ObjectRef>>;

std::unexpected<Error> none() { return fail(Code::not_found, "this machine belongs to no cluster"); }

class Silence final : public client::WatchStream {
 public:
  Task<Result<std::vector<client::WatchEvent>>> next() override {
    Event never;
    co_await never.wait();
    co_return fail(Code::cancelled, "the watch has ended");
  }
};

class NoCluster final : public client::Client {
 public:
  Object get(Resource, std::string, std::string) override { co_return none(); }
  Task<Result<client::List>> list(Resource, std::string, client::ListOptions) override {
    co_return client::List{.items = {}, .revision = 1};
  }
  Task<Result<std::unique_ptr<client::WatchStream>>> watch(Resource, std::string, int64_t, client::ListOptions) override {
    co_return std::make_unique<Silence>();
  }
  Object create(Resource, std::string, std::string, client::WriteOptions) override { co_return none(); }
  Object update(Resource, std::string, std::string, std::string, client::WriteOptions) override { co_return none(); }
  Object patch(Resource, std::string, std::string, client::PatchType, std::string, client::WriteOptions) override { co_return none(); }
  Task<Result<void>> remove(Resource, std::string, std::string, client::DeleteOptions) override { co_return none(); }
  Task<Result<std::string>> call(Resource, std::string, std::string, std::string, std::string) override { co_return none(); }
};

}  // namespace

std::unique_ptr<client::Client> make_no_cluster_client() { return std::make_unique<NoCluster>(); }

}  // namespace estiba::server
