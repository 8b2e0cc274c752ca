#include "store/etcd/messages.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace estiba::store::etcd {
namespace {

std::string hex(std::string_view bytes) { return hex_encode(bytes); }

// By the numbers of the fields in etcd's rpc.proto.
TEST(EtcdMessages, RequestsAreEtcdsBytes) {
  EXPECT_EQ(hex(encode(RangeRequest{.key = "a", .end = "b", .limit = 3, .revision = 300, .keys_only = true})),
            "0a0161120162180320ac024001");
  EXPECT_EQ(hex(encode_delete("k")), "0a016b");
  EXPECT_EQ(hex(encode_compaction(5)), "0805");
  EXPECT_EQ(hex(encode_watch("a", "b", 7)), "0a0a0a016112016218072001");
  // mod_revision == 0 is written out: a member of a oneof.
  Compare compare{.target = Compare::Target::mod, .key = "k"};
  Put put{"k", "v"};
  EXPECT_EQ(hex(encode_txn({{"k", &compare, &put}})),
            "0a0710021a016b3000"
            "120812060a016b120176"
            "1a070a050a016b4001");
  // All comparisons, then all that is done, then all that is read otherwise.
  EXPECT_EQ(hex(encode_txn({{"k", &compare, &put}, {"l"}})),
            "0a0710021a016b3000"
            "120812060a016b120176"
            "12051a030a016c"
            "1a070a050a016b4001"
            "1a070a050a016c4001");
}

TEST(EtcdMessages, PrefixesEndBehindTheirLastKey) {
  EXPECT_EQ(prefix_end("/estiba/"), "/estiba0");
  EXPECT_EQ(prefix_end("a\xff"), "b");
  EXPECT_EQ(prefix_end("\xff"), std::string(1, '\0'));
}

TEST(EtcdMessages, AnswersAreRead) {
  // header{revision 9}, kvs{key k, create 3, mod 5, version 2, value v}, more, count 4
  auto range = decode_range(std::string_view("\x0a\x02\x18\x09\x12\x0c\x0a\x01k\x10\x03\x18\x05\x20\x02\x2a\x01v\x18\x01\x20\x04", 22));
  ASSERT_TRUE(range) << range.error().message;
  EXPECT_EQ(range->revision, 9);
  ASSERT_EQ(range->kvs.size(), 1u);
  EXPECT_EQ(range->kvs[0].key, "k");
  EXPECT_EQ(range->kvs[0].value, "v");
  EXPECT_EQ(range->kvs[0].mod_revision, 5);
  EXPECT_TRUE(range->more);
  EXPECT_EQ(range->count, 4);
  // header{revision 9}, events{DELETE, kv{key k, mod 9}}
  auto watch = decode_watch(std::string_view("\x0a\x02\x18\x09\x5a\x09\x08\x01\x12\x05\x0a\x01k\x18\x09", 15));
  ASSERT_TRUE(watch) << watch.error().message;
  ASSERT_EQ(watch->events.size(), 1u);
  EXPECT_TRUE(watch->events[0].removed);
  EXPECT_EQ(watch->events[0].kv.mod_revision, 9);
}

TEST(EtcdMessages, EveryCutIsAnErrorOrAWholeMessage) {
  const std::string whole("\x0a\x02\x18\x09\x12\x0c\x0a\x01k\x10\x03\x18\x05\x20\x02\x2a\x01v\x18\x01\x20\x04", 22);
  for (size_t size = 1; size < whole.size(); ++size) {
    auto range = decode_range(std::string_view(whole).substr(0, size));
    if (!range) EXPECT_EQ(range.error().code, Code::internal);
    else EXPECT_TRUE(size == 4 || size == 18 || size == 20) << size;
  }
  EXPECT_FALSE(decode_watch("HTTP/1.1 400 Bad Request"));
}

}  // namespace
}  // namespace estiba::store::etcd
