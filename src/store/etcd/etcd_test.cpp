#include "store/etcd/etcd.h"

#include <future>

#include "io/loop.h"
#include "io/thread.h"
#include "store/etcd/client.h"
#include "store/etcd/restore.h"
#include "store/testing/etcd_process.h"
#include "store/testing/store_suite.h"

namespace estiba::store {
namespace {

// One etcd for all tests of the suite; each has a prefix of its own.
EtcdProcess& shared_etcd() {
  static EtcdProcess process;
  return process;
}

EtcdOptions options_for(const EtcdProcess& process, std::string prefix = "/estiba") {
  EtcdOptions options;
  options.endpoints = {process.url()};
  options.ca_pem = process.ca_pem();
  options.certificate_pem = process.client().certificate_pem;
  options.key_pem = process.client().key_pem;
  options.prefix = std::move(prefix);
  return options;
}

class EtcdFactory : public StoreFactory {
 public:
  std::unique_ptr<Store> open(size_t history) override {
    static int number = 0;
    EtcdOptions options = options_for(shared_etcd(), "/test" + std::to_string(number++));
    options.history = {.events = history, .bytes = 64 << 20, .least_age = Duration(0)};
    auto store = open_etcd(std::move(options));
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  size_t surely_forgotten(size_t history) override { return 3 * history; }
};

std::unique_ptr<StoreFactory> etcd_factory() { return std::make_unique<EtcdFactory>(); }

INSTANTIATE_TEST_SUITE_P(Etcd, StoreSuite, testing::Values(etcd_factory));

Result<WriteResult> write(Store& store, Write write) {
  std::promise<void> answered;
  std::optional<Result<WriteResult>> result;
  store.write(std::move(write), [&](Result<WriteResult> r) {
    result.emplace(std::move(r));
    answered.set_value();
  });
  answered.get_future().wait();
  return std::move(*result);
}
Result<WriteResult> put(Store& store, std::string key, std::string value, Revision expect = Write::any) {
  return write(store, {Write::Kind::put, std::move(key), std::move(value), expect, nullptr});
}
Result<WriteResult> remove(Store& store, std::string key) {
  return write(store, {Write::Kind::remove, std::move(key), {}, Write::any, nullptr});
}

Result<void> refresh(Freshness& store) {
  io::Loop loop;
  return loop.block_on(store.refresh());
}

/// Calls to etcd as another program would make them.
class Foreign {
 public:
  explicit Foreign(const EtcdProcess& process) {
    auto tls = io::make_tls_client({.ca_pem = process.ca_pem(),
                                    .certificate_pem = process.client().certificate_pem,
                                    .key_pem = process.client().key_pem,
                                    .alpn = {"h2"}});
    client_ = std::move(*etcd::EtcdClient::make({.endpoints = {process.url()}, .tls = tls ? *tls : nullptr}));
  }
  ~Foreign() { loop_.block_on(close(&client_)); }
  Revision puts(const std::vector<etcd::Put>& puts) { return revision(loop_.block_on(client_->txn(etcd::encode_puts(puts)))); }
  Revision compact(Revision at) { return revision(loop_.block_on(client_->compact(etcd::encode_compaction(at)))); }

