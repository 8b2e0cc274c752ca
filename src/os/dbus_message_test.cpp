#include "os/dbus_message.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace estiba::os {
namespace {

TEST(DbusMessage, IsReadAsItWasWritten) {
  DbusMessage call{.serial = 7,
                   .path = "/org/freedesktop/login1",
                   .interface = "org.freedesktop.login1.Manager",
                   .member = "Inhibit",
                   .destination = "org.freedesktop.login1",
                   .signature = "sb"};
  call.body = DbusWriter().string("shutdown").boolean(true).take();
  const std::string bytes = print(call);
  EXPECT_EQ(*dbus_message_size(bytes), bytes.size());
  EXPECT_EQ(*dbus_message_size(bytes.substr(0, 15)), std::nullopt);
  const auto read = parse_dbus_message(bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->type, DbusMessage::Type::call);
  EXPECT_EQ(read->serial, 7u);
  EXPECT_EQ(read->path, call.path);
  EXPECT_EQ(read->interface, call.interface);
  EXPECT_EQ(read->member, "Inhibit");
  EXPECT_EQ(read->destination, call.destination);
  EXPECT_EQ(read->signature, "sb");
  DbusReader values = read->values();
  EXPECT_EQ(values.string(), "shutdown");
  EXPECT_TRUE(values.boolean());
  EXPECT_FALSE(values.failed());
  EXPECT_EQ(values.u32(), 0u);
  EXPECT_TRUE(values.failed()) << "there is no more";
}

TEST(DbusMessage, LiesAtTheBoundariesOfItsValues) {
  const std::string bytes = DbusWriter().u8(1).u32(2).u8(3).u64(4).take();
  ASSERT_EQ(bytes.size(), 24u);
  EXPECT_EQ(bytes[4], 2);
  EXPECT_EQ(bytes[16], 4);
  DbusReader reader(bytes);
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u32(), 2u);
  EXPECT_EQ(reader.u8(), 3);
  EXPECT_EQ(reader.u64(), 4u);
}

TEST(DbusMessage, OfTheOtherByteOrderIsUnderstood) {
  std::string bytes = "\x01\x02\x03\x04";
  EXPECT_EQ(DbusReader(bytes, true).u32(), 0x01020304u);
  bytes = std::string("\0\0\0\0\0\0\0\5", 8);
  EXPECT_EQ(DbusReader(bytes, true).u64(), 5u);
}

TEST(DbusMessage, ThatIsNoneIsRefused) {
  const std::string good = print({.type = DbusMessage::Type::signal, .serial = 1, .path = "/", .interface = "a.b", .member = "C"});
  ASSERT_TRUE(parse_dbus_message(good));
  const auto with = [&](size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    return parse_dbus_message(bytes).has_value();
  };
  EXPECT_FALSE(with(0, 'x'));
  EXPECT_FALSE(with(3, 2));
  EXPECT_FALSE(with(15, 0x7f)) << "longer than is allowed";
  EXPECT_FALSE(with(4, 1)) << "cut off";
  EXPECT_FALSE(with(18, 'v')) << "a header of an unknown type";
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(parse_dbus_message(good.substr(0, size))) << size;
}

}  // namespace
}  // namespace estiba::os
