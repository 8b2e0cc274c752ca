#include "apiserver/impersonation.h"

#include "apiserver/api_errors.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view authentication = "authentication.k8s.io";
constexpr std::string_view extra_prefix = "impersonate-extra-";
constexpr std::string_view account_prefix = "system:serviceaccount:";

// What the headers name, before anyone was asked whether it is allowed.
Result<User> wanted_user(const io::Headers& headers) {
  User out;
  out.name = headers.get("Impersonate-User");
  out.uid = headers.get("Impersonate-Uid");
  for (const io::Header& header : headers) {
    std::string name = to_lower(header.name);
    if (name == "impersonate-group") out.groups.push_back(header.value);
    if (name.size() <= extra_prefix.size() || !name.starts_with(extra_prefix)) continue;
    out.extra[TRY(io::percent_decode(std::string_view(name).substr(extra_prefix.size())))].push_back(header.value);
  }
  return out;
}

// "system:serviceaccount:NS:NAME"; false for any other name.
bool split_account(std::string_view user, std::string_view& ns, std::string_view& name) {
  if (!user.starts_with(account_prefix)) return false;
  auto [first, second] = split_once(user.substr(account_prefix.size()), ':');
  if (!second || first.empty() || second->empty() || second->find(':') != std::string_view::npos) return false;
  ns = first;
  name = *second;
  return true;
}

std::vector<Attributes> questions(const User& wanted) {
  std::vector<Attributes> out;
  auto ask = [&out](std::string_view group, std::string_view resource, std::string_view subresource, std::string_view ns,
                    std::string_view name) {
    out.push_back(
        {"impersonate", std::string(group), "v1", std::string(resource), std::string(subresource), std::string(ns), std::string(name), {}});
  };
  std::string_view ns, account;
  if (split_account(wanted.name, ns, account)) ask("", "serviceaccounts", "", ns, account);
  else ask("", "users", "", "", wanted.name);
  for (const std::string& group : wanted.groups) ask("", "groups", "", "", group);
  if (!wanted.uid.empty()) ask(authentication, "uids", "", "", wanted.uid);
  for (const auto& [key, values] : wanted.extra) {
    for (const std::string& value : values) ask(authentication, "userextras", key, "", value);
  }
  return out;
}

void add_implied_groups(User& user) {
  std::string_view ns, account;
  if (user.groups.empty() && split_account(user.name, ns, account))
    user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + std::string(ns)};
  if (user.name == "system:anonymous") {
    if (!user.in_group("system:unauthenticated")) user.groups.push_back("system:unauthenticated");
  } else if (!user.in_group("system:authenticated") && !user.in_group("system:unauthenticated")) {
    user.groups.push_back("system:authenticated");
  }
}

}  // namespace

Result<User> impersonate(const Authorizer& authorizer, const io::Headers& headers, User caller) {
  User wanted = TRY(wanted_user(headers));
  if (wanted.name.empty()) {
    if (wanted.uid.empty() && wanted.groups.empty() && wanted.extra.empty()) return caller;
    return bad_request("Impersonate-Group, Impersonate-Uid and Impersonate-Extra-* need an Impersonate-User");
  }
  for (const Attributes& asked : questions(wanted)) {
    if (authorizer.authorize(caller, asked).allowed) continue;
    return fail(Code::forbidden, asked.resource + " " + quoted(asked.name) + " is forbidden: " + denial(caller, asked));
  }
  add_implied_groups(wanted);
  return wanted;
}

}  // namespace estiba::apiserver