 private:
  static Task<void> close(std::unique_ptr<etcd::EtcdClient>* client) {
    client->reset();
    co_return;
  }
  static Revision revision(Result<std::string> bytes) {
    EXPECT_TRUE(bytes) << bytes.error().message;
    return bytes ? *etcd::decode_revision(*bytes) : 0;
  }
  io::Loop loop_;
  std::unique_ptr<etcd::EtcdClient> client_;
};

std::unique_ptr<EtcdStore> must_open(EtcdOptions options) {
  auto store = open_etcd(std::move(options));
  EXPECT_TRUE(store) << store.error().message;
  return store ? std::move(*store) : nullptr;
}

TEST(Etcd, TwoStoresSeeEachOthersWritesAfterARefresh) {
  auto a = must_open(options_for(shared_etcd(), "/two")), b = must_open(options_for(shared_etcd(), "/two"));
  ASSERT_TRUE(a && b);
  for (int i = 0; i < 50; ++i) {
    auto written = put(*a, "/k", std::to_string(i));
    ASSERT_TRUE(written);
    ASSERT_TRUE(refresh(*b));
    auto read = b->get("/k");
    ASSERT_TRUE(read);
    EXPECT_EQ((*read)->value, std::to_string(i));
    EXPECT_EQ((*read)->mod_revision, written->revision);
  }
  // A stale comparison is refused, and after that the newest version is there to be read.
  auto mine = *b->get("/k");
  ASSERT_TRUE(put(*a, "/k", "newer"));
  EXPECT_EQ(put(*b, "/k", "older", mine->mod_revision).error().code, Code::conflict);
  EXPECT_EQ((*b->get("/k"))->value, "newer");
}

TEST(Etcd, RevisionsOfOtherProgramsAreWaitedForToo) {
  auto store = must_open(options_for(shared_etcd(), "/mine"));
  Foreign other(shared_etcd());
  Revision at = other.puts({{"/others/1", "x"}});
  ASSERT_TRUE(refresh(*store));
  EXPECT_GE(store->revision(), at);
  EXPECT_EQ(store->count(""), 0u) << "notes of its own and others' keys are not shown";
  // Several keys at one revision, as only others write them.
  auto watch = *store->watch("/", store->revision());
  at = other.puts({{"/mine/a", "1"}, {"/mine/b", "2"}, {"/others/2", "x"}, {"/minemine/c", "3"}});
  ASSERT_TRUE(refresh(*store));
  std::vector<Event> events;
  ASSERT_TRUE(watch->poll(events, 1));
  ASSERT_TRUE(watch->poll(events, 10));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].entry->key, "/a");
  EXPECT_EQ(events[1].entry->key, "/b");
  EXPECT_EQ(events[1].revision, at);
}

TEST(Etcd, AWatchGoesOnOverARestartWithoutLosingOrDoublingAnEvent) {
  EtcdProcess process;
  auto store = must_open(options_for(process));
  ASSERT_TRUE(store);
  auto watch = *store->watch("/", store->revision());
  std::vector<Revision> acknowledged;
  size_t failed = 0;
  std::atomic<bool> stop{false};
  std::thread killer([&] {
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      process.kill();
      process.start();
      std::this_thread::sleep_for(std::chrono::milliseconds(700));
    }
    stop = true;
  });
  for (int i = 0; !stop; ++i) {
    auto result = put(*store, "/k/" + std::to_string(i % 10), std::to_string(i));
    if (result) acknowledged.push_back(result->revision);
    else ++failed;
  }
  killer.join();
  ASSERT_TRUE(refresh(*store));
  std::vector<Event> events;
  ASSERT_TRUE(watch->poll(events, 1 << 20));
  std::vector<Revision> seen;
  for (const Event& event : events) seen.push_back(event.revision);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end()) << "an event came twice";
  for (Revision revision : acknowledged) EXPECT_TRUE(std::binary_search(seen.begin(), seen.end(), revision)) << revision;
  EXPECT_GT(acknowledged.size(), 20u) << failed << " failed";
  // What is written but was not acknowledged may be there; the copy is etcd's state.
  auto fresh = must_open(options_for(process));
  auto mine = *store->list(""), theirs = *fresh->list("");
  ASSERT_EQ(mine.entries.size(), theirs.entries.size());
  for (size_t i = 0; i < mine.entries.size(); ++i) {
    EXPECT_EQ(mine.entries[i]->mod_revision, theirs.entries[i]->mod_revision);
    EXPECT_EQ(mine.entries[i]->value.view(), theirs.entries[i]->value.view());
  }
}

