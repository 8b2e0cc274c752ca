#include "controllers/catalog/osb.h"

#include <gtest/gtest.h>

namespace estiba::controllers::catalog {

struct Row {
  std::string_view name;
  Operation operation;
  int status;
  std::string_view body;
  Verdict::Kind kind;
  bool orphan = false, final = false, stale = false;
  std::string_view message;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }
class Answers : public testing::TestWithParam<Row> {};

TEST_P(Answers, AreJudgedByTheSpecification) {
  const Row& row = GetParam();
  const Verdict verdict = judge(row.operation, BrokerAnswer{row.status, std::string(row.body)});
  EXPECT_EQ(int(verdict.kind), int(row.kind));
  EXPECT_EQ(verdict.orphan, row.orphan);
  EXPECT_EQ(verdict.final, row.final);
  EXPECT_EQ(verdict.stale, row.stale);
  EXPECT_TRUE(verdict.called);
  EXPECT_NE(verdict.message.find(row.message), std::string::npos) << verdict.message;
}

using enum Operation;
constexpr auto done = Verdict::Kind::done, under_way = Verdict::Kind::under_way, failed = Verdict::Kind::failed;
constexpr std::string_view conflict = R"({"error":"MaintenanceInfoConflict"})";

INSTANTIATE_TEST_SUITE_P(
    All, Answers,
    testing::Values(Row{"provision exists", provision, 200, "{}", done}, Row{"provision made", provision, 201, "{}", done},
                    Row{"provision begun", provision, 202, R"({"operation":"x"})", under_way},
                    Row{"200 malformed", provision, 200, "<html>", failed, false, false, false, "begins with \"<html>\""},
                    Row{"201 malformed", provision, 201, "", failed, true}, Row{"202 malformed", provision, 202, "[]", failed, true},
                    Row{"other 2xx", provision, 204, "", failed, true},
                    Row{"redirection", provision, 302, "", failed, false, false, false, "Status: 302"},
                    Row{"bad request", provision, 400, R"({"description":"no"})", failed, false, true, false, "Description: no"},
                    Row{"unauthorized", provision, 401, "", failed}, Row{"not received", provision, 408, "", failed},
                    Row{"exists otherwise", provision, 409, "{}", failed}, Row{"other version", provision, 412, "{}", failed},
                    Row{"async required", provision, 422, R"({"error":"AsyncRequired"})", failed, false, true},
                    Row{"concurrency", provision, 422, R"({"error":"ConcurrencyError"})", failed},
                    Row{"stale catalogue", provision, 422, conflict, failed, false, false, true},
                    Row{"broker error", provision, 500, R"({"error":"E","description":"D"})", failed, true, false, false,
                        "ErrorMessage: E; Description: D"},
                    Row{"unavailable", provision, 503, "", failed, true}, Row{"update done", update, 200, "{}", done},
                    Row{"update begun", update, 202, "{}", under_way}, Row{"update 201", update, 201, "{}", failed},
                    Row{"update broken", update, 500, "", failed}, Row{"update refused", update, 400, "{}", failed, false, true},
                    Row{"update stale", update, 422, conflict, failed, false, false, true},
                    Row{"deprovisioned", deprovision, 200, "", done}, Row{"gone", deprovision, 410, "nothing", done},
                    Row{"deprovision begun", deprovision, 202, "{}", under_way}, Row{"deprovision 404", deprovision, 404, "{}", failed},
                    Row{"deprovision refused", deprovision, 400, "{}", failed}, Row{"deprovision broken", deprovision, 500, "", failed},
                    Row{"bound", bind, 201, R"({"credentials":{}})", done}, Row{"bound before", bind, 200, "{}", done},
                    Row{"bind begun", bind, 202, "{}", under_way}, Row{"bind broken", bind, 500, "", failed, true},
                    Row{"requires app", bind, 422, R"({"error":"RequiresApp"})", failed, false, true, false,
                        "applications of its own platform"},
                    Row{"unbound", unbind, 200, "{}", done}, Row{"unbound before", unbind, 410, "{}", done},
                    Row{"unbind begun", unbind, 202, "{}", under_way}, Row{"unbind broken", unbind, 502, "", failed}));

TEST(Answers, ThatDoNotComeInTimeMayHaveDoneTheirWork) {
  const Result<BrokerAnswer> late = fail(Code::timeout, "late"), none = fail(Code::unavailable, "refused");
  EXPECT_TRUE(judge(provision, late).orphan);
  EXPECT_TRUE(judge(bind, late).orphan);
  EXPECT_FALSE(judge(update, late).orphan);
  EXPECT_FALSE(judge(deprovision, late).orphan);
  EXPECT_FALSE(judge(provision, none).orphan);
  EXPECT_FALSE(judge(provision, none).called);
  EXPECT_FALSE(judge(provision, none).final);
}

TEST(Polls, AreRead) {
  const auto state = [](int status, std::string body) { return read_poll(BrokerAnswer{status, std::move(body), 7}); };
  EXPECT_EQ(state(200, R"({"state":"in progress","description":"half"})").state, Poll::State::in_progress);
  EXPECT_EQ(state(200, R"({"state":"in progress","description":"half"})").description, "half");
  EXPECT_EQ(state(200, R"({"state":"in progress"})").retry_after, 7);
  EXPECT_EQ(state(200, R"({"state":"succeeded"})").state, Poll::State::succeeded);
  EXPECT_EQ(state(200, R"({"state":"failed"})").state, Poll::State::failed);
  EXPECT_EQ(state(410, "").state, Poll::State::gone);
  for (const auto& [status, body] : {std::pair(200, "<html>"), {200, R"({"state":"sleeping"})"}, {404, "{}"}, {500, ""}})
    EXPECT_EQ(state(status, body).state, Poll::State::unclear) << status << body;
  EXPECT_EQ(read_poll(fail(Code::timeout, "late")).state, Poll::State::unclear);
}

TEST(Urls, AreEscaped) { EXPECT_EQ(url_escape("a-1/ü?"), "a-1%2F%C3%BC%3F"); }

}  // namespace estiba::controllers::catalog
