#include "controllers/catalog/osb.h"

#include "base/strings.h"

namespace estiba::controllers::catalog {
namespace {

constexpr size_t shown = 200;  // bytes of an answer that is told to people

bool deletes(Operation operation) { return operation == Operation::deprovision || operation == Operation::unbind; }
bool creates(Operation operation) { return operation == Operation::provision || operation == Operation::bind; }

std::optional<json::Document> object_in(std::string_view body) {
  auto doc = json::Document::parse(body, {.allow_duplicate_keys = true});
  if (!doc || !doc->root().is_object()) return std::nullopt;
  return std::move(*doc);
}

// The specification's table, by the status of an answer that is no success.
bool may_exist(int status) { return (status > 200 && status < 300) || status >= 500; }

// Of the errors that the specification names, those that the same request will always meet.
bool is_final(int status, std::string_view error) {
  return status == 400 || (status == 422 && (error == "AsyncRequired" || error == "RequiresApp"));
}

std::string describe(int status, std::string_view body) {
  std::string out = "Status: " + std::to_string(status);
  const auto doc = object_in(body);
  if (!doc) return body.empty() ? out : out + "; the answer is no JSON object but begins with " + quoted(body.substr(0, shown));
  const std::string_view error = doc->root().string_at("error"), description = doc->root().string_at("description");
  if (!error.empty()) out.append("; ErrorMessage: ").append(error);
  if (!description.empty()) out.append("; Description: ").append(description);
  if (error == "RequiresApp") out.append(" (the service can only be bound to applications of its own platform)");
  return out;
}

}  // namespace

Verdict judge(Operation operation, const Result<BrokerAnswer>& answer) {
  Verdict out;
  if (!answer) {
    out.called = false;
    out.orphan = creates(operation) && answer.error().code == Code::timeout;
    out.message = answer.error().message;
    return out;
  }
  const int status = answer->status;
  out.retry_after = answer->retry_after;
  if (deletes(operation) && (status == 200 || status == 410)) {
    out.kind = Verdict::Kind::done;
    return out;
  }
  auto body = object_in(answer->body);
  const bool done = status == 200 || (status == 201 && creates(operation));
  if (body && (done || status == 202)) {
    out.kind = done ? Verdict::Kind::done : Verdict::Kind::under_way;
    out.operation = body->root().string_at("operation");
    out.body = std::move(*body);
    return out;
  }
  const std::string_view error = body ? body->root().string_at("error") : std::string_view{};
  out.message = describe(status, answer->body);
  out.orphan = creates(operation) && may_exist(status);
  out.final = !deletes(operation) && is_final(status, error);
  out.stale = status == 422 && error == "MaintenanceInfoConflict";
  return out;
}

Poll read_poll(const Result<BrokerAnswer>& answer) {
  Poll out;
  if (!answer) {
    out.description = answer.error().message;
    return out;
  }
  out.retry_after = answer->retry_after;
  if (answer->status == 410) {
    out.state = Poll::State::gone;
    return out;
  }
  const auto body = object_in(answer->body);
  if (answer->status != 200 || !body) {
    out.description = describe(answer->status, answer->body);
    return out;
  }
  const std::string_view state = body->root().string_at("state");
  out.description = body->root().string_at("description");
  if (state == "in progress") out.state = Poll::State::in_progress;
  else if (state == "succeeded") out.state = Poll::State::succeeded;
  else if (state == "failed") out.state = Poll::State::failed;
  else out.description = "the broker tells an unknown state " + quoted(state);
  return out;
}

std::string url_escape(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-._~").contains(c)) out += c;
    else out.append("%").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
  }
  return out;
}

}  // namespace estiba::controllers::catalog