TEST(Etcd, EventsThatWereCompactedAwayMakeWatchesGoneAndTheCopyNew) {
  EtcdProcess process;
  EtcdOptions options = options_for(process);
  options.reconnect_delay = std::chrono::milliseconds(1500);
  auto store = must_open(options);
  ASSERT_TRUE(put(*store, "/a", "1"));
  ASSERT_TRUE(put(*store, "/b", "1"));
  auto watch = *store->watch("/", store->revision());
  std::promise<void> rung;
  watch->arm([&] { rung.set_value(); });
  process.kill();
  process.start();
  {
    Foreign other(process);
    other.puts({{"/estiba/a", "2"}});
    other.puts({{"/estiba/c", "2"}});
    other.compact(other.puts({{"/estiba/d", "2"}}));
  }
  ASSERT_EQ(rung.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  std::vector<Event> events;
  auto polled = watch->poll(events, 10);
  ASSERT_FALSE(polled);
  EXPECT_EQ(polled.error().code, Code::gone);
  EXPECT_EQ((*store->get("/a"))->value, "2");
  EXPECT_EQ(store->count("/"), 4u);
  EXPECT_TRUE(put(*store, "/e", "3"));
}

TEST(Etcd, SpeaksTlsWithClientCertificates) {
  EtcdProcess process({}, true);
  auto store = must_open(options_for(process));
  ASSERT_TRUE(store);
  EXPECT_TRUE(put(*store, "/k", "v", 0));
  EtcdOptions options = options_for(process);
  options.start_patience = std::chrono::seconds(1);
  EtcdOptions anonymous = options, stranger = options;
  anonymous.certificate_pem.clear();
  anonymous.key_pem.clear();
  auto refused = open_etcd(anonymous);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--etcd-certfile"), std::string::npos) << refused.error().message;
  WallTime now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  stranger.ca_pem = io::make_ca("another", now)->certificate_pem;
  refused = open_etcd(stranger);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--etcd-cafile"), std::string::npos) << refused.error().message;
}

TEST(Etcd, AUserWithARoleOnThePrefixIsEnough) {
  EtcdProcess process({}, true);
  ASSERT_TRUE(must_open(options_for(process, "/allowed")));
  process.ctl("user add root:secret");
  process.ctl("user grant-role root root");
  process.ctl("auth enable");
  EtcdOptions options = options_for(process, "/allowed");
  options.start_patience = std::chrono::seconds(1);
  auto refused = open_etcd(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_NE(refused.error().message.find("role"), std::string::npos) << refused.error().message;
  // The user is the certificate's common name; only the administrator may make it.
  process.ctl("--user root:secret user add estiba:unused");
  process.ctl("--user root:secret role add below-allowed");
  process.ctl("--user root:secret role grant-permission --prefix=true below-allowed readwrite /allowed/");
  process.ctl("--user root:secret user grant-role estiba below-allowed");
  auto store = must_open(options);
  ASSERT_TRUE(store);
  auto written = put(*store, "/k", "v", 0);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(refresh(*store));
  EXPECT_TRUE(store->compact(written->revision));
  auto elsewhere = open_etcd(options_for(process, "/elsewhere"));
  ASSERT_FALSE(elsewhere);
}

TEST(Etcd, GoesOnWithAnotherEndpoint) {
  EtcdOptions options = options_for(shared_etcd(), "/failover");
  options.endpoints = {"http://127.0.0.1:1", shared_etcd().url()};
  auto store = must_open(options);
  ASSERT_TRUE(store);
  EXPECT_TRUE(put(*store, "/k", "v"));
}

TEST(Etcd, NobodyThereIsSaidWithTheEndpoint) {
  EtcdOptions options;
  options.endpoints = {"http://127.0.0.1:1"};
  options.start_patience = std::chrono::milliseconds(200);
  auto refused = open_etcd(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_NE(refused.error().message.find("http://127.0.0.1:1"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("refused"), std::string::npos) << refused.error().message;
}

TEST(Etcd, NoRoomAndTooLargeSayTheWayOut) {
  EtcdProcess process({"--quota-backend-bytes=4000000"});
  auto store = must_open(options_for(process));
  ASSERT_TRUE(store);
  auto large = put(*store, "/large", std::string(2 << 20, 'x'));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Code::too_large) << large.error().message;
  Result<WriteResult> full = fail(Code::internal, "");
  for (int i = 0; i < 100; ++i) {
    full = put(*store, "/k/" + std::to_string(i), std::string(200'000, 'x'));
    if (!full) break;
  }
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::exhausted) << full.error().message;
  EXPECT_NE(full.error().message.find("NOSPACE"), std::string::npos) << full.error().message;
  EXPECT_TRUE(remove(*store, "/k/0")) << "deleting still goes";
}

TEST(Etcd, ObjectsOfAnotherKubernetesAreNotTaken) {
  Foreign other(shared_etcd());
  other.puts({{"/foreign/pods/default/web", std::string_view("k8s\0\n\x09", 6)}});
  auto refused = open_etcd(options_for(shared_etcd(), "/foreign"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid);
  EXPECT_NE(refused.error().message.find("--etcd-prefix"), std::string::npos) << refused.error().message;
}

TEST(Etcd, ASnapshotIsRestoredIntoAnEmptyPrefixOnly) {
  SnapshotContents contents{.revision = 500};
  for (int i = 0; i < 300; ++i) {
    auto entry = std::make_shared<Entry>();
    entry->key = "/r/" + std::to_string(1000 + i);
    entry->value = std::to_string(i);
    entry->create_revision = entry->mod_revision = i + 1;
    entry->version = 1;
    contents.entries.push_back(std::move(entry));
  }
  EtcdOptions options = options_for(shared_etcd(), "/restored");
  auto done = restore_etcd(options, contents);
  ASSERT_TRUE(done) << done.error().message;
  auto store = must_open(options);
  ASSERT_TRUE(store);
  auto listed = *store->list("");
  ASSERT_EQ(listed.entries.size(), 300u);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(listed.entries[i]->value, std::to_string(i));
  auto again = restore_etcd(options, contents);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::conflict);
  EXPECT_NE(again.error().message.find("300 keys"), std::string::npos) << again.error().message;
}

TEST(Etcd, AServerDoesNotStartOnAHalfRestoredPrefix) {
  Foreign other(shared_etcd());
  other.puts({{"/half/.estiba/restoring", ""}, {"/half/registry/x", "1"}});
  auto refused = open_etcd(options_for(shared_etcd(), "/half"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("etcdctl del --prefix /half/"), std::string::npos) << refused.error().message;
}

TEST(Etcd, OptionsAreChecked) {
  EXPECT_EQ(etcd::parse_endpoints("https://a:2379,http://10.0.0.1:2379")->size(), 2u);
  for (const char* bad : {"", "a:2379", "https://a:2379,", "ftp://a", "https://a:2379/path"})
    EXPECT_FALSE(etcd::parse_endpoints(bad)) << bad;
  EtcdOptions options{.endpoints = {"http://127.0.0.1:1"}};
  EXPECT_TRUE(check(options));
  options.prefix = "estiba/";
  EXPECT_FALSE(check(options));
  options = {.endpoints = {"http://127.0.0.1:1"}, .certificate_pem = "x"};
  EXPECT_FALSE(check(options));
}

}  // namespace
}  // namespace estiba::store
