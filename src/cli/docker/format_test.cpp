#include "cli/docker/format.h"

#include <gtest/gtest.h>

namespace estiba::cli::docker {
namespace {

TEST(Format, Durations) {
  for (auto [seconds, text] : {std::pair(0.5, "Less than a second"),
                               {1.0, "1 second"},
                               {59.0, "59 seconds"},
                               {60.0, "About a minute"},
                               {119.0, "About a minute"},
                               {120.0, "2 minutes"},
                               {3599.0, "59 minutes"},
                               {3600.0, "About an hour"},
                               {7200.0, "2 hours"},
                               {47 * 3600.0, "47 hours"},
                               {48 * 3600.0, "2 days"},
                               {14 * 86400.0, "2 weeks"},
                               {60 * 86400.0, "2 months"},
                               {730 * 86400.0, "2 years"}})
    EXPECT_EQ(human_duration(seconds), text) << seconds;
  EXPECT_EQ(ago(0), "N/A");
}

TEST(Format, Sizes) {
  for (auto [bytes, text] : {std::pair(0.0, "0B"),
                             {999.0, "999B"},
                             {1000.0, "1kB"},
                             {1093.0, "1.09kB"},
                             {125e6, "125MB"},
                             {1.5e9, "1.5GB"},
                             {12345678.0, "12.3MB"}})
    EXPECT_EQ(human_size(bytes), text);
  EXPECT_EQ(human_size(12345678, 4), "12.35MB");
  EXPECT_EQ(binary_size(1536.0 * 1024 * 1024), "1.5GiB");
  EXPECT_EQ(binary_size(900), "900B");
}

TEST(Format, ShortTexts) {
  EXPECT_EQ(short_id("sha256:0123456789abcdef"), "0123456789ab");
  EXPECT_EQ(short_id("0123456789abcdef"), "0123456789ab");
  EXPECT_EQ(ellipsis("python manage.py runserver", 20), "python manage.py ru\u2026");
  EXPECT_EQ(ellipsis("short", 20), "short");
  EXPECT_EQ(ellipsis("\u00e9\u00e9\u00e9", 2), "\u00e9\u2026");
}

TEST(Format, Columns) {
  EXPECT_EQ(align("CONTAINER ID\tIMAGE\tNAMES\nabc\tbusybox:latest\tweb\n"),
            "CONTAINER ID   IMAGE            NAMES\nabc            busybox:latest   web\n");
  EXPECT_EQ(align("A\tB\n"), "A         B\n");
  EXPECT_EQ(align(""), "");
  // A line without the column parts the blocks around it.
  EXPECT_EQ(align("aaaaaaaaaaaa\tx\nline\nb\ty\n"), "aaaaaaaaaaaa   x\nline\nb         y\n");
}

TEST(Format, IndentedJson) {
  EXPECT_EQ(print_list({R"({"a":[],"b":{},"c":[1,"x,y:{"],"d":{"e":"\"}"}})"}),
            "[\n    {\n        \"a\": [],\n        \"b\": {},\n        \"c\": [\n            1,\n            \"x,y:{\"\n        ],\n"
            "        \"d\": {\n            \"e\": \"\\\"}\"\n        }\n    }\n]\n");
  EXPECT_EQ(print_list({}), "[]\n");
}

std::string listed(std::string_view format, bool quiet = false) {
  Listing listing("*formatter.Test", {{"ID", "THE ID"}, {"Name", "NAME"}});
  if (auto started = listing.start(format, quiet, "{{.ID}}\t{{.Name}}", "{{.ID}}"); !started) return started.error().message;
  auto labels = json::Document::parse(R"({"role":"db"})");
  for (auto [id, name] : {std::pair("1", "one"), {"2", "two"}}) {
    json::Node& row = listing.row();
    listing.set(row, "Name", name);
    listing.set(row, "ID", id);
    if (auto added = listing.add(row, &labels->root()); !added) return added.error().message;
  }
  return *listing.finish();
}

TEST(Format, Listings) {
  EXPECT_EQ(listed(""), "THE ID    NAME\n1         one\n2         two\n");
  EXPECT_EQ(listed("", true), "1\n2\n");
  EXPECT_EQ(listed("table"), listed(""));
  EXPECT_EQ(listed("{{.Name}}:{{.ID}}"), "one:1\ntwo:2\n");
  EXPECT_EQ(listed("json"), "{\"ID\":\"1\",\"Name\":\"one\"}\n{\"ID\":\"2\",\"Name\":\"two\"}\n");
  EXPECT_EQ(listed("table {{.Name}}\\t{{.Label \"role\"}}"), "NAME      role\none       db\ntwo       db\n");
  EXPECT_EQ(listed("{{.Nope}}"),
            "failed to execute template: template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *formatter.Test");
  EXPECT_EQ(listed("{{.ID"), "failed to parse template: template: :1: unclosed action");
}

TEST(Format, Times) {
  EXPECT_EQ(unix_time("0001-01-01T00:00:00Z"), std::nullopt);
  EXPECT_EQ(unix_time("1970-01-01T00:01:00.5Z"), (std::pair<int64_t, int64_t>(60, 500'000'000)));
}

}  // namespace
}  // namespace estiba::cli::docker
